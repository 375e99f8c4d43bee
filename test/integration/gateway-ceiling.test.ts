/** What the gateway says of hosts that the operator lets no settings open: never a line of settings that would have no effect. */
import { duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { Plan } from '../../src/fix/plan.ts';
import { makePlan } from '../../src/fix/plan.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { startRunUsage } from '../../src/gateway/run-usage.ts';
import { createSnapshot } from '../../src/git/snapshot.ts';
import { createOperator } from '../../src/operator.ts';
import { openGateways } from '../../src/run-tools.ts';
import { isHostRule } from '../../src/settings/host-rules.ts';
import { defaults } from '../../src/settings/values.ts';
import { createGitRepository } from '../support/git-repository.ts';
import { askHttp1, serveSecureWeb } from '../support/gateway/secure-web.ts';
import { get, openTunnel, serveWeb, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

const key = 'MAYFLY_ALLOWED_HOSTS';
const beyond = `beyond the operator's ${key}`;
const statusLine = (answer: string): string => answer.split('\r\n', 1)[0] ?? '';

/** As an operator says it in the environment, for a repository that says nothing. */
async function planWithin(allowed: string, registryHosts: readonly string[] = []): Promise<Plan> {
  using repository = createGitRepository();
  repository.commit({ 'package.json': '{}' });
  const sha = repository.git('rev-parse', 'HEAD');
  const snapshot = createSnapshot({ directory: `${repository.directory}/.git`, sha, environment: {} });
  const operator = createOperator(loadConfig('tool', { [key]: allowed }));
  const { signal } = new AbortController();
  const wishes = { setup: null, test: null, allow: [] };
  return await makePlan(snapshot, wishes, { settings: defaults, operator, registryHosts, guestNodeVersion: '26.10.0', signal });
}

async function gateWithin(allowed: string, allow: readonly string[], options: Partial<GatewayOptions> = {}): Promise<World> {
  const { value, variable } = createOperator(loadConfig('tool', { [key]: allowed })).ceilings['allow.setup'] ?? { value: [], variable: '' };
  return await world(allow, { ceiling: { allow: value, key: variable }, isSettable: isHostRule, ...options });
}

describe('a ceiling of the operator', () => {
  it('closes the registries that setup reaches by default, and leaves the one of this host', async () => {
    const mirror = await serveWeb();
    const plan = await planWithin('pypi, docs.example.org', [mirror.host]);
    const guest = await gateWithin('pypi, docs.example.org', plan.allow.setup);

    const closed = [await guest.ask(get('deb.debian.org')), (await openTunnel(guest, 'registry.npmjs.org:443')).head];

    const only = (host: string): string =>
      `HTTP/1.1 403 mayfly: the operator of this installation does not allow ${host}. No settings can open it, only the operator can (${key}).`;
    expect(closed.map(statusLine)).toEqual([only('deb.debian.org'), only('registry.npmjs.org')]);
    expect(guest.gateway.ledger).toMatchObject([
      { phase: 'setup', host: 'deb.debian.org', decision: 'refused', rule: beyond, wouldAllow: null, beyondCeiling: 'deb.debian.org' },
      { phase: 'setup', host: 'registry.npmjs.org', decision: 'refused', rule: beyond, wouldAllow: null, beyondCeiling: 'registry.npmjs.org' },
    ]);
    expect(plan.allow.setup).toEqual(['pypi.org', 'files.pythonhosted.org', mirror.host]);
    expect(statusLine(await guest.ask(get(mirror.host)))).toBe('HTTP/1.1 200 OK');
  });

  it('changes nothing where there is none', async () => {
    const { allow } = await planWithin('');

    expect(allow.setup).toEqual(expect.arrayContaining(['registry.npmjs.org', 'deb.debian.org']));
  });

  it('is said of a port, and not of a host within it, for which there is a line', async () => {
    const guest = await gateWithin('*.test.example docs.example.org', ['a.test.example']);

    const answers = [await guest.ask(get('a.test.example:8080')), await guest.ask(get('b.test.example')), await guest.ask(get('10.0.0.1'))];

    expect(answers.map(statusLine)).toEqual([
      expect.stringContaining('does not allow port 8080 of a.test.example. No settings can open it'),
      expect.stringContaining('To allow it, add it to the test.'),
      expect.stringContaining('only names are let through'),
    ]);
    expect(guest.gateway.ledger.map(({ rule, wouldAllow, beyondCeiling }) => [rule, wouldAllow, beyondCeiling])).toEqual([
      [beyond, null, 'a.test.example:8080'],
      ['not on the list', 'b.test.example', null],
      ['address literal', null, null],
    ]);
  });

  it('is said of a method and of a path, with TLS and without', async () => {
    const [web, plain] = [await serveSecureWeb(), await serveWeb()];
    const parts = `GET ${web.place}/open/* GET ${plain.host}/open/*`;
    const guest = await gateWithin(parts, [`${web.place}/open/a`, `${plain.host}/open/a`], { trust: web.trust });
    const ask = async (path: string, method = 'GET'): Promise<void> => {
      await askHttp1(guest, web.place, { path, method });
      await guest.ask(`${method} http://${plain.host}${path} HTTP/1.1\r\nHost: ${plain.host}\r\n\r\n`);
    };

    await ask('/closed');
    await ask('/open/b');
    await ask('/open/a', 'PUT');

    const told = guest.gateway.ledger.flatMap(({ decision, rule, wouldAllow, beyondCeiling }) =>
      decision === 'refused' ? [[rule, wouldAllow, beyondCeiling]] : [],
    );
    expect(told).toEqual(
      [
        [web.place, plain.host].map((place) => [beyond, null, `GET ${place}/closed`]),
        [web.place, plain.host].map((place) => ['path not on the list', `GET ${place}/open/b`, null]),
        [web.place, plain.host].map((place) => [beyond, null, `PUT ${place}/open/a`]),
      ].flat(),
    );
  });
});

describe('what no settings can hold', () => {
  it('is not advised', async () => {
    const { host } = await serveWeb();
    const guest = await world([`GET ${host}/*`], { isSettable: isHostRule });
    const ask = async (method: string): Promise<string> => statusLine(await guest.ask(get(host).replace('GET', method)));

    expect(await ask('PROPFIND')).toBe('HTTP/1.1 403 mayfly: PROPFIND to web.test.example is not allowed in this phase (setup). No settings can allow it.');
    expect(await ask('PUT')).toContain(`To allow it, add "PUT ${host}/a" to the test.`);
    expect(statusLine(await guest.ask(get('-odd-.test.example')))).toContain('No settings can allow it.');
  });
});

describe('the gateways of a worker', () => {
  it('have the operator’s ceiling, advise only what settings can hold, and count for their run', async () => {
    const { host, seen } = await serveWeb();
    const place = host.replace('web.test.example', 'localhost');
    const config = loadConfig('tool', { [key]: `docs.example.org ${place}`, MAYFLY_INTERNAL_HOSTS: 'localhost' });
    const open = openGateways(config, { operator: createOperator(config), surroundings: { caPem: '', registries: [] } });
    const usage = startRunUsage();
    const gateway = open({ phase: 'setup', allow: [`GET ${place}/a`], credentials: [], usage, log: pino({ level: 'silent' }) });
    onTestFinished(() => gateway.close());
    const ask = async (request: string): Promise<string> => {
      const [guest, stream] = duplexPair();
      gateway.accept(stream);
      guest.end(request);
      return statusLine(await text(guest));
    };

    expect(await ask(get('deb.debian.org'))).toContain(`only the operator can (${key})`);
    expect(await ask(get(place).replace('GET', 'PROPFIND'))).toContain('No settings can allow it.');
    expect(await ask(get('docs.example.org'))).toContain('add it to allow: in .github/mayfly.yml');
    expect(await ask(get(place))).toBe('HTTP/1.1 200 OK');
    expect(seen).toHaveLength(1);
    expect(usage).toMatchObject({ requests: 2 });
    expect(usage.bytes).toBeGreaterThan(5);
  });
});
