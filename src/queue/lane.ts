/**
 * A lane is one BullMQ queue with two promises of ours on top: a trigger enters once, and only what we signed leaves.
 *
 * Entering once. BullMQ's `add` is one atomic script that ignores an id which the queue still holds, so the job itself,
 * under an id made of its key, is the record while it waits or runs: there is nothing between "queued" and "recorded"
 * that a crash could separate, a copy that arrives in parallel or out of an offline buffer changes nothing, and a
 * delivery that failed before `add` leaves no trace that could swallow its redelivery. BullMQ forgets finished jobs,
 * so whoever takes a job first writes a key of ours that outlives it for two weeks.
 */
import { createHash } from 'node:crypto';
import { Queue } from 'bullmq';
import type { JobsOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { isConnectionError } from './connection.ts';
import { within } from './deadline.ts';
import { createSeal } from './seal.ts';

export const seenSeconds = 14 * 24 * 60 * 60;

export interface LaneOptions {
  readonly name: 'intake' | 'runs';
  readonly prefix: string;
  readonly signingKey: string;
  readonly redis: Redis;
  readonly log: Log;
  /** Of every job that is added; the id is ours. */
  readonly jobOptions: Omit<JobsOptions, 'jobId'>;
}

export interface Lane {
  readonly name: string;
  readonly prefix: string;
  readonly queue: Queue;
  readonly jobId: (key: string) => string;
  /** Whether the key was seen before. */
  has(key: string): Promise<boolean>;
  /** False when the key was seen before. Throws `redis_unavailable` after the deadline; nothing is queued later then, but for what was already on its way. */
  add(key: string, payload: unknown, deadlineMs: number, delayMs?: number): Promise<boolean>;
  /** The payload of a job that we signed. Throws `job_invalid`. */
  open(jobId: string | undefined, data: unknown): unknown;
  /** Makes the key outlive the job. */
  remember(jobId: string): Promise<void>;
  readonly seenKey: (jobId: string) => string;
}

/** Throws `config_invalid` for a signing key that is too short. */
export function createLane({ name, prefix, signingKey, redis, log, jobOptions }: LaneOptions): Lane {
  const seal = createSeal(signingKey, name);
  const queue = new Queue(name, { connection: redis, prefix, defaultJobOptions: jobOptions });
  queue.on('error', (err) => {
    if (!isConnectionError(err)) log.warn({ err }, 'queue error');
  });
  const seenKey = (jobId: string): string => `${prefix}:${name}-seen:${jobId}`;
  const has = async (jobId: string): Promise<boolean> => (await redis.exists(seenKey(jobId), queue.toKey(jobId))) > 0;
  const add = async (key: string, payload: unknown, { until, delayMs }: { until: number; delayMs: number }): Promise<boolean> => {
    const jobId = jobIdOf(key);
    if (await has(jobId)) return false;
    if (performance.now() >= until) throw new FixError('redis_unavailable', { details: { reason: 'the deadline is over' } });
    await queue.add(name, seal.close(jobId, payload), { jobId, ...(delayMs > 0 && { delay: delayMs }) });
    return true;
  };
  return {
    name,
    prefix,
    queue,
    jobId: jobIdOf,
    has: (key) => has(jobIdOf(key)),
    add: (key, payload, deadlineMs, delayMs = 0) => within(deadlineMs, add(key, payload, { until: performance.now() + deadlineMs, delayMs })),
    open: seal.open,
    seenKey,
    async remember(jobId) {
      await redis.set(seenKey(jobId), '1', 'EX', seenSeconds, 'NX');
    },
  };
}

/** BullMQ refuses integers and colons; a hash has neither, whatever the key is made of. */
const jobIdOf = (key: string): string => `k${createHash('sha256').update(key).digest('hex').slice(0, 40)}`;
