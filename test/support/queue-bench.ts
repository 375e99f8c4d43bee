/** A Redis of its own with workers on it whose runs last until the test ends them. */
import { EventEmitter, once } from 'node:events';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { expect, vi } from 'vitest';
import type { FixJob, FixOutcome } from '../../src/job.ts';
import type { RunContext, WorkerQueue } from '../../src/queue/queue.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import type { WorkerQueueOptions } from '../../src/queue/worker-queue.ts';
import { captureLog } from './capture-log.ts';
import type { CapturedLog } from './capture-log.ts';
import { startRedis } from './redis.ts';
import type { RedisServer } from './redis.ts';
import { jobKey } from './web-role.ts';

/** Only to say what a test that hangs waits for: a little less than it may take. */
const startsMs = 100_000;

export interface Running {
  readonly job: FixJob;
  readonly context: RunContext;
  readonly finish: (outcome?: FixOutcome) => void;
  readonly fail: (error: unknown) => void;
}

export interface BenchWorker extends CapturedLog {
  readonly queue: WorkerQueue;
  /** Every run that began here, oldest first. */
  readonly started: readonly Running[];
  readonly intake: readonly unknown[];
  consume(): Promise<void>;
  /** The run that began as number `index`, when it has begun. */
  run(index: number): Promise<Running>;
}

export interface QueueBench extends AsyncDisposable {
  readonly redis: RedisServer;
  /** To look into Redis, and to break things there. */
  readonly direct: Redis;
  worker(options?: Partial<WorkerQueueOptions>): Promise<BenchWorker>;
  /** BullMQ's own view of a lane. */
  lane(name: 'runs' | 'intake'): Queue;
  /** Waits until so many jobs of a lane are in a state. */
  count(state: 'waiting' | 'delayed' | 'completed' | 'failed', number: number, lane?: 'runs' | 'intake'): Promise<void>;
}

export async function createQueueBench(): Promise<QueueBench> {
  const redis = await startRedis();
  const direct = new Redis(redis.url, { maxRetriesPerRequest: null });
  direct.on('error', () => {});
  const opened: WorkerQueue[] = [];
  const lane = (name: string): Queue => new Queue(name, { connection: direct, prefix: 'mayfly' });
  return {
    redis,
    direct,
    lane,
    async worker(options) {
      const worker = await openWorker(redis.url, options);
      opened.push(worker.queue);
      return worker;
    },
    async count(state, number, name = 'runs') {
      await expect.poll(async () => (await lane(name).getJobCounts(state))[state]).toBe(number);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((queue) => queue.close(0)));
      direct.disconnect();
      await redis.stop();
    },
  };
}

async function openWorker(redisUrl: string, options: Partial<WorkerQueueOptions> = {}): Promise<BenchWorker> {
  const captured = captureLog();
  const queue = await createWorkerQueue({ redisUrl, signingKey: jobKey, concurrency: 4, lockMs: 1_000, backoffMs: 50, log: captured.log, ...options });
  const started: Running[] = [];
  const begun = new EventEmitter();
  const intake: unknown[] = [];
  return {
    ...captured,
    queue,
    started,
    intake,
    consume: () =>
      queue.consume({
        intake: async (event) => void intake.push(event),
        run: (job, context) =>
          new Promise<FixOutcome | void>((finish, fail) => {
            started.push({ job, context, finish, fail });
            begun.emit('run');
            context.signal.addEventListener('abort', () => fail(context.signal.reason as Error));
            if (context.signal.aborted) fail(context.signal.reason as Error);
          }),
      }),
    async run(index) {
      while (started.length <= index) await once(begun, 'run', { signal: AbortSignal.timeout(startsMs) });
      return started[index] as Running;
    },
  };
}

/** Why a run was aborted, when it is. */
export async function abortReason({ context }: Running): Promise<unknown> {
  const { signal } = context;
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  return signal.reason;
}

/**
 * Until `vi.useRealTimers()` nothing of ours happens because a time is over: what happens all the same was told of.
 * But `expect.poll` turns these clocks on.
 */
export function stopTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
}
