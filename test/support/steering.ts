/**
 * Mayfly from a comment to what people read, without VMs: the stand-in GitHub, the real web role, queue and intake, and
 * runs whose VMs are folders of this host. The model says what the test says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { takeInEvent } from '../../src/bot/take-in-event.ts';
import { runJob } from '../../src/bot/run-job.ts';
import type { ReviewTools } from '../../src/bot/review-intake.ts';
import type { Intake, IntakeTools } from '../../src/bot/scene.ts';
import type { JobTools } from '../../src/bot/work.ts';
import type { RunReport } from '../../src/fix/report.ts';
import type { WorkerQueue } from '../../src/queue/queue.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import { startWeb } from '../../src/web.ts';
import type { StandInRepository } from './github/repository.ts';
import { createStandInGitHub } from './github/stand-in.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import { createUserClient, failOnViolations } from './github/clients.ts';
import { openPort } from './github-port.ts';
import { createFolder } from './git-repository.ts';
import { createJobTools } from './job-tools.ts';
import { startRedis } from './redis.ts';
import { createScriptedModel, onlyModel } from './scripted-model.ts';
import type { PlannedReply, ScriptedModel } from './scripted-model.ts';
import { deliver, jobKey, sign, webConfig } from './web-role.ts';

export interface SteeringOptions {
  readonly replies?: readonly PlannedReply[];
  /** `.github/mayfly.yml`. */
  readonly settings?: string;
  /** Before a run does anything. */
  readonly beforeRun?: () => Promise<void>;
  readonly private?: boolean;
  readonly issue?: { readonly title?: string; readonly body?: string };
}

export interface Steering extends AsyncDisposable {
  readonly standIn: StandInGitHub;
  readonly repository: StandInRepository;
  readonly queue: WorkerQueue;
  readonly model: ScriptedModel;
  /** The one issue, by ada. */
  readonly issue: number;
  readonly reports: readonly RunReport[];
  readonly outsiders: () => number;
  /** By ada; resolves with its id when all that GitHub sent was taken in. */
  comment(body: string, as?: string): Promise<number>;
  label(as?: string): Promise<void>;
  /** The issue, by ada. */
  edit(change: { title?: string; body?: string }): Promise<void>;
  /** A delivery that the stand-in would not send by itself. */
  deliver(event: string, payload: Record<string, unknown>): Promise<void>;
  /** Everything that GitHub sent was taken in. */
  settled(): Promise<void>;
  /** Resolves with the report of the next run that ends. */
  nextReport(): Promise<RunReport>;
  comments(): Promise<readonly string[]>;
  reactionsOf(comment: number): Promise<readonly string[]>;
}

const files = { 'package.json': JSON.stringify({ name: 'x', scripts: { test: 'grep -q good src.txt' } }), 'src.txt': 'bad\n' };
const described = { title: 'The file says bad', body: 'It should say good, as its name promises to everybody.' };

export async function startSteering(options: SteeringOptions = {}): Promise<Steering> {
  await using starting = new AsyncDisposableStack();
  const log = pino({ level: 'silent' });
  const accepted = new Set<string>();
  const webLog = pino({ level: 'info' }, { write: (line) => noteAccepted(line, accepted) });
  const redis = await startRedis();
  starting.defer(() => redis.stop());
  const standIn = starting.use(await createStandInGitHub());
  const repository = await standIn.seedRepository({
    private: options.private ?? true,
    files: { ...files, ...(options.settings !== undefined && { '.github/mayfly.yml': options.settings }) },
    collaborators: [{ login: 'ada', permission: 'write' }],
  });
  const config = webConfig(redis.url, { WEBHOOK_SECRET: standIn.app.webhookSecret, APP_ID: standIn.app.appId });
  const web = await startWeb(config, { log: webLog, signal: new AbortController().signal });
  starting.defer(() => web.close());
  standIn.webhooks.url = web.url;
  const queue = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 2, backoffMs: 50, log });
  starting.defer(() => queue.close(0));
  const folder = createFolder();
  starting.defer(() => folder[Symbol.dispose]());
  const model = createScriptedModel(options.replies ?? [], { usdPerToken: 0.001 });
  const reports: RunReport[] = [];
  const { github } = openPort(standIn, repository);
  const memory = { ...queue.keepsakes, remember: queue.remember, past: queue.past };
  const tools: JobTools = {
    ...createJobTools({ directory: folder.path, github, models: onlyModel(model), memory, vault: queue.vault }),
    onReport: (report) => void reports.push(report),
  };
  let outsiders = 0;
  const intakeTools: IntakeTools & ReviewTools = {
    github,
    queue,
    memory,
    inTurn: queue.inTurn,
    operator: silentOperator,
    countOutsider: () => (outsiders += 1),
    signal: new AbortController().signal,
  };
  const taken = new Set<string>();
  await queue.consume({
    intake: async (event, intakeLog) => {
      const intake = event as Intake;
      await takeInEvent(intake, intakeTools, intakeLog).finally(() => taken.add(intake.deliveryId));
    },
    run: async (job, context) => {
      await options.beforeRun?.();
      return await runJob(job, context, tools);
    },
  });
  const settled = async (): Promise<void> => {
    await standIn.webhooks.settled();
    await until(() => [...accepted].every((id) => taken.has(id)));
  };
  const issue = await repository.createIssue({ as: 'ada', ...described, ...options.issue });
  await settled();
  const parts = starting.move();
  let readUpTo = 0;
  return {
    standIn,
    repository,
    queue,
    model,
    issue,
    reports,
    outsiders: () => outsiders,
    settled,
    async comment(body, as = 'ada') {
      const id = await repository.comment({ as, issue, body });
      await settled();
      return id;
    },
    async label(as = 'ada') {
      await repository.label({ as, issue, label: 'mayfly' });
      await settled();
    },
    async deliver(event, payload) {
      const { id, owner, name } = repository;
      const at = { id, name, private: options.private ?? true, default_branch: 'main', owner: { login: owner } };
      const body = JSON.stringify({ ...payload, repository: at, installation: { id: standIn.app.installationId } });
      const headers = { 'x-hub-signature-256': sign(body, standIn.app.webhookSecret), 'x-github-hook-installation-target-id': String(standIn.app.appId) };
      const { status, text } = await deliver(web.url, body, { event, headers });
      if (status !== 200) throw new Error(`${status} ${text}`);
      await settled();
    },
    async edit(change) {
      const { owner, name: repo } = repository;
      await createUserClient(standIn, 'ada').rest.issues.update({ owner, repo, issue_number: issue, ...change });
      await settled();
    },
    async nextReport() {
      await until(() => reports.length > readUpTo);
      return reports[readUpTo++] as RunReport;
    },
    comments: async () => (await repository.comments(issue)).map((comment) => comment.body as string),
    reactionsOf: async (comment) => await readReactions(standIn, repository, comment),
    async [Symbol.asyncDispose]() {
      await parts.disposeAsync();
      failOnViolations(standIn);
    },
  };
}

/** A delivery that is in the queue, as the web role's log says. */
function noteAccepted(line: string, accepted: Set<string>): void {
  const { msg, result, deliveryId } = JSON.parse(line) as { msg: string; result?: string; deliveryId?: string };
  if (msg === 'delivery accepted' && result === 'queued' && deliveryId !== undefined) accepted.add(deliveryId);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

async function readReactions(standIn: StandInGitHub, { fullName }: StandInRepository, comment: number): Promise<readonly string[]> {
  const headers = { authorization: `token ${standIn.userToken('ada')}`, accept: 'application/vnd.github+json' };
  const response = await fetch(`${standIn.apiUrl}/repos/${fullName}/issues/comments/${comment}/reactions`, { headers });
  return ((await response.json()) as { content: string }[]).map(({ content }) => content);
}
