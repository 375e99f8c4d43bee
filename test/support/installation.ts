/**
 * Mayfly as it is deployed, on this machine: web and worker are processes of their own, with an environment of their
 * own, and so is Redis; the stand-in GitHub and the scripted model live in the test.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findLoops } from '../../src/sandbox/capped-disk.ts';
import { findCgroups } from '../../src/sandbox/cgroup.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import type { StandInRepository } from './github/repository.ts';
import type { SeedFiles } from './github/seed.ts';
import { createStandInGitHub } from './github/stand-in.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import { startMayfly } from './mayfly-process.ts';
import type { MayflyProcess } from './mayfly-process.ts';
import { startRedis } from './redis.ts';
import type { RedisServer } from './redis.ts';
import { startScriptedEndpoint } from './scripted-endpoint.ts';
import type { ScriptedEndpoint, ScriptedReply } from './scripted-endpoint.ts';
import { issue, repository as story } from '../demo/story.ts';

export interface InstallationOptions {
  /** Added to the operator's environment, over ours. */
  readonly settings: Readonly<Record<string, string>>;
  /** Made once the stand-in knows its secrets. */
  readonly replies: (standIn: StandInGitHub) => readonly ScriptedReply[];
  /** Beside those of the story. */
  readonly files?: SeedFiles;
  /** Default: that of the story. */
  readonly repository?: { readonly owner: string; readonly name: string; readonly private: boolean; readonly files: SeedFiles };
}

export interface Installation extends AsyncDisposable {
  readonly standIn: StandInGitHub;
  readonly repository: StandInRepository;
  readonly redis: RedisServer;
  readonly endpoint: ScriptedEndpoint;
  readonly stateDir: string;
  readonly jobKey: string;
  /** What both roles get. */
  readonly environment: Readonly<Record<string, string>>;
  /** Every process that was started, oldest first. */
  readonly processes: readonly MayflyProcess[];
  /** Resolves when it listens, and GitHub knows where. */
  startWeb(): Promise<MayflyProcess>;
  /** Resolves when it takes runs. */
  startWorker(changes?: Readonly<Record<string, string>>): Promise<MayflyProcess>;
  /** An issue that its author labels, that of the story unless told. Resolves with its number, when the delivery was answered. */
  label(text?: { readonly title: string; readonly body: string }): Promise<number>;
  /** What of any VM of this installation is on this host: processes, control groups, loop devices, mounts, directories. */
  traces(): Promise<readonly string[]>;
}

export async function startInstallation({ settings, replies, files = {}, repository: seed = story }: InstallationOptions): Promise<Installation> {
  await using starting = new AsyncDisposableStack();
  const stateDir = await mkdtemp(join(tmpdir(), 'mayfly-installation-'));
  starting.defer(() => rm(stateDir, { recursive: true, force: true }));
  const redis = await startRedis();
  starting.defer(() => redis.stop());
  const standIn = starting.use(await createStandInGitHub({ users: ['ada'], organizations: [seed.owner] }));
  const collaborators = [{ login: 'ada', permission: 'write' as const }];
  const repository = await standIn.seedRepository({ ...seed, collaborators, files: { ...seed.files, ...files } });
  const endpoint = await startScriptedEndpoint(replies(standIn), 'turn');
  starting.defer(() => endpoint.close());
  const jobKey = randomBytes(32).toString('hex');
  const environment = {
    PATH: process.env['PATH'] ?? '',
    REDIS_URL: redis.url,
    WEBHOOK_SECRET: standIn.app.webhookSecret,
    MAYFLY_JOB_KEY: jobKey,
    APP_ID: String(standIn.app.appId),
    PRIVATE_KEY: standIn.app.privateKey,
    GITHUB_API_URL: standIn.apiUrl,
    GITHUB_SERVER_URL: standIn.webUrl,
    MAYFLY_STATE_DIR: stateDir,
    MAYFLY_MODEL: 'anthropic/scripted',
    ANTHROPIC_API_KEY: 'scripted-replies',
    ANTHROPIC_BASE_URL: endpoint.baseUrl,
    PORT: '0',
    // One person labels them all.
    MAYFLY_RUNS_PER_USER_AND_HOUR: '100',
    // Beside what they do in the background a test would not know what is left.
    MAYFLY_POOL_SIZE: '0',
    MAYFLY_REPOSITORY_TEMPLATES_GIB: '0',
    ...settings,
  };
  const processes: MayflyProcess[] = [];
  starting.defer(async () => void (await Promise.all(processes.map((one) => one.kill()))));
  const start = async (role: 'web' | 'worker', upMessage: string, changes = {}): Promise<MayflyProcess & { readonly url: string }> => {
    const started = startMayfly(role, { ...environment, ...changes });
    processes.push(started);
    const { url = '' } = await started.logged(({ msg }) => msg === upMessage);
    return { ...started, url };
  };
  const parts = starting.move();
  return {
    standIn,
    repository,
    redis,
    endpoint,
    stateDir,
    jobKey,
    environment,
    processes,
    async startWeb() {
      const web = await start('web', 'web is up');
      standIn.webhooks.url = web.url;
      return web;
    },
    startWorker: (changes) => start('worker', 'worker is up', changes),
    async label(text = issue) {
      const number = await repository.createIssue({ as: 'ada', ...text });
      await repository.label({ as: 'ada', issue: number, label: 'mayfly' });
      await standIn.webhooks.settled();
      return number;
    },
    traces: () => findTraces(stateDir, processes),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function findTraces(stateDir: string, processes: readonly MayflyProcess[]): Promise<readonly string[]> {
  const vms = join(stateDir, 'vms');
  const pooled = processes.flatMap(({ lines }) => lines.flatMap((line) => /"sandboxId":"(pool-[^"]+)"/.exec(line)?.[1] ?? []));
  const runIds = new Set(processes.flatMap(({ lines }) => lines.flatMap((line) => /"runId":"([^"]+)"/.exec(line)?.[1] ?? [])));
  const ids = [...runIds].flatMap((runId) => ['agent', 'proof', 'proof2', 'proof3', 'proof4'].map((suffix) => `${runId}-${suffix}`));
  const ofVms = await Promise.all(
    [...ids, ...pooled].map(async (id) => [...(await findProcesses(id)).map((pid) => `process ${pid} of ${id}`), ...(await findCgroups(id))]),
  );
  return [...ofVms.flat(), ...(await findLoops(vms)), ...(await findMounts(vms)), ...(await readdir(vms))];
}

/** In whatever mount namespace. */
async function findMounts(directory: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const tables = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')));
  return [...new Set(tables.flatMap((table) => table.split('\n').filter((line) => line.includes(directory))))];
}
