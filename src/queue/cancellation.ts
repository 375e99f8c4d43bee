/**
 * Stopping a run on whatever worker it is: a key that says so, and a message that makes the owner look at once.
 * The key is written before the message is sent, and a worker looks at it after it has begun to listen, so no order of
 * events loses it; after a broken connection it looks again, because messages of the meantime are gone. A run waits again
 * only if the key is not there, in one step of Redis: so whoever stops it finds it waiting, or its worker ends it.
 */
import { setTimeout } from 'node:timers/promises';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { ActiveRuns } from './active-runs.ts';
import { connectAgain } from './connection.ts';
import type { Lane } from './lane.ts';
import { factsOf } from './open-run.ts';
import type { StoppedBy, StoppedRun } from './queue.ts';
import { cancelledKey } from './ring.ts';
import type { Ring } from './ring.ts';
import type { Seal } from './seal.ts';
import type { Subject, Subjects } from './subjects.ts';

const keptSeconds = 14 * 24 * 60 * 60;
/** Longer than an event is tried. */
const stoppedSeconds = 3 * 24 * 60 * 60;
/** BullMQ still holds the lock of a run that waits again for some milliseconds; of one whose worker died just then, for longer. */
const unlockMs = 1_000;
const lookEveryMs = 20;

/** Why a run was stopped, and by whom where a person said it. */
const Cause = z.object({ reason: z.enum(['stop', 'unlabeled', 'closed']), login: z.string().max(100).optional() });
export type Cause = z.infer<typeof Cause>;

export interface Cancellation {
  /** All runs that the event has stopped, also before. */
  cancel(subject: Subject, cause: Cause, event: StoppedBy['event'] | null): Promise<readonly StoppedRun[]>;
  /** Begins to hear what is cancelled elsewhere. */
  listen(): Promise<void>;
  /** Aborts a run of this worker when it was cancelled. */
  check(jobId: string): Promise<void>;
  close(): void;
}

export interface CancellationParts {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly ring: Ring;
  readonly active: ActiveRuns;
  readonly subjects: Subjects;
  readonly seal: Seal;
  /** Of a run that waited and is gone. */
  readonly onGone: (jobId: string) => Promise<void>;
  readonly log: Log;
}

export function createCancellation(parts: CancellationParts): Cancellation {
  const { redis, lane, ring, active, subjects, seal, onGone, log } = parts;
  const subscriber = connectAgain(redis, log);
  const channel = `${lane.prefix}:cancelled`;

  const check = async (jobId: string): Promise<void> => {
    const text = await redis.get(cancelledKey(lane.prefix, jobId));
    if (text !== null) active.abort(jobId, new FixError('cancelled', { details: readCause(seal, jobId, text) }));
  };
  const checkAll = async (): Promise<void> => {
    await subscriber.subscribe(channel);
    await Promise.all(active.ids().map(check));
  };
  const takeOut = async (job: Job): Promise<boolean> => {
    for (const until = performance.now() + unlockMs; ; await setTimeout(lookEveryMs)) {
      if (await removeWaiting(job)) return true;
      if (performance.now() > until || !(await ring.waits(job.id ?? ''))) return false;
    }
  };
  /** True when it waited and is gone. */
  const cancelJob = async (job: Job, cause: Cause): Promise<boolean> => {
    const jobId = job.id ?? '';
    await redis.set(cancelledKey(lane.prefix, jobId), JSON.stringify(seal.close(jobId, cause)), 'EX', keptSeconds);
    // Otherwise a redelivery of the trigger could bring back what waits and is removed now.
    await lane.remember(jobId);
    if (await takeOut(job)) {
      await onGone(jobId);
      return true;
    }
    await redis.publish(channel, jobId);
    return false;
  };

  return {
    check,
    async cancel(subject, cause, event) {
      const stopped = await recallStopped(parts, event);
      for (const jobId of await subjects.jobsOf(subject)) {
        const job = await unfinishedJob(lane, jobId);
        const run = job && factsOf(lane, job);
        if (!job || !run || (event && run.requestedAt > event.receivedAt)) continue;
        const waited = await cancelJob(job, cause);
        stopped.set(run.runId, waited);
        if (event) await noteStopped(parts, event, { runId: run.runId, waited });
      }
      return [...stopped].map(([runId, waited]) => ({ runId, waited }));
    },
    async listen() {
      subscriber.on('message', (_channel, jobId) => void check(jobId).catch((err: unknown) => log.warn({ err }, 'cancellation could not be read')));
      await checkAll();
      subscriber.on('ready', () => void checkAll().catch((err: unknown) => log.warn({ err }, 'cancellations could not be read')));
    },
    close: () => subscriber.disconnect(),
  };
}

/** An event whose taking in fails on the way comes again, and has the same to say. */
const stoppedKey = ({ lane }: CancellationParts, { key }: { readonly key: string }): string => `${lane.prefix}:stopped:${lane.jobId(key)}`;

async function noteStopped(parts: CancellationParts, event: { readonly key: string }, { runId, waited }: StoppedRun): Promise<void> {
  const key = stoppedKey(parts, event);
  await parts.redis
    .multi()
    .hset(key, runId, waited ? '1' : '0')
    .expire(key, stoppedSeconds)
    .exec();
}

async function recallStopped(parts: CancellationParts, event: { readonly key: string } | null | undefined): Promise<Map<string, boolean>> {
  const fields = event ? await parts.redis.hgetall(stoppedKey(parts, event)) : {};
  const known = Object.entries(fields).filter(([runId]) => FixJob.shape.runId.safeParse(runId).success);
  return new Map(known.map(([runId, waited]) => [runId, waited === '1']));
}

/** What we did not sign stops a run all the same, but names nobody. */
function readCause(seal: Seal, jobId: string, text: string): Cause {
  try {
    return Cause.parse(seal.open(jobId, JSON.parse(text)));
  } catch {
    return { reason: 'stop' };
  }
}

async function unfinishedJob(lane: Lane, jobId: string): Promise<Job | null> {
  const job = (await lane.queue.getJob(jobId)) as Job | undefined;
  const state = job ? await job.getState() : 'unknown';
  return !job || state === 'completed' || state === 'failed' || state === 'unknown' ? null : job;
}

/** False when a worker has it: BullMQ refuses to remove a job that is locked. */
async function removeWaiting(job: Job): Promise<boolean> {
  try {
    await job.remove();
    return true;
  } catch {
    return false;
  }
}
