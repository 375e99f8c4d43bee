/**
 * `bench -- install`: this repository's own tree of packages, installed by npm from the registry of this host: straight,
 * through a tunnel of the gateway, and where the gateway looks at each request. All on this host, one after the other, so
 * that the gateway is all that differs; each begins without a cache.
 */
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { createTrust } from '../../src/gateway/trust.ts';
import { root } from '../support/repository.ts';
import { addSample, createSeries } from './series.ts';
import type { Series } from './series.ts';

export interface InstallBench {
  readonly registry: string;
  /** PEM that this host trusts beside the usual, and the proxy that it has to use. */
  readonly extraPem: string;
  readonly upstreamProxy: string | null;
  readonly n: number;
  /** Ours, for what is installed. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

const span = 'start of `npm ci` without a cache and without scripts -> it has ended well; packages that are for one platform only are left out';

export async function benchInstall({ n, onProgress, ...place }: InstallBench): Promise<Series[]> {
  const { host } = new URL(place.registry);
  const ways: readonly (readonly [name: string, allow: string | null])[] = [
    ['npm ci, straight', null],
    ['npm ci through a tunnel', host],
    ['npm ci, each request inspected', `GET ${host}/*`],
  ];
  const series = ways.map(([name]) => createSeries(name, 'ms', span));
  for (let round = 0; round < n; round += 1) {
    for (const [index, [name, allow]] of ways.entries()) {
      onProgress(`${name}: ${round + 1} of ${n}`);
      const one = series[index];
      if (one) await addSample(one, place.signal, async () => await installOnce(place, allow));
    }
  }
  return series;
}

type Place = Omit<InstallBench, 'n' | 'onProgress'>;

async function installOnce(place: Place, allow: string | null): Promise<number> {
  const { registry, directory, signal } = place;
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(directory, 'install-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'test/support/tools'), { recursive: true });
  for (const file of ['package.json', 'package-lock.json', 'test/support/tools/package.json']) await cp(join(root, file), join(folder, file));
  const gate = allow === null ? null : parts.use(await openGate(allow, place));
  const authority = join(folder, 'authority.crt');
  await writeFile(authority, `${place.extraPem}${(await gate?.gateway.authority()) ?? ''}`);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    NODE_EXTRA_CA_CERTS: authority,
    HTTPS_PROXY: gate?.url ?? place.upstreamProxy ?? '',
  };
  const argv = ['ci', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--registry', registry, '--cache', join(folder, 'cache')];
  const startedAt = performance.now();
  await execa('npm', argv, { cwd: folder, env, extendEnv: false, stdin: 'ignore', cancelSignal: signal, timeout: 300_000 });
  const tookMs = performance.now() - startedAt;
  const asked = gate?.gateway.ledger.filter(
    ({ method, decision }) => method === (allow?.startsWith('GET') === true ? 'GET' : 'CONNECT') && decision === 'allowed',
  ).length;
  if (asked === 0) throw new Error('nothing went through the gateway');
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
