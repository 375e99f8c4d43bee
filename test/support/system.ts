/**
 * Mayfly whole, on this machine: the real web role, queue, worker and micro-VMs; a Redis of its own, the stand-in
 * GitHub and, unless the caller brings a model, scripted replies. The demo and the e2e tests both run on it.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../src/config.ts';
import type { RunEvent, RunReport } from '../../src/fix/report.ts';
import type { Log, Secrets } from '../../src/log.ts';
import { startWeb } from '../../src/web.ts';
import { startWorker } from '../../src/worker.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import type { StandInRepository } from './github/repository.ts';
import type { SeedRepository } from './github/seed.ts';
import { createStandInGitHub } from './github/stand-in.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import { startRedis } from './redis.ts';

export interface SystemOptions {
  /** The operator's environment; addresses, keys and directories of this system go over it. */
  readonly config: Config;
  readonly log: Log;
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
  readonly users: readonly string[];
  readonly repository: SeedRepository & { readonly owner: string };
  readonly onEvent?: (runId: string, event: RunEvent) => void;
}

export interface System extends AsyncDisposable {
  readonly config: Config;
  readonly standIn: StandInGitHub;
  readonly repository: StandInRepository;
  readonly stateDir: string;
  /** The next report of a run that has ended, in the order of their endings; rejects when the signal fires. */
  nextReport(): Promise<RunReport>;
}

/** Everything runs when it resolves; disposing takes it down in reverse order. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { log, secrets, signal } = options;
  await using starting = new AsyncDisposableStack();
  const stateDir = await mkdtemp(join(tmpdir(), 'mayfly-system-'));
  starting.defer(() => rm(stateDir, { recursive: true, force: true }));
  const redisUrl = options.config.REDIS_URL ?? (await ownRedis(starting));
  const standIn = starting.use(await createStandInGitHub({ users: options.users, organizations: [options.repository.owner] }));
  const repository = await standIn.seedRepository(options.repository);
  const config = configure(options.config, { standIn, stateDir, redisUrl });
  const web = await startWeb(config, { log, signal });
  starting.defer(() => web.close());
  standIn.webhooks.url = web.url;
  const reports = createReports(signal);
  const workerOptions: WorkerOptions = { log, secrets, signal, paced: false, onReport: reports.put, ...(options.onEvent && { onEvent: options.onEvent }) };
  const worker = await startWorker(config, workerOptions);
  starting.defer(() => worker.close(30_000));
  const parts = starting.move();
  return { config, standIn, repository, stateDir, nextReport: reports.next, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

async function ownRedis(parts: AsyncDisposableStack): Promise<string> {
  const redis = await startRedis();
  parts.defer(() => redis.stop());
  return redis.url;
}

function configure(config: Config, { standIn, stateDir, redisUrl }: { standIn: StandInGitHub; stateDir: string; redisUrl: string }): Config {
  return {
    ...config,
    REDIS_URL: redisUrl,
    MAYFLY_STATE_DIR: stateDir,
    WEBHOOK_SECRET: standIn.app.webhookSecret,
    MAYFLY_JOB_KEY: randomBytes(32).toString('hex'),
    APP_ID: standIn.app.appId,
    privateKey: standIn.app.privateKey,
    apiUrl: standIn.apiUrl,
    webUrl: standIn.webUrl,
    PORT: 0,
  };
}

/** Reports wait for readers, readers for reports. */
function createReports(signal: AbortSignal): { put(report: RunReport): void; next(): Promise<RunReport> } {
  const arrived: RunReport[] = [];
  const readers: PromiseWithResolvers<RunReport>[] = [];
  signal.addEventListener('abort', () => readers.splice(0).forEach((reader) => reader.reject(signal.reason as Error)), { once: true });
  return {
    put(report) {
      const reader = readers.shift();
      if (reader) reader.resolve(report);
      else arrived.push(report);
    },
    next() {
      const report = arrived.shift();
      if (report) return Promise.resolve(report);
      const reader = Promise.withResolvers<RunReport>();
      readers.push(reader);
      return reader.promise;
    },
  };
}
