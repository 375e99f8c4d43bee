/** What happens between BullMQ handing over a job and taking it back: trust, its turn, one signal, and how it ends. */
import { DelayedError, UnrecoverableError, WaitingError } from 'bullmq';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { FixError, asFixError, isOurFault } from '../errors.ts';
import type { FixJob, FixOutcome } from '../job.ts';
import type { Log } from '../log.ts';
import type { ActiveRuns } from './active-runs.ts';
import type { Cancellation } from './cancellation.ts';
import type { DailyBudgets, RefundableShare } from './daily-budget.ts';
import { within } from './deadline.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Inbox } from './inbox.ts';
import { maxOutages, outagePauseMs, parkedMs, retryPauseMs } from './job-options.ts';
import type { Lane } from './lane.ts';
import { openRun } from './open-run.ts';
import type { Outages } from './outages.ts';
import type { RunContext } from './queue.ts';
import type { Over, ParkOptions, Ring } from './ring.ts';
import type { Subjects } from './subjects.ts';

/** A run whose worker died is taken again this often. */
const maxLost = 1;
/** Until a run of a newer version is offered to some worker again. */
const newerAgainMs = 30_000;

export interface RunProcessorParts {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly ring: Ring;
  readonly dispatcher: Dispatcher;
  readonly budgets: DailyBudgets;
  readonly active: ActiveRuns;
  readonly cancellation: Cancellation;
  readonly subjects: Subjects;
  readonly inbox: Inbox;
  readonly outages: Outages;
  readonly attempts: number;
  readonly backoffMs: number;
  /** How long Redis may be silent before we no longer say that the run is ours. */
  readonly lockMs: number;
  readonly log: Log;
  readonly run: (job: FixJob, context: RunContext) => Promise<FixOutcome | void>;
}

/** One attempt in hand. */
interface Held {
  readonly job: Job;
  readonly jobId: string;
  readonly token: string;
  readonly fixJob: FixJob;
  readonly signal: AbortSignal;
  readonly shares: RefundableShare[];
}

/** What becomes of a run after an attempt, and what BullMQ has to be told. `kept`: it stays granted, for it is not over. */
type Ending =
  | { readonly kind: 'over'; readonly refund: boolean; readonly error?: Error }
  | { readonly kind: 'parked'; readonly park: ParkOptions; readonly refund: boolean; readonly error: Error }
  | { readonly kind: 'kept'; readonly error: Error };

/** A processor for BullMQ's worker. */
export function createRunProcessor(parts: RunProcessorParts): (job: Job, token?: string) => Promise<void> {
  return async (job, token = '') => {
    const jobId = job.id ?? '';
    const queued = await openOrLeave(job, token, parts);
    await letEarlierEnd(job, token, parts);
    if (!(await parts.ring.take(jobId))) {
      const over = await parts.ring.over(jobId, job.attemptsMade);
      if (over) return await finish(over, { jobId, fixJob: queued.job }, parts);
      // Put back by hand, or by a worker of an older version.
      await parts.ring.enter(jobId, queued.job, queued.limits);
      await leave(job, token, parts);
    }
    const held: Held = { job, jobId, token, fixJob: queued.job, signal: parts.active.begin(jobId), shares: [] };
    let ending: Ending = { kind: 'kept', error: new WaitingError() };
    try {
      ending = await work(held, parts);
      // Stopped on its way back: all that is left to do is to tell.
      if (ending.kind === 'parked' && !(await park(ending, held, parts))) ending = await work(held, parts);
    } finally {
      await settle(ending, held, parts);
    }
    if (ending.error instanceof DelayedError) await leave(job, token, parts);
    if (ending.error) throw ending.error;
  };
}

async function openOrLeave(job: Job, token: string, parts: RunProcessorParts): Promise<ReturnType<typeof openRun>> {
  const { lane, ring, log } = parts;
  const { id: jobId = '' } = job;
  try {
    return openRun(lane, job);
  } catch (err) {
    const { code } = asFixError(err);
    if (code === 'job_newer') {
      log.warn({ jobId, againMs: newerAgainMs }, 'a run of a newer version is left for a worker of that version; update this one');
      await ring.park(jobId, { pause: { limit: 'retry', pauseMs: newerAgainMs }, refund: true, stopped: true });
      return await leave(job, token, parts);
    }
    log.error({ err, jobId }, 'job refused');
    await ring.release(jobId);
    throw new UnrecoverableError(code);
  }
}

/**
 * BullMQ has handed a run to a second hand of this worker while the first still clears up after its lost lock. It renews
 * one lock for a run, and stops when either ends: so the second waits, and gives the run back, to be taken anew.
 */
async function letEarlierEnd(job: Job, token: string, parts: RunProcessorParts): Promise<void> {
  const { id: jobId = '' } = job;
  const earlier = parts.active.earlier(jobId);
  if (earlier === null) return;
  parts.active.abort(jobId, new FixError('lock_lost', { details: { reason: 'taken again' } }));
  await earlier;
  await leave(job, token, parts);
}

/** Its worker died before BullMQ knew of the end. */
async function finish({ code }: Over, run: Pick<Held, 'jobId' | 'fixJob'>, parts: RunProcessorParts): Promise<void> {
  await forget(run, parts);
  if (code !== null) throw new UnrecoverableError(code);
}

/** Back into the set of those that wait for the ring; whoever looks next may promote it at once. */
async function leave(job: Job, token: string, { dispatcher }: RunProcessorParts): Promise<never> {
  await job.moveToDelayed(Date.now() + parkedMs, token);
  void dispatcher.turn();
  throw new DelayedError();
}

async function work(held: Held, parts: RunProcessorParts): Promise<Ending> {
  const { job, jobId, fixJob } = held;
  try {
    await parts.lane.remember(jobId);
    await parts.cancellation.check(jobId);
    if (job.stalledCounter > maxLost) parts.active.abort(jobId, new FixError('run_lost'));
    const canWait = (await parts.outages.count(jobId)) < maxOutages;
    const outcome = await parts.run(fixJob, { ...contextOf(held, parts), canWait });
    // Another worker has it, or BullMQ gives it to one: the slots are that worker's.
    if (!(await isOwned(held, parts))) return { kind: 'kept', error: new WaitingError() };
    return { kind: 'over', refund: outcome?.kind === 'failed' && isOurFault(outcome.code) };
  } catch (thrown) {
    return await endingOf(thrown, held, parts);
  }
}

function contextOf({ job, jobId, token, fixJob, signal, shares }: Held, parts: RunProcessorParts): Omit<RunContext, 'canWait'> {
  const attempt = job.attemptsMade + job.stalledCounter + 1;
  const { runId, deliveryId, repository, issue } = fixJob;
  const log = parts.log.child({ runId, deliveryId, repositoryId: repository.id, issue: issue.number, attempt });
  return {
    attempt,
    lastAttempt: job.attemptsMade + 1 >= parts.attempts,
    signal,
    log,
    ownsRun: () => isOwned({ jobId, token }, parts),
    async openBudget(wanted) {
      const opened = await parts.budgets.open(fixJob, { jobId, token }, wanted);
      if ('reached' in opened) throw new FixError('over_limit', { details: { ...opened } });
      shares.push(opened);
      return opened;
    },
    takeMessages: parts.inbox.reader(jobId, log),
    closeMessages: async () => await within(parts.lockMs, parts.inbox.close(jobId)).catch((err: unknown) => log.warn({ err }, 'messages could not be closed')),
  };
}

/** BullMQ's lock holds the token of whoever took the job last: a fencing check, asked of Redis and not of ourselves. */
async function isOwned({ jobId, token }: Pick<Held, 'jobId' | 'token'>, { redis, lane, lockMs }: RunProcessorParts): Promise<boolean> {
  const holder = await within(lockMs, redis.get(lane.queue.toKey(`${jobId}:lock`))).catch(() => null);
  return holder === token;
}

/** The error that makes BullMQ do what the row of the error table says. */
async function endingOf(thrown: unknown, held: Held, parts: RunProcessorParts): Promise<Ending> {
  const { job, jobId, token, signal } = held;
  const { log, attempts, backoffMs } = parts;
  const error = asFixError(thrown);
  const aborted = signal.aborted ? asFixError(signal.reason) : null;
  if (aborted?.code === 'lock_lost') {
    // At a shutdown the run is still ours: it goes back as it was, and this attempt does not count.
    if (aborted.details['reason'] === 'shutdown') await job.moveToWait(token);
    return { kind: 'kept', error: new WaitingError() };
  }
  if (!(await isOwned(held, parts))) return { kind: 'kept', error: new WaitingError() };
  log.warn({ err: error, jobId, code: error.code, retry: error.row.retry }, 'run attempt failed');
  if (error.code === 'over_limit') return { kind: 'parked', park: { ...pauseFor(error), refund: true }, refund: false, error: new DelayedError() };
  if (error.code === 'github_unavailable' && error.details['waits'] === true) {
    const { waitMs } = error.details;
    const pauseMs = outagePauseMs(backoffMs, await parts.outages.add(jobId), typeof waitMs === 'number' ? waitMs : null);
    return { kind: 'parked', park: { pause: { limit: 'github', pauseMs } }, refund: false, error: new DelayedError() };
  }
  const refund = isOurFault(error.code);
  // What BullMQ keeps of an error is its message; a code is all that anyone may read there.
  if (error.row.retry === 'never') return { kind: 'over', refund, error: new UnrecoverableError(error.code) };
  const again = new Error(error.code);
  if (job.attemptsMade + 1 >= (job.opts.attempts ?? attempts)) return { kind: 'over', refund, error: again };
  const pause = { limit: 'retry' as const, pauseMs: retryPauseMs(backoffMs, job.attemptsMade) };
  return { kind: 'parked', park: { pause }, refund, error: again };
}

/** A person's budget holds that person's runs only: each asks again by itself, because others may give back what they did not spend. */
const userAgainMs = 15 * 60_000;

function pauseFor({ details }: FixError): ParkOptions {
  const { reached, freeAt } = details as { reached?: { scope?: unknown }; freeAt?: unknown };
  const pause = { limit: 'daily_budget' as const, freeAt: Number(freeAt) };
  if (reached?.scope === 'user') return { pause: { ...pause, pauseMs: userAgainMs } };
  return { pauseAll: { scope: reached?.scope === 'installation' ? 'installation' : 'repository', pause } };
}

/** Before BullMQ is told: a worker that dies in between leaves a job that comes back, and waits for its turn. */
async function park({ park: options, refund }: Ending & { kind: 'parked' }, { jobId, shares }: Held, { ring }: RunProcessorParts): Promise<boolean> {
  if (refund) await refundAll(shares);
  return await ring.park(jobId, options);
}

/** Before BullMQ is told: a worker that dies in between leaves a job that comes back, and is finished. */
async function settle(ending: Ending, held: Held, parts: RunProcessorParts): Promise<void> {
  const { job, jobId, shares } = held;
  const { active, ring, dispatcher } = parts;
  active.end(jobId);
  if (ending.kind === 'kept') return;
  if (ending.kind === 'over') {
    const { refund, error } = ending;
    if (refund) await refundAll(shares);
    await ring.release(jobId, { refund, over: { code: error?.message ?? null, attemptsMade: job.attemptsMade } });
    await forget(held, parts);
  }
  void dispatcher.turn();
}

/** What is given back is not there to be given back again. */
async function refundAll(shares: RefundableShare[]): Promise<void> {
  for (const share of shares.splice(0)) await share.refund();
}

async function forget({ jobId, fixJob }: Pick<Held, 'jobId' | 'fixJob'>, { inbox, outages, subjects }: RunProcessorParts): Promise<void> {
  await Promise.all([inbox.clear(jobId), outages.forget(jobId), subjects.forget(jobId, fixJob)]);
}
