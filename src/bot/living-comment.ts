/**
 * The one living comment of an issue or pull request, as a run writes it: at most one edit in ten seconds, fewer in long
 * runs, the last state always. GitHub's failures are logged and never fail a run; a worker that lost its run writes nothing.
 */
import { asFixError } from '../errors.ts';
import type { RunEvent, RunReport } from '../fix/report.ts';
import type { GitHubRepository } from '../github/github.ts';
import type { FixJob, FixOutcome } from '../job.ts';
import type { Log } from '../log.ts';
import { commentMarker, doneLines, livingComment, queuedLines, runningLines, stateOf, stoppedLines, withheldLines } from './comment-texts.ts';
import type { Waiting } from './comment-texts.ts';
import { createProgress } from './progress.ts';
import type { AgentMessage } from './progress.ts';
import { isLive, readRuns, withRun } from './run-history.ts';
import type { RunEntry } from './run-history.ts';
import { createThrottle } from './throttle.ts';

type Comments = Pick<GitHubRepository, 'livingComment'>;
type Asked = Pick<FixJob, 'runId' | 'issue' | 'actor' | 'requestedAt'> & Partial<Pick<FixJob, 'pull'>>;

const leastGapMs = 10_000;
/** So that the time that it shows is not much older. */
const mostGapMs = 60_000;
/** GitHub counts each edit, and takes 500 of all kinds in an hour: a tenth of the run's time between two keeps a run of an hour below 90. */
const gapShare = 0.1;
/** For an edit that is on its way when the end comes; one that still waits for a rate limit is given up. */
const settleMs = 10_000;

export interface LivingComment extends Disposable {
  /** The attempt begins: whatever an earlier one said of this run is replaced. Returns when it is written, or could not be. */
  begin(): Promise<void>;
  event(event: RunEvent): void;
  message(message: AgentMessage): void;
  /** Nothing is written on the way any more: another attempt follows, or the end. */
  [Symbol.dispose](): void;
  /** The last word, at once. `comments` may be opened with another signal: it has to work after the run was stopped. */
  end(comments: Comments, outcome: FixOutcome, report: RunReport): Promise<void>;
}

interface LivingCommentOptions {
  readonly job: Asked;
  /** Opens GitHub for the words on the way; ended by the signal. */
  readonly open: (signal: AbortSignal) => Comments;
  readonly signal: AbortSignal;
  readonly ownsRun: () => Promise<boolean>;
  readonly log: Log;
  /** What the last line of the checklist is called. */
  readonly lastLine?: string;
}

export function createLivingComment(options: LivingCommentOptions): LivingComment {
  const { job, open, signal, log, lastLine = 'Draft pull request' } = options;
  const progress = createProgress(lastLine);
  const closing = new AbortController();
  const comments = open(AbortSignal.any([signal, closing.signal]));
  const start = Date.now();
  const elapsedMs = (): number => Date.now() - start;
  let begun = false;
  const write = async (): Promise<void> => {
    const mayReopen = !begun;
    begun = true;
    if (signal.aborted || !(await isOurs(options))) return void throttle.close();
    const lines = runningLines(job, progress.lines(), elapsedMs());
    // An end that is there already was written by whoever has the run now.
    const when = (before: RunEntry | undefined): boolean => mayReopen || before === undefined || isLive(before);
    await edit(comments, job, { own: entryOf(job, 'running'), lines, when }).catch((thrown: unknown) => {
      if (!closing.signal.aborted && !signal.aborted) log.warn({ err: asFixError(thrown) }, 'living comment could not be written');
    });
  };
  const gapMs = (): number => Math.min(mostGapMs, Math.max(leastGapMs, elapsedMs() * gapShare));
  const throttle = createThrottle(write, { gapMs, idleMs: mostGapMs });

  return {
    begin: throttle.now,
    event(event) {
      progress.event(event);
      throttle.soon();
    },
    message(message) {
      progress.message(message);
      throttle.soon();
    },
    [Symbol.dispose]() {
      void throttle.close();
      closing.abort();
    },
    async end(last, outcome, report) {
      await throttle.close(settleMs);
      closing.abort();
      if (await isOurs(options))
        await writeEnd(last, job, {
          own: endedEntry(job, outcome, { report, ms: elapsedMs() }),
          lines: doneLines(report, outcome, elapsedMs(), { pull: job.pull ?? null }),
        });
    },
  };
}

async function isOurs({ ownsRun, log }: LivingCommentOptions): Promise<boolean> {
  const ours = await ownsRun();
  if (!ours) log.info('living comment is left to the worker that has the run');
  return ours;
}

function endedEntry(job: Asked, outcome: FixOutcome, { report, ms }: { report: RunReport; ms: number }): RunEntry {
  const pull = outcome.kind === 'published' ? outcome.pullRequest.number : null;
  const costUsd = report.costUsd === null ? null : Math.round(report.costUsd * 100) / 100;
  return { ...entryOf(job, stateOf(outcome)), ms, pull, costUsd };
}

/** A run that waits. Says nothing over a run that has begun meanwhile. */
export async function sayQueued(comments: Comments, job: Asked, waiting: Waiting | null): Promise<void> {
  const lines = queuedLines(job, waiting, new Date());
  // What GitHub did not take was told as running, and nobody could tell it otherwise.
  const wasOff = waiting?.heldBy?.limit === 'github';
  const when = (before: RunEntry | undefined): boolean => before === undefined || before.state === 'queued' || (wasOff && before.state === 'running');
  await edit(comments, job, { own: entryOf(job, 'queued'), lines, when });
}

/** Runs that ended while they waited: no worker had them, so none says it. */
export async function sayStopped(comments: Comments, issue: number, runIds: readonly string[]): Promise<void> {
  await comments.livingComment(issue, commentMarker, (comment) => {
    const now = new Date();
    const [last = '', ...rest] = runIds.toSorted().toReversed();
    const before = readRuns(comment);
    const stopped = (id: string): RunEntry => ({ ...(before.find((run) => run.id === id) ?? unknownRun(id, now)), state: 'stopped' });
    const runs = [...rest, last].reduce((all, id) => withRun(all, stopped(id)), before);
    return livingComment(stoppedLines, stopped(last), runs, now);
  });
}

const unknownRun = (id: string, now: Date): RunEntry => ({ id, state: 'queued', at: now.toISOString(), ms: null, pull: null, costUsd: null });

const entryOf = ({ runId, requestedAt }: Asked, state: RunEntry['state']): RunEntry => ({ ...unknownRun(runId, new Date(requestedAt)), state });

interface Word {
  readonly own: RunEntry;
  readonly lines: readonly string[];
  /** Asked with what the comment says of this run now. */
  readonly when?: (before: RunEntry | undefined) => boolean;
}

async function edit(comments: Comments, { issue }: Asked, { own, lines, when = () => true }: Word): Promise<void> {
  await comments.livingComment(issue.number, commentMarker, (comment) => {
    const before = readRuns(comment);
    return when(before.find(({ id }) => id === own.id)) ? livingComment(lines, own, withRun(before, own), new Date()) : null;
  });
}

/** Of an ending whose text must not be shown, at least the end is. */
async function writeEnd(comments: Comments, job: Asked, word: Word): Promise<void> {
  await edit(comments, job, word).catch(async (thrown: unknown) => {
    if (asFixError(thrown).code !== 'secret_in_text') throw thrown;
    await edit(comments, job, { own: word.own, lines: withheldLines });
  });
}
