/** What happens between BullMQ handing over a job and taking it back: trust, slots, one signal, and how it ends. */
import { DelayedError, UnrecoverableError, WaitingError } from 'bullmq';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { FixError, asFixError } from '../errors.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { ActiveRuns } from './active-runs.ts';
import type { Cancellation } from './cancellation.ts';
import type { DailyBudgets } from './daily-budget.ts';
import { within } from './deadline.ts';
import type { Lane } from './lane.ts';
import { openRun } from './open-run.ts';
import type { RunContext } from './queue.ts';
import type { Slots } from './slots.ts';

/** How soon a run is looked at again whose repository or installation is busy. */
const parkedMs = 1_000;
/** A run whose worker died is taken again this often. */
const maxLost = 1;

export interface RunProcessorParts {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly slots: Slots;
  readonly budgets: DailyBudgets;
  readonly active: ActiveRuns;
  readonly cancellation: Cancellation;
  readonly attempts: number;
  /** How long Redis may be silent before we no longer say that the run is ours. */
  readonly lockMs: number;
  readonly log: Log;
  readonly run: (job: FixJob, context: RunContext) => Promise<void>;
}

/** A processor for BullMQ's worker. */
export function createRunProcessor(parts: RunProcessorParts): (job: Job, token?: string) => Promise<void> {
  return async (job, token = '') => {
    const fixJob = openOrRefuse(job, parts);
    const jobId = job.id ?? '';
    if (!(await parts.slots.take(jobId, fixJob))) {
      await job.moveToDelayed(Date.now() + parkedMs, token);
      throw new DelayedError();
    }
    const signal = parts.active.begin(jobId);
    try {
      await parts.lane.remember(jobId);
      await parts.cancellation.check(jobId);
      if (job.stalledCounter > maxLost) parts.active.abort(jobId, new FixError('run_lost'));
      await parts.run(fixJob, contextOf({ job, token, fixJob, signal }, parts));
    } catch (thrown) {
      throw await endingOf(thrown, { job, token, signal }, parts);
    } finally {
      parts.active.end(jobId);
      await parts.slots.release(jobId, fixJob);
    }
  };
}

function openOrRefuse(job: Job, { lane, log }: RunProcessorParts): FixJob {
  try {
    return openRun(lane, job);
  } catch (err) {
    log.error({ err, jobId: job.id }, 'job refused');
    throw new UnrecoverableError(asFixError(err).code);
  }
}

interface Held {
  readonly job: Job;
  readonly token: string;
  readonly signal: AbortSignal;
}

function contextOf({ job, token, fixJob, signal }: Held & { fixJob: FixJob }, parts: RunProcessorParts): RunContext {
  const { redis, lane, budgets, attempts, lockMs, log } = parts;
  const attempt = job.attemptsMade + job.stalledCounter + 1;
  const { runId, deliveryId, repository, issue } = fixJob;
  return {
    attempt,
    lastAttempt: job.attemptsMade + 1 >= attempts,
    signal,
    log: log.child({ runId, deliveryId, repositoryId: repository.id, issue: issue.number, attempt }),
    // BullMQ's lock holds the token of whoever took the job last: a fencing check, asked of Redis and not of ourselves.
    async ownsRun() {
      const holder = await within(lockMs, redis.get(lane.queue.toKey(`${job.id}:lock`))).catch(() => null);
      return holder === token;
    },
    openBudget: (wanted) => budgets.open(fixJob, { jobId: job.id ?? '', token }, wanted),
  };
}

/** The error that makes BullMQ do what the row of the error table says. */
async function endingOf(thrown: unknown, { job, token, signal }: Held, { log }: RunProcessorParts): Promise<Error> {
  const error = asFixError(thrown);
  const aborted = signal.aborted ? asFixError(signal.reason) : null;
  if (aborted?.code === 'lock_lost') {
    // At a shutdown the run is still ours: it goes back as it was, and this attempt does not count.
    if (aborted.details['reason'] === 'shutdown') await job.moveToWait(token);
    return new WaitingError();
  }
  log.warn({ err: error, jobId: job.id, code: error.code, retry: error.row.retry }, 'run attempt failed');
  // What BullMQ keeps of an error is its message; a code is all that anyone may read there.
  return error.row.retry === 'later' ? new Error(error.code) : new UnrecoverableError(error.code);
}
