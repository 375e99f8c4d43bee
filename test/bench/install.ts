/**
 * `bench -- install`: this repository's own tree of packages, installed by npm from the registry of this host: straight,
 * through a tunnel of the gateway, and where the gateway looks at each request, so that the gateway is all that differs;
 * and in fresh VMs, as the setup of a run does it. One after the other in each round; each begins without a cache.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { readSurroundings, trustFile } from '../../src/gateway/surroundings.ts';
import { createTrust } from '../../src/gateway/trust.ts';
import type { ProviderName } from '../../src/job.ts';
import { createCgroups, removeCgroups } from '../../src/sandbox/cgroup.ts';
import type { Provider } from '../../src/sandbox/sandbox.ts';
import { root } from '../support/repository.ts';
import { addSample, createSeries } from './series.ts';
import type { Series } from './series.ts';
import { bootOne, disposeOf, idPrefix } from './vms.ts';

export interface InstallBench {
  readonly registry: string;
  /** PEM that this host trusts beside the usual, and the proxy that it has to use. */
  readonly extraPem: string;
  readonly upstreamProxy: string | null;
  readonly n: number;
  /** The npm that guests have, for all of them; null for that of this host. */
  readonly npmProgram: string | null;
  /** VMs to install in, beside this host. */
  readonly vms: readonly InstallVm[];
  /** Ours, for what is installed. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface InstallVm {
  readonly name: ProviderName;
  readonly provider: Provider;
}

const treeFiles = ['package.json', 'package-lock.json', 'test/support/tools/package.json'];
const npmArguments = ['ci', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'];

const enterGroups = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"';
const limits = { memoryBytes: 4 * 2 ** 30, processes: 1024, cpus: 2 };

const span = 'start of `npm ci` without a cache and without scripts -> it has ended well; packages that are for one platform only are left out';

export async function benchInstall({ n, onProgress, vms, ...place }: InstallBench): Promise<Series[]> {
  const { host } = new URL(place.registry);
  const ways: readonly (readonly [name: string, install: () => Promise<number>])[] = [
    ['npm ci, straight', () => installOnce(place, null)],
    ['npm ci through a tunnel', () => installOnce(place, host)],
    ['npm ci, each request inspected', () => installOnce(place, `GET ${host}/*`)],
    ...vms.map(({ name, provider }) => [`npm ci in a VM (${name}), through a tunnel`, () => installInVm(place, provider)] as const),
  ];
  const series = ways.map(([name]) => createSeries(name, 'ms', span));
  for (let round = 0; round < n; round += 1) {
    for (const [index, [name, install]] of ways.entries()) {
      onProgress(`${name}: ${round + 1} of ${n}`);
      const one = series[index];
      if (one) await addSample(one, place.signal, install);
    }
  }
  return series;
}

type Place = Omit<InstallBench, 'n' | 'onProgress' | 'vms'>;

async function installOnce(place: Place, allow: string | null): Promise<number> {
  const { registry, directory, signal } = place;
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(directory, 'install-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'test/support/tools'), { recursive: true });
  for (const file of treeFiles) await cp(join(root, file), join(folder, file));
  const gate = allow === null ? null : parts.use(await openGate(allow, place));
  const authority = join(folder, 'authority.crt');
  await writeFile(authority, `${place.extraPem}${(await gate?.gateway.authority()) ?? ''}`);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    NODE_EXTRA_CA_CERTS: authority,
    HTTPS_PROXY: gate?.url ?? place.upstreamProxy ?? '',
  };
  const argv = [...npmArguments, '--registry', registry, '--cache', join(folder, 'cache')];
  const [program, ...before] = place.npmProgram === null ? ['npm'] : [process.execPath, place.npmProgram];
  // In a group like that of a VM: on a busy host a VM has its share, and a process beside all others has less.
  const groups = (await createCgroups(`${idPrefix}${randomBytes(6).toString('hex')}`, limits)) ?? [];
  parts.defer(() => removeCgroups(groups));
  const startedAt = performance.now();
  const { stdout } = await execa('sh', ['-c', enterGroups, 'sh', ...groups, '--', program, ...before, ...argv], {
    cwd: folder,
    env,
    extendEnv: false,
    stdin: 'ignore',
    cancelSignal: signal,
    timeout: 300_000,
  });
  const tookMs = performance.now() - startedAt;
  mustHaveAdded(stdout);
  if (gate !== null) mustHaveAsked(gate.gateway, allow?.startsWith('GET') === true ? 'GET' : 'CONNECT');
  return tookMs;
}

/** As many as make it a large tree, so that nothing quicker is measured by mistake. */
const leastPackages = 250;

function mustHaveAdded(stdout: string): void {
  const added = Number(/^added (\d+) packages/m.exec(stdout)?.[1] ?? 0);
  if (added < leastPackages) throw new Error(`npm added ${added} packages only`);
}

function mustHaveAsked({ ledger }: Gateway, wanted: string): void {
  if (!ledger.some(({ method, decision }) => method === wanted && decision === 'allowed')) throw new Error('nothing went through the gateway');
}

/** In a VM that nobody had before; its start is not counted. */
async function installInVm(place: Place, provider: Provider): Promise<number> {
  const { registry, signal, directory } = place;
  await using parts = new AsyncDisposableStack();
  const { gateway } = parts.use(await openGate(new URL(registry).host, place));
  const authority = join(directory, 'authority.crt');
  await writeFile(authority, place.extraPem);
  const surroundings = await readSurroundings({ extraCaFiles: [authority], npmRegistry: registry });
  const sandbox = await bootOne(provider, { signal });
  parts.defer(() => disposeOf(sandbox));
  await sandbox.forward(3128, (stream) => gateway.accept(stream));
  await sandbox.put(surroundings.install.path, trustFile([surroundings.caPem]), { user: 'root', mode: 0o644, signal });
  await sandbox.exec(surroundings.install.argv, { user: 'root', cwd: '/', signal });
  for (const file of treeFiles) await sandbox.put(`/workspace/${file}`, await readFile(join(root, file)), { signal });
  const options = { cwd: '/workspace', env: surroundings.guestEnv, signal, timeoutMs: 1_800_000, maxOutputBytes: 64 * 1024 };
  const startedAt = performance.now();
  const { exitCode, stdout, stderr } = await sandbox.exec(['npm', ...npmArguments, '--registry', registry], options);
  const tookMs = performance.now() - startedAt;
  if (exitCode !== 0) throw new Error(`npm ci in a VM: ${stderr.slice(-500)}`);
  mustHaveAdded(stdout);
  mustHaveAsked(gateway, 'CONNECT');
  return tookMs;
}

async function openGate(allow: string, { upstreamProxy, extraPem }: Place): Promise<{ readonly gateway: Gateway; readonly url: string } & AsyncDisposable> {
  const log = pino({ level: 'silent' });
  const gateway = createGateway({
    allow: [allow],
    internal: ['localhost'],
    upstreamProxy: upstreamProxy === null ? null : new URL(upstreamProxy),
    settingsKey: 'the bench',
    trust: createTrust(extraPem),
    log,
  });
  const server = createServer({ allowHalfOpen: true }, (stream) => gateway.accept(stream)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    gateway,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      await gateway.close();
      server.close();
    },
  };
}
