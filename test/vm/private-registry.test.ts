/**
 * A registry that asks for a token: packages reach a real guest, the token does not. It is the gateway, on the host, that
 * keeps it back, and clients of one root filesystem that ask: no provider has a part in it but the forward, which is in the
 * contract of each.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { credentialsFor } from '../../src/gateway/credential-repositories.ts';
import { readCredentials } from '../../src/gateway/credentials.ts';
import { createTrust } from '../../src/gateway/trust.ts';
import { describeInOneGuest } from '../support/gateway/in-guests.ts';
import { world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';
import { output } from '../support/guest.ts';
import { serveRegistry } from '../support/registry/registry.ts';
import type { Registry } from '../support/registry/registry.ts';
import { entryOf } from '../support/registry/tool.ts';

const formsOf = (token: string): readonly string[] => [
  token,
  Buffer.from(token).toString('base64').replace(/=+$/, '').slice(0, -1),
  Buffer.from(token).toString('hex'),
  Array.from(token).toReversed().join(''),
];

/** Every file, and what every process was started with, searched for the lines on standard input; prints where they are. */
const searchScript = `
cat > /run/wanted
grep -rlaFf /run/wanted / --exclude-dir=proc --exclude-dir=sys --exclude=wanted 2>/dev/null
grep -laFf /run/wanted /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null
rm /run/wanted
`;
/** What ran meanwhile, as anybody in the guest could have seen it. */
const watchedInstall = `
(while true; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' >> seen.txt; sleep 0.2; done) & watcher=$!
npm install --no-audit --no-fund --loglevel silly tiny > npm.log 2>&1; code=$?
kill $watcher
cat node_modules/tiny/index.js
exit $code
`;

describeInOneGuest('a private registry in', 'of a repository that may use a token', (guest) => {
  const open = async (registry: Registry, token: string, repository: string): Promise<World> => {
    const entry = { host: entryOf(registry), pathPrefix: '/npm', header: 'authorization', value: `Bearer ${token}`, repositories: ['acme/app#1'] };
    const read = readCredentials(JSON.stringify([entry]));
    if ('problem' in read) throw new Error(read.problem);
    const trust = createTrust(readFileSync(registry.caFile ?? '', 'utf8'));
    return await world([entryOf(registry)], { trust, credentials: await credentialsFor(read.credentials, { name: repository, id: 1 }, '/nothing/is/noted') });
  };

  test('installs from it, and has the token nowhere', async () => {
    const token = randomBytes(24).toString('base64url');
    const registry = await serveRegistry(undefined, token);
    const gate = await open(registry, token, 'Acme/App');
    const { run } = await guest.doorway.use(gate, `${registry.url}/npm/`);

    const installed = await run(['bash', '-c', watchedInstall]);
    const echoed = await run(['curl', '-sS', '-H', 'Authorization: Bearer guess', `${registry.url}/npm/tiny`]);
    const wanted = `${formsOf(token).join('\n')}\n`;
    const found = await guest.sandbox.exec(['sh', '-c', searchScript], { user: 'root', cwd: '/', stdin: wanted, timeoutMs: 100_000 });

    expect(installed).toMatchObject({ exitCode: 0, output: expect.stringContaining('hello from npm') });
    expect(echoed.output).toContain('"name":"tiny"');
    expect(found.stdout).toBe('');
    expect(registry.seen.every(({ headers }) => headers.authorization === `Bearer ${token}`)).toBe(true);
    expect(JSON.stringify(gate.gateway.ledger)).not.toContain(token);
    expect(new Set(gate.gateway.ledger.map(({ decision }) => decision))).toEqual(new Set(['allowed']));
  });

  test('finds what is there, or the search above would prove nothing', async () => {
    const token = randomBytes(24).toString('base64url');
    await output(guest.sandbox, `echo 'Authorization: ${Buffer.from(token).toString('hex')}' > /tmp/left`);

    const found = await guest.sandbox.exec(['sh', '-c', searchScript], { user: 'root', cwd: '/', stdin: `${formsOf(token).join('\n')}\n`, timeoutMs: 100_000 });

    expect(found.stdout.trim()).toBe('/tmp/left');
  });

  test('gets nothing for a repository that the operator did not name', async () => {
    const token = randomBytes(24).toString('base64url');
    const registry = await serveRegistry(undefined, token);
    const { run } = await guest.doorway.use(await open(registry, token, 'acme/other'), `${registry.url}/npm/`);

    // No credential, so the tunnel is one to the registry itself, whose authority the guest does not know here.
    const { output: said } = await run(['curl', '-sSk', `${registry.url}/npm/tiny`]);

    expect(said).toBe('who are you?');
  });
});
