/** The setup commands once more, with files of the agent in place, in real guests: they get neither root nor the hosts of setup, and say so. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createReport, createTimer } from '../../src/fix/report.ts';
import { openWorkspace } from '../../src/fix/workspace.ts';
import type { Workspace } from '../../src/fix/workspace.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import { createSnapshot } from '../../src/git/snapshot.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import { createGitRepository } from '../support/git-repository.ts';
import type { GitRepository } from '../support/git-repository.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, newVmId, openGuestHost } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { barePlan } from '../support/plan.ts';

const guests = [
  ['qemu', createQemuProvider, !isSkipped('setup again in guests of qemu', await lacksForGuests())],
  ['oci', createOciProvider, !isSkipped('setup again in guests of oci', await lacksForGvisor())],
] as const;

describe.each(guests)('in a guest of %s', (_name, create, runs) => {
  let host: GuestHost;
  let registry: Server;
  let repository: GitRepository;
  let workspace: Workspace;
  let address: string;
  beforeAll(async () => {
    if (!runs) return;
    host = await openGuestHost(create);
    registry = createServer((_request, response) => response.end('package\n')).listen(0, '127.0.0.1');
    await new Promise((resolve) => registry.once('listening', resolve));
    address = `registry.test:${(registry.address() as AddressInfo).port}`;
    repository = createGitRepository();
    repository.commit({ Makefile: 'all:\n\tsh ./build.sh\n', 'build.sh': tries(address), '.gitignore': 'seen\n' });
    workspace = await open();
  });
  afterAll(async () => {
    await workspace?.[Symbol.asyncDispose]();
    await host?.close();
    registry?.close();
    repository?.[Symbol.dispose]();
  });

  async function open(): Promise<Workspace> {
    const report = createReport('r');
    const { signal } = new AbortController();
    const setup = ['sudo -n touch /opt/once && make'];
    return await openWorkspace({
      id: newVmId(),
      provider: host.provider(),
      openGateway: (phase, allow) => {
        const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
        return createGateway({ phase, allow, internal: ['registry.test'], upstreamProxy: null, settingsKey: 'allow', log: pino({ level: 'silent' }), lookup });
      },
      surroundings: { caPem: '', guestEnv: { http_proxy: 'http://127.0.0.1:3128' }, registryHosts: [], install: { path: '/tmp/ca.crt', argv: ['true'] } },
      guestNodeVersion: '26.10.0',
      image: null,
      snapshot: createSnapshot({ directory: join(repository.directory, '.git'), sha: repository.git('rev-parse', 'HEAD'), environment: {} }),
      plan: { ...barePlan, setup, allow: { setup: [address], agent: [], proof: [] } },
      limits: { setupTimeoutMs: 60_000, ancestors: 0 },
      report,
      timed: createTimer({ report, onEvent: () => {} }),
      signal,
    });
  }

  const seen = async (): Promise<string> => (await workspace.sandbox.get('/workspace/seen', { maxBytes: 10_000 })).toString();
  const again = async (build: string) => {
    await workspace.sandbox.put('/workspace/build.sh', build);
    workspace.gateway.enter('proof', []);
    return await workspace.setUpAgain();
  };

  test.skipIf(!runs)('setup has root and its hosts, and the same files have neither afterwards', async () => {
    expect(await seen()).toBe('root\npackage\n');
    expect(await again(tries(address))).toMatchObject({ failed: null, barred: null, leftOut: true });
    expect(await seen()).toMatch(/^nobody\n(?!package)/);
    expect(workspace.gateway.ledger.map(({ phase, decision }) => `${phase} ${decision}`)).toEqual(['setup allowed', 'proof refused']);
  });

  test.skipIf(!runs)('what needs a host is said to be kept from it', async () => {
    const result = await again(`exec curl -sSf http://${address}/`);

    expect(result).toMatchObject({ failed: { ended: 'exited' }, barred: expect.stringContaining('reach only the hosts of allow.proof') });
  });

  test.skipIf(!runs)('what needs root is said to have none', async () => {
    expect(await again('exec sudo -n true')).toMatchObject({ failed: { ended: 'exited' }, barred: expect.stringContaining('have no root') });
  });

  test.skipIf(!runs)('what fails by itself is the fault of the patch', async () => {
    expect(await again('exit 3')).toMatchObject({ failed: { ended: 'exited' }, barred: null });
  });
});

const tries = (address: string): string => `{ sudo -n id -un 2> /dev/null || echo nobody; curl -sS http://${address}/; } > seen 2>&1\n`;
