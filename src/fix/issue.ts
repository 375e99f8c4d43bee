/** One queued run on GitHub: check again, work, publish, tell. What happens inside the VMs is run.ts. */
import { FixError, asFixError } from '../errors.ts';
import type { Mirrors } from '../git/mirror.ts';
import type { GitHub, GitHubRepository } from '../github/github.ts';
import type { Budget, BudgetShare, FixJob, FixOutcome, Patch, PullRequest } from '../job.ts';
import type { Log } from '../log.ts';
import { commentMarker, commitMessage, doneComment, endingReply, pullRequestBody, pullRequestTitle, runMarker, runningComment } from './messages.ts';
import type { Plan } from './plan.ts';
import { proofCheck } from './proof-text.ts';
import { createReport, createTimer } from './report.ts';
import type { RunEvent, RunReport } from './report.ts';
import { runFix } from './run.ts';
import type { RunTools } from './run.ts';

export interface IssueTools extends RunTools {
  readonly github: GitHub;
  readonly mirrors: Mirrors;
  /** For people who watch (the demo's timeline); nothing depends on it. */
  readonly onEvent: (runId: string, event: RunEvent) => void;
  readonly onReport: (report: RunReport) => void;
}

export interface Attempt {
  readonly lastAttempt: boolean;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly ownsRun: () => Promise<boolean>;
  /** A share of what is left of the day, or the budget of which nothing is. `costUsd: null`: money is not looked at. */
  readonly openBudget: (wanted: { costUsd: number | null; tokens: number }) => Promise<BudgetShare | { readonly reached: Budget }>;
}

const tellTimeoutMs = 5 * 60_000;

interface Context {
  readonly job: FixJob;
  readonly attempt: Attempt;
  readonly tools: IssueTools;
  readonly github: GitHubRepository;
  readonly report: RunReport;
}

/** Returns when the run has an outcome and the person who asked was told. Throws a FixError when it has to be tried again. */
export async function fixIssue(job: FixJob, attempt: Attempt, tools: IssueTools): Promise<FixOutcome> {
  const report = createReport(job.runId);
  const { deliveryId } = job;
  const github = tools.github.repository(job, { deliveryId, signal: attempt.signal, records: report.tokens });
  const context: Context = { job, attempt, tools, github, report };
  let outcome: FixOutcome;
  try {
    outcome = await attemptRun(context);
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

async function attemptRun(context: Context): Promise<FixOutcome> {
  const { job, github, tools, attempt } = context;
  const early = await endEarly(job, github);
  if (early) return early;
  const { costUsd, tokens } = tools.limits.agent;
  const budget = await attempt.openBudget({ costUsd: tools.models.anyPriced ? costUsd : null, tokens });
  if ('reached' in budget) return { kind: 'refused', reason: 'daily_budget', budget: budget.reached };
  try {
    return await workAndPublish(context, budget);
  } finally {
    await budget.close();
  }
}

async function workAndPublish(context: Context, budget: BudgetShare): Promise<FixOutcome> {
  const { job, github, report, tools, attempt } = context;
  await github.livingComment(job.issue.number, commentMarker, runningComment(job));
  const onEvent = (event: RunEvent): void => {
    if (event.kind === 'done') attempt.log.info({ phase: event.phase, durationMs: event.durationMs, failed: event.failed }, 'phase ended');
    tools.onEvent(job.runId, event);
  };
  const comment = job.trigger.kind === 'comment' ? job.trigger : null;
  const conversation = await github.conversation(job.issue.number, { at: job.requestedAt, commentId: comment?.commentId ?? null });
  const result = await runFix(
    {
      issue: { title: job.issue.title, body: job.issue.body, instruction: comment?.instruction ?? null, conversation },
      wishes: { setup: null, test: null, allow: [] },
      fetch: async (signal) => {
        await using token = await github.cloneToken();
        return await tools.mirrors.fetch({ url: github.cloneUrl, token: token.value, ref: job.repository.defaultBranch }, signal);
      },
      report,
      budget,
      onEvent,
      signal: attempt.signal,
      log: attempt.log,
    },
    tools,
  );
  if (result.kind === 'ended') {
    await holdWork(context, result.outcome);
    return result.outcome;
  }
  const pullRequest = await createTimer({ report, onEvent })('publish', () => publish(context, result));
  await checkCommit(context, pullRequest.headSha);
  return { kind: 'published', pullRequest };
}

/** Work that is not good enough for a pull request is kept on a branch, where nothing runs it. The outcome stands without. */
async function holdWork(context: Context, outcome: FixOutcome): Promise<void> {
  const { job, github, report, attempt } = context;
  const worthKeeping = outcome.kind === 'gave_up' || outcome.kind === 'stopped' || (outcome.kind === 'refused' && outcome.reason === 'regressed');
  if (!worthKeeping || report.patch === null) return;
  const { baseSha, files } = report.patch;
  const { signal, ownsRun } = attempt;
  try {
    const held = await github.hold({ baseSha, files, branch: `${branchFor(job)}-held`, commitMessage: commitMessage(job, 'hold'), signal, ownsRun });
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
async function checkCommit({ job, github, report, attempt }: Context, headSha: string): Promise<void> {
  if (report.proof === null) return;
  try {
    await github.check({ headSha, name: 'Mayfly proof', externalId: job.runId, ...proofCheck(report.proof) });
  } catch (thrown) {
    attempt.log.error({ err: asFixError(thrown) }, 'check could not be written');
  }
}

/** What can be known before a VM boots: permission and state, asked again because the job may have waited for hours. */
async function endEarly(job: FixJob, github: GitHubRepository): Promise<FixOutcome | null> {
  const permission = await github.permission(job.actor.login);
  if (permission !== 'admin' && permission !== 'write') return { kind: 'refused', reason: 'not_permitted' };
  // The label is a command that was taken: whatever comes of it, the next one starts with labelling again.
  if (job.trigger.kind === 'label') await github.removeLabel(job.issue.number, job.trigger.label);
  const issue = await github.issue(job.issue.number);
  if (!issue.open || issue.locked) return { kind: 'refused', reason: 'issue_closed' };
  const existing = await github.openPullRequest(branchFor(job));
  if (!existing) return null;
  // Our own: an earlier attempt ended between publishing and telling. Its work is not done twice.
  if (existing.ours(runMarker(job.runId))) return { kind: 'published', pullRequest: existing.pullRequest };
  return { kind: 'refused', reason: 'pull_request_open', detail: `#${existing.pullRequest.number}` };
}

async function publish({ job, github, report, attempt }: Context, ready: { patch: Patch; plan: Plan }): Promise<PullRequest> {
  if (!(await attempt.ownsRun())) throw new FixError('lock_lost');
  return await github.publish({
    baseSha: ready.patch.baseSha,
    baseBranch: job.repository.defaultBranch,
    branch: branchFor(job),
    files: ready.patch.files,
    commitMessage: commitMessage(job, ready.plan.ci),
    title: pullRequestTitle(job),
    body: pullRequestBody(job, report, ready.plan.ci),
    draft: true,
    reviewer: job.actor.login,
    marker: runMarker(job.runId),
    ownsRun: attempt.ownsRun,
    signal: attempt.signal,
  });
}

/** Numbers only: a branch name never holds text from outside. */
const branchFor = (job: FixJob): string => `mayfly/issue-${job.issue.number}`;

/** The outcome stands whether or not GitHub takes the comment, so a failure here is logged and no more. */
async function tell({ job, github, report, attempt }: Context, outcome: FixOutcome): Promise<void> {
  const { issue, trigger } = job;
  const ways: (() => Promise<void>)[] = [() => github.livingComment(issue.number, commentMarker, doneComment(report, outcome))];
  if (outcome.kind !== 'published') ways.push(() => github.reply(issue.number, endingReply(job, outcome)));
  if (trigger.kind === 'comment') {
    ways.push(() => github.react({ kind: 'issue_comment', id: trigger.commentId }, outcome.kind === 'published' ? 'rocket' : 'confused'));
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
