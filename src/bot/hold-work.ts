/** What becomes of a patch whose run ends without delivering it: it is kept on a branch, where nothing runs it. */
import { asFixError } from '../errors.ts';
import type { FixOutcome } from '../job.ts';
import { checkCommit } from './commit-check.ts';
import { subjectOf } from './memory.ts';
import type { Held } from './memory.ts';
import { commitMessage } from './pull-texts.ts';
import type { JobContext, TalkContext, WorkKind } from './work.ts';

/** For the work of a run that a person stops. */
const keepTimeoutMs = 60_000;

/** Work that is not good enough to be delivered. The outcome stands without. */
export async function holdWork(context: JobContext, kind: WorkKind, outcome: FixOutcome): Promise<void> {
  const { job, github, report, attempt, tools } = context;
  const unfinished = outcome.kind === 'gave_up' || outcome.kind === 'stopped' || outcome.kind === 'cancelled' || outcome.kind === 'failed';
  const nowhereToGo = outcome.kind === 'refused' && (outcome.reason === 'regressed' || outcome.reason === 'stale_base');
  if (!(unfinished || nowhereToGo) || report.patch === null) return;
  const { baseSha, files } = report.patch;
  const { signal, ownsRun } = attempt;
  try {
    const held = await github.hold({ baseSha, files, branch: kind.heldBranch(context), commitMessage: commitMessage(job, 'hold'), signal, ownsRun });
    report.heldBranch = held.branch;
    const { work } = job;
    if (work.kind === 'fix') await tools.memory.keep(subjectOf(job), 'held', { ...held, instruction: work.instruction, plan: work.plan } satisfies Held);
    await checkCommit(context, held.headSha);
  } catch (thrown) {
    const error = asFixError(thrown);
    // Another worker has the run, and tells its end.
    if (error.code === 'lock_lost') throw error;
    signal.throwIfAborted();
    attempt.log.error({ err: error }, 'work could not be kept on a branch');
  }
}

/** What was delivered is not taken back: a stop may come between GitHub's deed and its answer. Else the work is kept, and null returned. */
export async function endStopped(stopped: JobContext, kind: WorkKind): Promise<FixOutcome | null> {
  if (stopped.report.patch === null) return null;
  const context = afterStop(stopped);
  const done = await kind.check(context).catch(() => null);
  if (done?.kind === 'published' || done?.kind === 'pushed') return done;
  await holdWork(context, kind, { kind: 'cancelled' });
  return null;
}

/** The run's own signal has fired. */
function afterStop(context: JobContext): JobContext {
  const { job, attempt, report, tools } = context;
  const signal = AbortSignal.timeout(keepTimeoutMs);
  const github = tools.github.repository(job, { deliveryId: job.deliveryId, signal, records: report.tokens });
  return { ...context, github, attempt: { ...attempt, signal } };
}

/** GitHub is away, and a later attempt pays for nothing again. */
export function waitsForGitHub(thrown: unknown, { attempt, report, finished }: Pick<TalkContext, 'attempt' | 'report' | 'finished'>): boolean {
  const { signal, canWait } = attempt;
  return !signal.aborted && canWait && asFixError(thrown).code === 'github_unavailable' && (finished.isKept || report.steps === (report.earlier?.steps ?? 0));
}

/** Nothing comes after it: a model that went away, say. */
export function isLastFailure(thrown: unknown, context: Pick<TalkContext, 'attempt' | 'report' | 'finished'>): boolean {
  const { signal, lastAttempt } = context.attempt;
  const { code, row } = asFixError(thrown);
  if (signal.aborted || code === 'lock_lost' || code === 'over_limit' || waitsForGitHub(thrown, context)) return false;
  return row.retry !== 'later' || lastAttempt;
}

/** The pull request has it now. */
export async function dropResumed({ job, github, tools, attempt }: JobContext): Promise<void> {
  const { work } = job;
  if (work.kind !== 'fix' || work.resume === null) return;
  try {
    await github.dropHeld(work.resume);
    await tools.memory.keep(subjectOf(job), 'held', null);
  } catch (thrown) {
    attempt.log.info({ err: asFixError(thrown) }, 'the branch that the run began with is still there');
  }
}
