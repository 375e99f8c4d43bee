/** One repository with one labeled issue on the stand-in GitHub, and runs on it whose VMs are folders of this host. */
import { pino } from 'pino';
import { runJob } from '../../src/bot/run-job.ts';
import type { Attempt, JobTools } from '../../src/bot/work.ts';
import type { RunReport } from '../../src/fix/report.ts';
import type { RunLimits } from '../../src/fix/run.ts';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import type { FixJob } from '../../src/job.ts';
import { createSecrets } from '../../src/log.ts';
import type { Models } from '../../src/model/model.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import { aShare } from './budget.ts';
import { createFolder } from './git-repository.ts';
import type { StandInRepository } from './github/repository.ts';
import { createStandInGitHub } from './github/stand-in.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import { openPort } from './github-port.ts';
import { createHostProvider } from './host-provider.ts';
import { aJob } from './jobs.ts';
import { calls, createScriptedModel, onlyModel } from './scripted-model.ts';
import type { PlannedReply, ScriptedModel } from './scripted-model.ts';

export const bash = (command: string): PlannedReply => calls(['bash', { command }]);
export const submit = (more: object = {}): PlannedReply => calls(['submit', { summary: 'Done.', files: ['src.txt'], ...more }]);

export interface RunChange {
  /** Instead of one that answers with the replies. */
  readonly models?: Models;
  readonly onBoot?: (id: string) => void;
  readonly attempt?: Partial<Attempt>;
  readonly job?: Partial<FixJob> | undefined;
  readonly limits?: Partial<RunLimits>;
}

export interface IssueRun {
  readonly report: RunReport;
  /** Suffixes of the VMs' ids, in their order. */
  readonly boots: readonly string[];
  readonly model: ScriptedModel;
}

export interface IssueWorld extends AsyncDisposable {
  readonly standIn: StandInGitHub;
  readonly repository: StandInRepository;
  readonly job: FixJob;
  run(replies: readonly PlannedReply[], change?: RunChange): Promise<IssueRun>;
  /** Texts of the issue's comments, oldest first. */
  comments(): Promise<readonly string[]>;
}

/** Tests pass when src.txt, which says bad, says good. */
const manifest = JSON.stringify({ name: 'x', scripts: { test: 'grep -q good src.txt' } });

export async function createIssueWorld(files: Readonly<Record<string, string>> = {}): Promise<IssueWorld> {
  const stack = new AsyncDisposableStack();
  const standIn = stack.use(await createStandInGitHub());
  const all = { 'package.json': manifest, 'src.txt': 'bad\n', ...files };
  const repository = await standIn.seedRepository({ private: true, files: all, collaborators: [{ login: 'ada', permission: 'write' }] });
  const number = await repository.createIssue({ as: 'ada', title: 'It is bad', body: 'It should be good.' });
  await repository.label({ as: 'ada', issue: number, label: 'mayfly' });
  const { owner, name, id } = repository;
  const ids = { installationId: standIn.app.installationId, issue: number };
  const job: FixJob = { ...aJob(ids), repository: { id, owner, name, private: true, defaultBranch: 'main' } };
  return {
    standIn,
    repository,
    job,
    run: async (replies, change = {}) => await runOne({ standIn, repository, job, stack }, replies, change),
    comments: async () => (await repository.comments(number)).map((comment) => comment.body as string),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

interface Place extends Pick<IssueWorld, 'standIn' | 'repository' | 'job'> {
  readonly stack: AsyncDisposableStack;
}

async function runOne(
  { standIn, repository, job, stack }: Place,
  replies: readonly PlannedReply[],
  { onBoot, attempt, models, limits, job: changes }: RunChange,
): Promise<IssueRun> {
  const folder = createFolder();
  stack.defer(() => folder[Symbol.dispose]());
  const log = pino({ level: 'silent' });
  const boots: string[] = [];
  const model = createScriptedModel(replies, { usdPerToken: 0.001 });
  let report: RunReport | null = null;
  const tools: JobTools = {
    providerReason: 'the test says so',
    isolation: 'emulation',
    operator: silentOperator,
    provider: createHostProvider((id) => {
      boots.push(id.replace(`${job.runId}-`, ''));
      onBoot?.(id);
    }),
    models: models ?? onlyModel(model),
    openGateway: () => ({ accept: () => {}, enter: () => {}, ledger: [], unlisted: 0, close: () => Promise.resolve() }),
    surroundings: { caPem: '', guestEnv: {}, registryHosts: [], install: { path: '', argv: [] } },
    guestNodeVersion: '26.10.0',
    guestPackages: [],
    openTranscript: () => Promise.resolve({ file: '', write: () => Promise.resolve() }),
    limits: {
      agent: { steps: 20, costUsd: 5, tokens: 100_000, commandTimeoutMs: 20_000, softTimeMs: 60_000, hardTimeMs: 90_000 },
      patch: { maxFiles: 100, maxBytes: 2 ** 20 },
      setupTimeoutMs: 20_000,
      proofTimeoutMs: 60_000,
      proofRounds: 2,
      ancestors: 50,
      ...limits,
    },
    secrets: createSecrets(),
    github: openPort(standIn, repository).github,
    mirrors: createMirrors({ directory: folder.path, environment: { PATH: '/usr/bin:/bin' }, log }),
    onEvent: () => {},
    onReport: (made) => (report = made),
  };
  const { signal } = new AbortController();
  await runJob(
    { ...job, ...changes },
    { lastAttempt: false, signal, log, ownsRun: () => Promise.resolve(true), openBudget: () => Promise.resolve(aShare()), ...attempt },
    tools,
  );
  const live = standIn.tokens.filter((token) => !token.revoked);
  if (live.length > 0) throw new Error(`${live.length} tokens were not revoked`);
  if (report === null) throw new Error('no report');
  return { report, boots, model };
}
