/** One repository with one labeled issue on the stand-in GitHub, and runs on it whose VMs are folders of this host. */
import { pino } from 'pino';
import { runJob } from '../../src/bot/run-job.ts';
import type { Attempt, JobTools } from '../../src/bot/work.ts';
import type { RunReport } from '../../src/fix/report.ts';
import type { RepositoryTemplates } from '../../src/fix/repository-template.ts';
import type { RunLimits } from '../../src/fix/run-request.ts';
import type { Memory } from '../../src/bot/memory.ts';
import type { FixJob } from '../../src/job.ts';
import type { Models } from '../../src/model/model.ts';
import { aShare } from './budget.ts';
import { createFolder } from './git-repository.ts';
import type { StandInRepository } from './github/repository.ts';
import { createStandInGitHub } from './github/stand-in.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import { openPort } from './github-port.ts';
import { aJob } from './jobs.ts';
import { createJobTools } from './job-tools.ts';
import { createMemory, createMemoryVault } from './memory.ts';
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
  readonly vault?: JobTools['vault'];
  readonly limits?: Partial<RunLimits>;
  readonly repositoryTemplates?: RepositoryTemplates;
  /** In the place of the usual ones. */
  readonly tools?: (usual: JobTools) => Partial<JobTools>;
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
  readonly memory: Memory;
  run(replies: readonly PlannedReply[], change?: RunChange): Promise<IssueRun>;
  /** Texts of the issue's comments, oldest first. */
  comments(): Promise<readonly string[]>;
}

/** Tests pass when src.txt, which says bad, says good. Not with npm, which takes longer to start than most that a run here does. */
const makefile = 'test:\n\tgrep -q good src.txt\n';

/** A package.json among the files says for itself how it is tested. */
export async function createIssueWorld(files: Readonly<Record<string, string>> = {}): Promise<IssueWorld> {
  const stack = new AsyncDisposableStack();
  const standIn = stack.use(await createStandInGitHub());
  const all = { ...(!('package.json' in files) && { Makefile: makefile }), 'src.txt': 'bad\n', ...files };
  const repository = await standIn.seedRepository({ private: true, files: all, collaborators: [{ login: 'ada', permission: 'write' }] });
  const text = { title: 'It is bad', body: 'It should be good, and the file says that it is not.' };
  const number = await repository.createIssue({ as: 'ada', ...text });
  await repository.label({ as: 'ada', issue: number, label: 'mayfly' });
  const { owner, name, id } = repository;
  const ids = { installationId: standIn.app.installationId, issue: number };
  const job: FixJob = { ...aJob(ids), issue: { number, ...text }, repository: { id, owner, name, private: true, defaultBranch: 'main' } };
  const memory = createMemory();
  const vault = createMemoryVault();
  return {
    standIn,
    repository,
    job,
    memory,
    run: async (replies, change = {}) => await runOne({ standIn, repository, job, memory, vault, stack }, replies, change),
    comments: async () => (await repository.comments(number)).map((comment) => comment.body as string),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

interface Place extends Pick<IssueWorld, 'standIn' | 'repository' | 'job' | 'memory'> {
  readonly vault: JobTools['vault'];
  readonly stack: AsyncDisposableStack;
}

async function runOne(
  { standIn, repository, job, memory, vault, stack }: Place,
  replies: readonly PlannedReply[],
  { onBoot, attempt, models, limits, vault: otherVault = vault, job: changes, repositoryTemplates, tools: others }: RunChange,
): Promise<IssueRun> {
  const folder = createFolder();
  stack.defer(() => folder[Symbol.dispose]());
  const log = pino({ level: 'silent' });
  const boots: string[] = [];
  const model = createScriptedModel(replies, { usdPerToken: 0.001 });
  let report: RunReport | null = null;
  const { github } = openPort(standIn, repository);
  const own = createJobTools({
    directory: folder.path,
    github,
    models: models ?? onlyModel(model),
    memory,
    vault: otherVault,
    onBoot: (id) => {
      boots.push(id.replace(`${job.runId}-`, ''));
      onBoot?.(id);
    },
  });
  const tools: JobTools = {
    ...own,
    repositoryTemplates: repositoryTemplates ?? null,
    limits: { ...own.limits, ...limits },
    ...others?.(own),
    onReport: (made) => (report = made),
  };
  const { signal } = new AbortController();
  await runJob(
    { ...job, ...changes },
    {
      lastAttempt: false,
      canWait: true,
      signal,
      log,
      ownsRun: () => Promise.resolve(true),
      openBudget: () => Promise.resolve(aShare()),
      takeMessages: () => Promise.resolve([]),
      closeMessages: () => Promise.resolve(),
      ...attempt,
    },
    tools,
  );
  const live = standIn.tokens.filter((token) => !token.revoked);
  if (live.length > 0) throw new Error(`${live.length} tokens were not revoked: ${JSON.stringify(live)}`);
  if (report === null) throw new Error('no report');
  return { report, boots, model };
}
