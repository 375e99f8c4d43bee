/**
 * Stopping a run on whatever worker it is: a key that says so, and a message that makes the owner look at once.
 * The key is written before the message is sent, and a worker looks at it after it has begun to listen, so no order of
 * events loses it; after a broken connection it looks again, because messages of the meantime are gone.
 */
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { FixError } from '../errors.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { ActiveRuns } from './active-runs.ts';
import { connectAgain } from './connection.ts';
import type { Lane } from './lane.ts';
import { openRun } from './open-run.ts';
import type { StoppedRun } from './queue.ts';

const keptSeconds = 14 * 24 * 60 * 60;

export interface Cancellation {
  /** Before a job is added: makes it one that `cancelIssue` finds. */
  index(job: FixJob): Promise<void>;
  cancelIssue(repositoryId: number, issue: number, reason: string): Promise<readonly StoppedRun[]>;
  /** Begins to hear what is cancelled elsewhere. */
  listen(): Promise<void>;
  /** Aborts a run of this worker when it was cancelled. */
  check(jobId: string): Promise<void>;
  close(): void;
}

export function createCancellation({ redis, lane, active, log }: { redis: Redis; lane: Lane; active: ActiveRuns; log: Log }): Cancellation {
  const subscriber = connectAgain(redis, log);
  const channel = `${lane.prefix}:cancelled`;
  const cancelledKey = (jobId: string): string => `${lane.prefix}:cancelled:${jobId}`;
  const issueKey = (repositoryId: number, issue: number): string => `${lane.prefix}:issue:${repositoryId}:${issue}`;

  const check = async (jobId: string): Promise<void> => {
    const reason = await redis.get(cancelledKey(jobId));
    if (reason !== null) active.abort(jobId, new FixError('cancelled', { details: { reason } }));
  };
  const checkAll = async (): Promise<void> => {
    await subscriber.subscribe(channel);
    await Promise.all(active.ids().map(check));
  };
  /** True when it waited and is gone. */
  const cancel = async (job: Job, reason: string): Promise<boolean> => {
    const jobId = job.id ?? '';
    await redis.set(cancelledKey(jobId), reason, 'EX', keptSeconds);
    // Otherwise a redelivery of the trigger could bring back what waits and is removed now.
    await lane.remember(jobId);
    if (await removeWaiting(job)) return true;
    await redis.publish(channel, jobId);
    return false;
  };

  return {
    check,
    async index(job) {
      const key = issueKey(job.repository.id, job.issue.number);
      await redis.multi().sadd(key, lane.jobId(job.key)).expire(key, keptSeconds).exec();
    },
    async cancelIssue(repositoryId, issue, reason) {
      const stopped: StoppedRun[] = [];
      for (const jobId of await redis.smembers(issueKey(repositoryId, issue))) {
        const job = await unfinishedJob(lane, jobId);
        if (!job) continue;
        stopped.push({ runId: openRun(lane, job).runId, waited: await cancel(job, reason) });
      }
      return stopped;
    },
    async listen() {
      subscriber.on('message', (_channel, jobId) => void check(jobId).catch((err: unknown) => log.warn({ err }, 'cancellation could not be read')));
      await checkAll();
      subscriber.on('ready', () => void checkAll().catch((err: unknown) => log.warn({ err }, 'cancellations could not be read')));
    },
    close: () => subscriber.disconnect(),
  };
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
