/** One queued run on GitHub: check again, work, deliver, tell. What happens inside the VMs is `fix/run.ts`; what a kind of work has of its own is in its file. */
import { FixError, asFixError } from '../errors.ts';
import { proofCheck } from '../fix/proof-text.ts';
import { createReport } from '../fix/report.ts';
import type { RunEvent, RunReport } from '../fix/report.ts';
import { runFix } from '../fix/run.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { BudgetShare, FixJob, FixOutcome, Work } from '../job.ts';
import type { Log } from '../log.ts';
import { commentMarker, doneComment, endingReply, runningComment } from './comment-texts.ts';
import { fixWork } from './fix-work.ts';
import { commitMessage } from './pull-texts.ts';
import { mergeWork } from './merge-work.ts';
import { repairWork } from './repair-work.ts';
import { reviseWork } from './revise-work.ts';
import type { Attempt, JobContext, JobTools, WorkKind } from './work.ts';

const kinds: Partial<Record<Work['kind'], WorkKind>> = { fix: fixWork, revise: reviseWork, repair: repairWork, merge: mergeWork };

const tellTimeoutMs = 5 * 60_000;

/** Returns when the run has an outcome and the person who asked was told. Throws a FixError when it has to be tried again. */
export async function runJob(job: FixJob, attempt: Attempt, tools: JobTools): Promise<FixOutcome> {
  const report = createReport(job.runId);
  const { deliveryId } = job;
  const github = tools.github.repository(job, { deliveryId, signal: attempt.signal, records: report.tokens });
  const context: JobContext = { job, attempt, tools, github, report };
  let outcome: FixOutcome;
  try {
    outcome = await attemptRun(context, kindOf(job));
  } catch (thrown) {
    const error = attempt.signal.aborted ? asFixError(attempt.signal.reason, 'cancelled') : asFixError(thrown);
    attempt.log.error({ err: error }, 'run failed');
    // A run that is tried again says nothing: the comment keeps showing it as running.
    if (error.code === 'lock_lost' || (error.row.retry === 'later' && !attempt.lastAttempt)) throw error;
    outcome = error.code === 'cancelled' ? { kind: 'cancelled' } : { kind: 'failed', code: error.code };
  }
  report.outcome = outcome;
  // Telling still has to work after the run was stopped: it gets a signal of its own.
  const signal = AbortSignal.timeout(tellTimeoutMs);
  await tell({ ...context, github: tools.github.repository(job, { deliveryId, signal, records: report.tokens }) }, outcome);
  logFinished(attempt.log, report, outcome);
  tools.onReport(report);
  return outcome;
}

function kindOf({ work }: FixJob): WorkKind {
  const kind = kinds[work.kind];
  if (kind === undefined) throw new FixError('job_invalid', { details: { work: work.kind } });
  return kind;
}

async function attemptRun(context: JobContext, kind: WorkKind): Promise<FixOutcome> {
  const { job, github, tools, attempt } = context;
  // Asked again, because the job may have waited for hours.
  const permission = await github.permission(job.actor.login);
  if (permission !== 'admin' && permission !== 'write') return { kind: 'refused', reason: 'not_permitted' };
  const early = await kind.check(context);
  if (early) return early;
  const { costUsd, tokens } = tools.limits.agent;
  const budget = await attempt.openBudget({ costUsd: tools.models.anyPriced ? costUsd : null, tokens });
  if ('reached' in budget) return { kind: 'refused', reason: 'daily_budget', budget: budget.reached };
  try {
    return await workAndDeliver(context, kind, budget);
  } finally {
    await budget.close();
  }
}

async function workAndDeliver(context: JobContext, kind: WorkKind, budget: BudgetShare): Promise<FixOutcome> {
  const { job, github, report, tools, attempt } = context;
  await github.livingComment(job.issue.number, commentMarker, runningComment(job));
  const onEvent = (event: RunEvent): void => {
    if (event.kind === 'done') attempt.log.info({ phase: event.phase, durationMs: event.durationMs, failed: event.failed }, 'phase ended');
    tools.onEvent(job.runId, event);
  };
  const result = await runFix(
    {
      issue: await kind.ask(context),
      wishes: { setup: null, test: null, allow: [] },
      fetch: async (signal) => await fetchRef(context, kind.base(job).ref, signal),
      // A branch may say what it likes of itself.
      ...(job.pull && { rules: async (signal: AbortSignal) => await fetchRef(context, job.repository.defaultBranch, signal) }),
      ...(kind.prepare && { prepare: kind.prepare.bind(kind, context) }),
      pinnedSha: kind.base(job).sha,
      report,
      budget,
      onEvent,
      signal: attempt.signal,
      log: attempt.log,
    },
    tools,
  );
  if (result.kind === 'ended') {
    await holdWork(context, kind, result.outcome);
    return result.outcome;
  }
  const outcome = await kind.deliver(context, result);
  if (outcome.kind === 'published' || outcome.kind === 'pushed') await checkCommit(context, outcome.pullRequest.headSha);
  return outcome;
}

async function fetchRef({ github, tools }: JobContext, ref: string, signal: AbortSignal): Promise<Snapshot> {
  await using token = await github.cloneToken();
  return await tools.mirrors.fetch({ url: github.cloneUrl, token: token.value, ref }, signal);
}

/** Work that is not good enough to be delivered is kept on a branch, where nothing runs it. The outcome stands without. */
async function holdWork(context: JobContext, kind: WorkKind, outcome: FixOutcome): Promise<void> {
  const { job, github, report, attempt } = context;
  const worthKeeping = outcome.kind === 'gave_up' || outcome.kind === 'stopped' || (outcome.kind === 'refused' && outcome.reason === 'regressed');
  if (!worthKeeping || report.patch === null) return;
  const { baseSha, files } = report.patch;
  const { signal, ownsRun } = attempt;
  try {
    const held = await github.hold({ baseSha, files, branch: kind.heldBranch(job), commitMessage: commitMessage(job, 'hold'), signal, ownsRun });
    report.heldBranch = held.branch;
    await checkCommit(context, held.headSha);
  } catch (thrown) {
    const error = asFixError(thrown);
    // Another worker has the run, and tells its end.
    if (error.code === 'lock_lost') throw error;
    signal.throwIfAborted();
    attempt.log.error({ err: error }, 'work could not be kept on a branch');
  }
}

/** The proof, beside the commit. What is published stands whatever becomes of it, also when the run is stopped here. */
async function checkCommit({ job, github, report, attempt }: JobContext, headSha: string): Promise<void> {
  if (report.proof === null) return;
  try {
    await github.check({ headSha, name: 'Mayfly proof', externalId: job.runId, ...proofCheck(report.proof) });
  } catch (thrown) {
    attempt.log.error({ err: asFixError(thrown) }, 'check could not be written');
  }
}

/** The outcome stands whether or not GitHub takes the comment, so a failure here is logged and no more. */
async function tell(context: JobContext, outcome: FixOutcome): Promise<void> {
  const { job, github, report, attempt } = context;
  const { issue, trigger } = job;
  const kind = kinds[job.work.kind];
  const isDone = outcome.kind === 'published' || outcome.kind === 'pushed';
  const ways: (() => Promise<void>)[] = [() => github.livingComment(issue.number, commentMarker, doneComment(report, outcome))];
  if (kind?.tell) ways.push(() => kind.tell?.(context, outcome) ?? Promise.resolve());
  if (!isDone) ways.push(() => github.reply(issue.number, endingReply(job, outcome)));
  if (trigger.kind === 'comment') {
    const kindOfComment = trigger.on === 'diff' ? 'review_comment' : 'issue_comment';
    ways.push(() => github.react({ kind: kindOfComment, id: trigger.commentId }, isDone ? 'rocket' : 'confused'));
  }
  for (const way of ways) await way().catch((thrown: unknown) => attempt.log.error({ err: asFixError(thrown) }, 'outcome could not be told'));
}

function logFinished(log: Log, report: RunReport, outcome: FixOutcome): void {
  const { steps, usage, costUsd, models, timingsMs, leftovers, tokens } = report;
  log.info(
    { outcome, steps, ...usage, costUsd, models, timingsMs, leftovers, tokensNotRevoked: tokens.filter((token) => !token.revoked).length },
    'run finished',
  );
}
