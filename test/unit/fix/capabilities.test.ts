import { describe, expect, it } from 'vitest';
import { describeGrants, listCapabilities } from '../../../src/fix/capabilities.ts';
import { readCredentials } from '../../../src/gateway/credentials.ts';
import { createReport } from '../../../src/fix/report.ts';
import type { Effective } from '../../../src/settings/resolve.ts';
import { resolveSettings } from '../../../src/settings/resolve.ts';
import { silentOperator } from '../../../src/settings/operator.ts';
import { parseSettings } from '../../../src/settings/parse.ts';
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
const attempt = { at: '', method: 'CONNECT', port: 443, path: null, rule: 'not on the list', wouldAllow: null, bytesIn: 0, bytesOut: 0, vm: 'agent' };

describe('the capabilities of a run', () => {
  it('are one list of what was granted, by whose word, and what was refused', () => {
    const root = { 'sandbox.root': { value: false, variable: 'MAYFLY_ALLOW_ROOT', given: false } };
    const effective = settingsOf('sandbox: {root: true}\nallow: {agent: [api.example.com]}\n', { ...silentOperator, ceilings: root });
    const plan = { ...barePlan, allow: { setup: ['registry.npmjs.org'], agent: ['cli.example', 'api.example.com'], proof: ['GET api.example.com/x/*'] } };
    const report = createReport('r');
    report.grants = describeGrants({ plan, effective, asked: ['cli.example'], credentials: [], registryHosts: [], isolation });
    report.egress.push(
      { ...attempt, phase: 'agent', host: 'evil.example', decision: 'refused' },
      { ...attempt, phase: 'agent', host: 'api.example.com', decision: 'allowed' },
    );
    report.tokens.push({ use: 'publish', repositories: ['a/b'], permissions: { contents: 'write', metadata: 'read' }, revoked: true });

    expect(listCapabilities(report).map(({ name, granted, by, refused }) => `${name}: ${granted} | ${by} | ${refused.join(', ')}`)).toEqual([
      'isolation: syscall, by oci | the operator: KVM does not work on this host | ',
      'processors: 2 | sandbox.cpus: default | ',
      'memory: 4096 MiB | sandbox.memoryMib: default | ',
      'disk: 10 GiB | sandbox.diskGib: default | ',
      "root: during setup only | sandbox.root: repository, line 1 asked yes, operator's ceiling no (MAYFLY_ALLOW_ROOT) | yes",
      `hosts: setup: registries (npm, yarn, pypi, crates, go, rubygems, maven, debian); ${inTunnels}: the registries | allow.setup: default; the person who asked | `,
      `hosts: agent: cli.example, api.example.com; ${inTunnels}: cli.example, api.example.com | allow.agent: repository, line 2; the person who asked | evil.example`,
      'hosts: proof: GET api.example.com/x/* | allow.proof: default; the person who asked | ',
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

  it('are none before anything was granted', () => {
    expect(listCapabilities(createReport('r'))).toEqual([]);
  });
});
