import { describe, expect, it } from 'vitest';
import { describeGrants, listCapabilities } from '../../../src/fix/capabilities.ts';
import { readCredentials } from '../../../src/gateway/credentials.ts';
import { createReport } from '../../../src/fix/report.ts';
import type { Effective } from '../../../src/settings/resolve.ts';
import { resolveSettings } from '../../../src/settings/resolve.ts';
import { usualRegistries } from '../../../src/settings/presets.ts';
import { silentOperator } from '../../../src/settings/operator.ts';
import { parseSettings } from '../../../src/settings/parse.ts';
import { refusedAttempt } from '../../support/egress-entry.ts';
import { barePlan } from '../../support/plan.ts';

const settingsOf = (text: string, operator = silentOperator): Effective => {
  const parsed = parseSettings(text, '.github/mayfly.yml');
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  const resolved = resolveSettings({ repository: parsed.file, organization: null, operator });
  if ('problems' in resolved) throw new Error(JSON.stringify(resolved.problems));
  return resolved.effective;
};
const inTunnels = 'in tunnels, of which only the name in TLS is checked';
const isolation = { kind: 'syscall', provider: 'oci', reason: 'KVM does not work on this host' };

describe('the capabilities of a run', () => {
  it('are one list of what was granted, by whose word, and what was refused', () => {
    const root = { 'sandbox.root': { value: false, variable: 'MAYFLY_ALLOW_ROOT', given: false } };
    const effective = settingsOf('sandbox: {root: true}\nallow: {agent: [api.example.com]}\n', { ...silentOperator, ceilings: root });
    const plan = {
      ...barePlan,
      allow: { setup: [...usualRegistries, 'cli.example'], agent: ['cli.example', 'api.example.com'], proof: ['cli.example', 'GET api.example.com/x/*'] },
    };
    const report = createReport('r');
    report.grants = describeGrants({ plan, effective, asked: ['cli.example'], credentials: [], registryHosts: [], isolation });
    report.egress.push(
      { ...refusedAttempt, phase: 'agent', host: 'evil.example', decision: 'refused' },
      { ...refusedAttempt, phase: 'agent', host: 'api.example.com', decision: 'allowed' },
    );
    report.tokens.push({ use: 'publish', repositories: ['a/b'], permissions: { contents: 'write', metadata: 'read' }, revoked: true });

    expect(listCapabilities(report).map(({ name, granted, by, refused }) => `${name}: ${granted} | ${by} | ${refused.join(', ')}`)).toEqual([
      'isolation: syscall, by oci | the operator: KVM does not work on this host | ',
      'processors: 2 | sandbox.cpus: default | ',
      'memory: 4096 MiB | sandbox.memoryMib: default | ',
      'disk: 10 GiB | sandbox.diskGib: default | ',
      "root: during setup only | sandbox.root: repository, line 1 asked yes, operator's ceiling no (MAYFLY_ALLOW_ROOT) | yes",
      `hosts: setup: registries (npm, yarn, pypi, crates, go, rubygems, maven, debian), cli.example; ${inTunnels}: the registries, cli.example | allow.setup: default; the person who asked | `,
      `hosts: agent: cli.example, api.example.com; ${inTunnels}: cli.example, api.example.com | allow.agent: repository, line 2; the person who asked | evil.example`,
      `hosts: proof: cli.example, GET api.example.com/x/*; ${inTunnels}: cli.example | allow.proof: default; the person who asked | `,
      'writing on GitHub: contents of this repository, by tokens that stay on the host and end with their use | the permissions of the App | ',
    ]);
  });

  it('say what is looked into, and what only passes by its name', () => {
    const read = readCredentials(
      JSON.stringify([{ host: 'npm.example.org', pathPrefix: '/private', header: 'authorization', value: 'Bearer t0ken-t0ken', repositories: ['a/b'] }]),
    );
    const credentials = 'credentials' in read ? read.credentials : [];
    const named = ['registry.npmjs.org', 'npm.example.org', 'corp.example.org:8443', 'npm.example.org:8443', '*.example.org', 'GET,POST api.example.org'];
    const plan = { ...barePlan, allow: { setup: named, agent: named, proof: [] } };

    const grants = describeGrants({ plan, effective: settingsOf(''), asked: [], credentials, registryHosts: ['corp.example.org:8443'], isolation });

    const tunnels = grants.filter(({ phase }) => phase === 'setup' || phase === 'agent').map(({ granted }) => granted.split(`${inTunnels}: `)[1]);
    expect(tunnels).toEqual(['the registries, corp.example.org:8443, npm.example.org:8443, *.example.org', 'npm.example.org:8443, *.example.org']);
    expect(grants.find(({ name }) => name === 'credentials')).toMatchObject({
      granted: 'GET, HEAD npm.example.org/private: put in by the host, where the hosts above are open',
      by: 'the operator: MAYFLY_CREDENTIALS_FILE',
    });
  });

  it('say what the operator took away, of the registries that are there by default too, and by which variable', () => {
    const word = { value: ['npm.corp.example', 'pypi.org', 'GET registry.npmjs.org/@acme/*'], variable: 'MAYFLY_ALLOWED_HOSTS', given: true };
    const operator = { ...silentOperator, ceilings: { 'allow.setup': word, 'allow.agent': word, 'allow.proof': word } };
    const effective = settingsOf('allow: {agent: [npm.corp.example, crates]}', operator);
    const allow = { setup: ['GET registry.npmjs.org/@acme/*', 'pypi.org', 'npm.corp.example'], agent: effective.values['allow.agent'], proof: [] };
    const report = createReport('r');
    report.grants = describeGrants({ plan: { ...barePlan, allow }, effective, asked: ['cli.example'], credentials: [], registryHosts: [], isolation });
    const refused = { ...refusedAttempt, decision: 'refused', host: 'static.crates.io', beyondCeiling: 'static.crates.io:8443' } as const;
    report.egress.push({ ...refused, phase: 'agent' });

    const hosts = listCapabilities(report).filter(({ name }) => name.startsWith('hosts'));

    const [setup, agent, proof] = hosts;
    expect(setup).toMatchObject({
      granted: `registries (pypi.org), GET registry.npmjs.org/@acme/*, npm.corp.example; ${inTunnels}: the registries, npm.corp.example`,
      by: 'allow.setup: default; operator leaves of the registries: GET registry.npmjs.org/@acme/*, pypi.org (MAYFLY_ALLOWED_HOSTS); the person who asked',
      refused: ['npm, yarn, crates, go, rubygems, maven, debian, files.pythonhosted.org, cli.example'],
    });
    expect(agent).toMatchObject({
      granted: `npm.corp.example; ${inTunnels}: npm.corp.example`,
      by: expect.stringMatching(/^allow\.agent: repository, line 1 asked .*, operator's ceiling npm\.corp\.example, .* \(MAYFLY_ALLOWED_HOSTS\)/),
      refused: ['index.crates.io, static.crates.io, cli.example', 'static.crates.io:8443'],
    });
    expect(proof).toMatchObject({ granted: 'none', refused: ['cli.example'] });
  });

  it('are none before anything was granted', () => {
    expect(listCapabilities(createReport('r'))).toEqual([]);
  });
});
