/** One queued run on GitHub: check again, work, deliver, tell. What happens inside the VMs is `fix/run.ts`; what a kind of work has of its own is in its file. */
import { FixError, asFixError } from '../errors.ts';
import { narrowLimits, refuseBroken, refuseBySettings } from '../fix/base-settings.ts';
import { leftOfRun } from '../fix/budget.ts';
import { createReport, eventsOf } from '../fix/report.ts';
import type { RunEvent, RunReport } from '../fix/report.ts';
import { isPersonsStop } from '../fix/agent-end.ts';
import { runFix } from '../fix/run.ts';
import type { RunResult } from '../fix/run-request.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { GitHubRepository, Permission } from '../github/github.ts';
import type { BudgetShare, FixJob, FixOutcome, Work } from '../job.ts';
import type { Log } from '../log.ts';
import type { Values } from '../settings/values.ts';
import { endingReply } from './comment-texts.ts';
import { createCommandLabel } from './command-label.ts';
import { beginCheck, checkCommit, endCheck } from './commit-check.ts';
import { openFinishedWork } from './finished-work.ts';
import { followOwn } from './pull-commit.ts';
import { fixWork, resumeOf } from './fix-work.ts';
import { dropResumed, endStopped, holdWork, isLastFailure, waitsForGitHub } from './hold-work.ts';
import { createLivingComment } from './living-comment.ts';
import { recallSpend, subjectOf, summariseRun } from './memory.ts';
import type { KeptSpend, Memory } from './memory.ts';
import { openMessageDesk, withMessages } from './message-desk.ts';
import { planWork, presentPlan } from './plan-work.ts';
import { mergeWork } from './merge-work.ts';
import { repairWork } from './repair-work.ts';
import { reviseWork } from './revise-work.ts';
import { bringEarlier, endTalk } from './unheard.ts';
import { keepSettingsIssue, maySteer, readPermission, readRepositorySettings } from './repository-settings.ts';
import type { Attempt, JobContext, JobTools, Ready, TalkContext, WorkKind } from './work.ts';

const kinds: Record<Work['kind'], WorkKind> = { fix: fixWork, plan: planWork, revise: reviseWork, repair: repairWork, merge: mergeWork };

const tellTimeoutMs = 5 * 60_000;

/** Returns when the run has an outcome and the person who asked was told. Throws a FixError when it has to be tried again. */
export async function runJob(job: FixJob, attempt: Attempt, tools: JobTools): Promise<FixOutcome> {
  const report = createReport(job.runId);
  const startedAt = Date.now();
  const open = (signal: AbortSignal): GitHubRepository => tools.github.repository(job, { deliveryId: job.deliveryId, signal, records: report.tokens });
  using comment = createLivingComment({
    job,
    open,
    signal: attempt.signal,
    ownsRun: attempt.ownsRun,
    log: attempt.log,
    ...(job.pull && { lastLine: 'Commit' }),
  });
  const onEvent = (runId: string, event: RunEvent): void => {
    if (event.kind === 'done') attempt.log.info({ phase: event.phase, durationMs: event.durationMs, failed: event.failed }, 'phase ended');
    if (event.kind === 'step') void noteSpend(job, report, tools.memory);
    comment.event(event);
    tools.onEvent(runId, event);
  };
  const desk = openMessageDesk(attempt, ({ id, login, text }, givenAtStep) => comment.message({ id: String(id), login, text, givenAtStep }));
  const finished = openFinishedWork(job.runId, tools.vault, attempt.log);
  const label = createCommandLabel(job, attempt.log);
  let context: TalkContext = { job, attempt, tools: { ...tools, onEvent }, github: open(attempt.signal), report, comment, desk, finished, label };
  let outcome: FixOutcome;
  try {
    context = { ...context, job: await followOwn(context) };
    outcome = await attemptRun(context, kindOf(job), (placed) => (context = { ...context, job: placed }));
  } catch (thrown) {
    const error = attempt.signal.aborted ? asFixError(attempt.signal.reason, 'cancelled') : asFixError(thrown);
    attempt.log.error({ err: error }, 'run failed');
    // A run that is tried again, or waits for another day, says nothing: its comment is kept up to date by others.
    const waits = waitsForGitHub(error, context);
    if (waits || error.code === 'lock_lost' || error.code === 'over_limit' || (error.row.retry === 'later' && !attempt.lastAttempt)) {
      desk.stop();
      throw waits ? new FixError(error.code, { cause: error, details: { ...error.details, waits } }) : error;
    }
    outcome = error.code === 'cancelled' ? cancelled(error) : { kind: 'failed', code: error.code };
  }
  report.outcome = outcome;
  // Telling still has to work after the run was stopped: it gets a signal of its own.
  const signal = AbortSignal.timeout(tellTimeoutMs);
  const after: TalkContext = { ...context, attempt: { ...attempt, signal }, github: open(signal) };
  await tell(after, outcome);
  await remember(after, { outcome, startedAt });
  await endTalk({ ...after, github: open(AbortSignal.timeout(tellTimeoutMs)) }, outcome);
  await finished.drop();
  logFinished(attempt.log, report, outcome);
  tools.onReport(report);
  return outcome;
}

/** Who stopped it is told when a person did. */
function cancelled({ details }: FixError): FixOutcome {
  const { reason, login } = details;
  return { kind: 'cancelled', ...(typeof reason === 'string' && { reason }), ...(typeof login === 'string' && { by: login }) };
}

async function remember({ job, tools, report, attempt }: TalkContext, run: { outcome: FixOutcome; startedAt: number }): Promise<void> {
  if (!(await attempt.ownsRun())) return;
  await tools.memory.remember(job.repository.id, summariseRun(job, { report, ...run })).catch((err: unknown) => {
    attempt.log.warn({ err }, 'the run is not remembered');
  });
}

/** For whoever asks on another worker; nothing depends on it. */
async function noteSpend(job: FixJob, { steps, usage, costUsd }: RunReport, memory: Memory): Promise<void> {
  await memory.keep(subjectOf(job), 'spend', { runId: job.runId, steps, usage, costUsd } satisfies KeptSpend).catch(() => {});
}

function kindOf({ work }: FixJob): WorkKind {
  const kind = kinds[work.kind];
  if (kind === undefined) throw new FixError('job_invalid', { details: { work: work.kind } });
  return kind;
}

/** `onPlaced` hears of the job when its work goes onto another branch than it said. */
async function attemptRun(talk: TalkContext, kind: WorkKind, onPlaced: (job: FixJob) => void): Promise<FixOutcome> {
  const { job, github, tools, attempt } = talk;
  // Asked again, because the job may have waited for hours.
  const permission = await readPermission({ github, operator: tools.operator }, job.actor.login);
  if (!maySteer(permission)) return { kind: 'refused', reason: 'not_permitted' };
  const read = await readRepositorySettings({ github, owner: job.repository.owner, operator: tools.operator });
  const refused = 'problems' in read ? refuseBroken(read.problems) : refuseEarly(read.effective.values, permission, tools);
  if (refused !== null || 'problems' in read) {
    if ('problems' in read) await keepSettingsIssue({ github, repositoryId: job.repository.id, inTurn: tools.inTurn, signal: attempt.signal }, read.problems);
    await talk.label.take(github);
    return refused ?? { kind: 'refused', reason: 'settings_invalid' };
  }
  const asked: JobContext = { ...talk, settings: read.effective };
  const earlier = await talk.finished.recall(talk.report);
  // What was finished goes onto the head that it was made for, or nowhere.
  const pull = earlier === null ? ((await kind.place?.(asked)) ?? job.pull) : earlier.pull;
  const context = { ...asked, job: { ...job, pull } };
  onPlaced(context.job);
  // GitHub takes writes a second apart: the work does not wait for this one.
  const labelTaken = talk.label.take(github);
  try {
    return await checkAndWork(context, kind, earlier);
  } finally {
    await labelTaken;
  }
}

async function checkAndWork(context: JobContext, kind: WorkKind, earlier: Awaited<ReturnType<TalkContext['finished']['recall']>>): Promise<FixOutcome> {
  const { attempt, report, tools } = context;
  const early = await kind.check(context);
  if (early && earlier !== null) await holdWork(context, kind, early);
  if (early) return early;
  if (earlier !== null) return await orKeep(context, kind, async () => await deliverAgain(context, kind, earlier.ready));
  await recallEarlier(context);
  const { values } = context.settings;
  const { costUsd, tokens } = leftOfRun(narrowLimits(tools.limits, values).agent, report);
  const budget = await attempt.openBudget({ costUsd: tools.models.anyPriced ? costUsd : null, tokens, costUsdPerDay: values['budgets.costUsdPerDay'] });
  try {
    return await orKeep(context, kind, async () => await workAndDeliver(context, kind, budget));
  } finally {
    await budget.close();
  }
}

/** An attempt that is made again has the rest of what one run may use. */
async function recallEarlier({ job, report, tools }: TalkContext): Promise<void> {
  const spend = await recallSpend(tools.memory, subjectOf(job));
  if (spend?.runId !== job.runId) return;
  const { steps, usage, costUsd } = spend;
  Object.assign(report, { earlier: { steps, usage, costUsd }, steps, usage, costUsd });
}

/** When the work fails for good, or is stopped, what there is of it is kept. */
async function orKeep(context: JobContext, kind: WorkKind, work: () => Promise<FixOutcome>): Promise<FixOutcome> {
  try {
    return await work();
  } catch (thrown) {
    // What a person stops is kept; an issue that was closed is nobody's wish any more, and its author needs no write access to close it.
    const done = isPersonsStop(context.attempt.signal) ? await endStopped(context, kind) : null;
    if (done !== null) return done;
    if (isLastFailure(thrown, context)) await holdWork(context, kind, { kind: 'failed', code: asFixError(thrown).code });
    throw thrown;
  }
}

/** What the settings rule out before anything is set aside for the run. */
function refuseEarly(values: Values, permission: Permission, tools: JobTools): FixOutcome | null {
  if (!maySteer(permission, values['triggers.permission']))
    return { kind: 'refused', reason: 'not_permitted', detail: `triggers.permission: ${values['triggers.permission']}` };
  return refuseBySettings(values, tools.isolation);
}

async function workAndDeliver(context: JobContext, kind: WorkKind, budget: BudgetShare): Promise<FixOutcome> {
  const { job, report } = context;
  const result = await workBesideWords(context, kind, budget);
  if (result.kind === 'planned') return await presentPlan(context, result.text);
  if (result.kind === 'ended') {
    const resume = resumeOf(job.work);
    if (result.outcome.kind === 'no_change' && resume !== null) {
      report.heldBranch = resume.branch;
      return { kind: 'no_change', resumed: true };
    }
    await holdWork(context, kind, result.outcome);
    return result.outcome;
  }
  await context.finished.keep(job, result, report);
  return await deliver(context, kind, result);
}

/** GitHub takes writes a second apart, and the work does not wait for words; they log themselves what goes wrong. */
async function workBesideWords(context: JobContext, kind: WorkKind, budget: BudgetShare): Promise<RunResult> {
  const words = Promise.allSettled([context.comment.begin(), beginCheck(context)]);
  try {
    return await work(context, kind, budget);
  } finally {
    await words;
  }
}

async function work(context: JobContext, kind: WorkKind, budget: BudgetShare): Promise<RunResult> {
  const { job, report, tools, attempt, desk } = context;
  const issue = await kind.ask(context);
  await bringEarlier(context);
  return await runFix(
    {
      // What came while the run waited belongs to what it is asked.
      issue: { ...issue, instruction: withMessages(issue.instruction, await desk.take(1)) },
      repository: { name: `${job.repository.owner}/${job.repository.name}`, id: job.repository.id },
      wishes: { setup: null, test: null, allow: [] },
      fetch: async (signal) => await fetchRef(context, kind.base(job).ref, signal),
      // A branch may say what it likes of itself.
      ...(job.pull && { rules: async (signal: AbortSignal) => await fetchRef(context, job.repository.defaultBranch, signal) }),
      ...(kind.prepare && { prepare: kind.prepare.bind(kind, context) }),
      home: { server: new URL(context.github.cloneUrl).origin, installation: job.installationId, repository: job.repository.id },
      settings: context.settings,
      pinnedSha: kind.base(job).sha,
      resume: resumeOf(job.work) !== null,
      takeMessages: desk.take,
      report,
      budget,
      onEvent: (event) => tools.onEvent(job.runId, event),
      signal: attempt.signal,
      log: attempt.log,
    },
    tools,
  );
}

/** An earlier attempt did the work. */
async function deliverAgain(context: JobContext, kind: WorkKind, ready: Ready): Promise<FixOutcome> {
  const { comment, report } = context;
  for (const event of eventsOf(report)) comment.event(event);
  await comment.begin();
  await beginCheck(context);
  return await deliver(context, kind, ready);
}

async function deliver(context: JobContext, kind: WorkKind, ready: Ready): Promise<FixOutcome> {
  const outcome = await kind.deliver(context, ready);
  if (outcome.kind === 'published' || outcome.kind === 'pushed') await checkCommit(context, outcome.pullRequest.headSha);
  else await holdWork(context, kind, outcome);
  if (outcome.kind === 'published') await dropResumed(context);
  return outcome;
}

async function fetchRef({ github, tools }: JobContext, ref: string, signal: AbortSignal): Promise<Snapshot> {
  await using token = await github.cloneToken();
  return await tools.mirrors.fetch({ url: github.cloneUrl, token: token.value, ref }, signal);
}

/** The outcome stands whether or not GitHub takes the comment, so a failure here is logged and no more. */
async function tell(context: TalkContext, outcome: FixOutcome): Promise<void> {
  const { job, github, report, attempt, comment } = context;
  const { issue } = job;
  const ways: (() => Promise<void>)[] = [() => comment.end(github, outcome, report), () => endCheck(context, outcome)];
  const kind = kinds[job.work.kind];
  const isDone = outcome.kind === 'published' || outcome.kind === 'pushed' || outcome.kind === 'planned';
  // What is there to see, a pull request, a commit or a plan, is the answer.
  if (!isDone) ways.push(async () => void (await github.reply(issue.number, endingReply(job, outcome))));
  const target = reactionTarget(job);
  if (target !== null) ways.push(() => github.react(target, isDone ? 'rocket' : 'confused'));
  if (context.label.isLeft) ways.push(() => context.label.take(github));
  // Last, because it may take long.
  if (kind.tell) ways.push(() => kind.tell?.(context, outcome) ?? Promise.resolve());
  // A worker that lost the run leaves its end to the one that has it.
  const tellOwn = async (way: () => Promise<void>): Promise<void> => ((await attempt.ownsRun()) ? await way() : undefined);
  for (const way of ways) await tellOwn(way).catch((thrown: unknown) => attempt.log.error({ err: asFixError(thrown) }, 'outcome could not be told'));
}

/** What was asked with; a review as a whole cannot be reacted to. */
function reactionTarget({ trigger, issue }: FixJob): Parameters<GitHubRepository['react']>[0] | null {
  if (trigger.kind === 'label') return { kind: 'issue', id: issue.number };
  return trigger.kind === 'comment' ? { kind: trigger.on === 'diff' ? 'review_comment' : 'issue_comment', id: trigger.commentId } : null;
}

function logFinished(log: Log, report: RunReport, outcome: FixOutcome): void {
  const { steps, usage, costUsd, models, template, timingsMs, leftovers, tokens } = report;
  log.info(
    { outcome, steps, ...usage, costUsd, models, template, timingsMs, leftovers, tokensNotRevoked: tokens.filter((token) => !token.revoked).length },
    'run finished',
  );
}
