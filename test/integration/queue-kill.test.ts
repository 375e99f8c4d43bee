/** Processes that are killed at the worst moments: nothing is lost, nothing is done twice. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createIntakeQueue } from '../../src/queue/intake-queue.ts';
import type { RunContext } from '../../src/queue/queue.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { captureLog } from '../support/capture-log.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { aJob } from '../support/jobs.ts';
import { tapRedis } from '../support/redis-tap.ts';
import type { Verdict } from '../support/redis-tap.ts';
import { redisIsMissing, startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

const program = new URL('../support/queue-process.ts', import.meta.url).pathname;
const lockMs = 1_000;
let redis: RedisServer;
let direct: Redis;

interface QueueProcess {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  /** Resolves when it has printed this line. */
  printed(line: string): Promise<void>;
  kill(): Promise<void>;
}

function startProcess(...parameters: string[]): QueueProcess {
  const child = spawn(...endsWithUs(process.execPath, [program, ...parameters]), { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  onTestFinished(kill);
  return { child, lines, kill, printed: (line) => expect.poll(() => lines, { timeout: 15_000, interval: 10 }).toContain(line) };
}

/** A worker in this process that hears events and runs, and ends each run at once. */
async function hear() {
  const { log } = captureLog();
  const queue = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 1, lockMs, log });
  const events: unknown[] = [];
  const contexts: RunContext[] = [];
  await queue.consume({
    intake: async (event) => void events.push(event),
    run: async (_job, context) => {
      contexts.push(context);
      context.signal.throwIfAborted();
    },
  });
  return { queue, events, contexts };
}

const finished = async (name: string) => {
  const { completed = 0, failed = 0 } = await new Queue(name, { connection: direct, prefix: 'mayfly' }).getJobCounts('completed', 'failed');
  return completed + failed;
};

describe.skipIf(redisIsMissing())('a killed process', () => {
  beforeEach(async () => {
    redis = await startRedis();
    direct = new Redis(redis.url, { maxRetriesPerRequest: null });
    direct.on('error', () => {});
  });
  afterEach(async () => {
    direct.disconnect();
    await redis.stop();
  });

  test.each<[string, Verdict, number, 'queued' | 'duplicate']>([
    ['before its event reaches Redis', 'hold', 1, 'queued'],
    ['after its event reached Redis, before it knows', 'pass_but_hold_the_reply', 2, 'duplicate'],
  ])('of the web role, %s: the redelivery makes it exactly one', async (_moment, verdict, queued, redelivered) => {
    const { log } = captureLog();
    const web = createIntakeQueue({ redisUrl: redis.url, signingKey: jobKey, log });
    // BullMQ sends a script by its hash first; after this the server knows it.
    await web.add({ key: 'warm', deliveryId: 'warm' }, 3_000);
    const reached = Promise.withResolvers<void>();
    const tap = await tapRedis(redis.url, (sent) => {
      if (!sent.includes('from-the-process')) return 'pass';
      reached.resolve();
      return verdict;
    });
    const victim = startProcess('add', tap.url, 'label-1-7-abc');
    await reached.promise;
    await expect.poll(() => new Queue('intake', { connection: direct, prefix: 'mayfly' }).count()).toBe(queued);
    await victim.kill();
    await tap.close();

    expect(await web.add({ key: 'label-1-7-abc', deliveryId: 'redelivery' }, 3_000)).toBe(redelivered);

    const { queue, events } = await hear();
    await expect.poll(() => finished('intake')).toBe(2);
    expect(victim.lines).toEqual([]);
    expect(events).toHaveLength(2);
    await web.close();
    await queue.close(0);
  });

  test('of a worker, between taking a run and recording its key: the run is taken again', async () => {
    const { log } = captureLog();
    const adder = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 1, log });
    await adder.addRun(aJob({ key: 'same' }));
    const reached = Promise.withResolvers<void>();
    const tap = await tapRedis(redis.url, (sent) => {
      if (!sent.includes('runs-seen')) return 'pass';
      reached.resolve();
      return 'hold';
    });
    const victim = startProcess('work', tap.url, String(lockMs));
    await reached.promise;
    await victim.kill();
    await tap.close();

    expect(await adder.addRun(aJob({ key: 'same' }))).toBe(false);

    const { queue, contexts } = await hear();
    await expect.poll(() => finished('runs'), { timeout: 15_000 }).toBe(1);
    expect(contexts.map(({ attempt }) => attempt)).toEqual([2]);
    expect(await adder.addRun(aJob({ key: 'same' }))).toBe(false);
    await adder.close(0);
    await queue.close(0);
  });

  test('after a run was queued, before it stood in the ring: it is found, and runs once', async () => {
    const { tap, reached } = await holdAt(redis.url, (sent) => sent.includes("base .. 'seq'"));
    const victim = startProcess('add-run', tap.url, 'same');
    await reached;
    await victim.kill();
    await tap.close();
    expect(await direct.hlen('mayfly:ring:jobs')).toBe(0);

    const { queue, contexts } = await hear();

    await expect.poll(() => finished('runs'), { timeout: 15_000 }).toBe(1);
    expect(contexts.map(({ attempt }) => attempt)).toEqual([1]);
    expect(await queue.addRun(aJob({ key: 'same' }))).toBe(false);
    await queue.close(0);
  });

  test.each<[string, (sent: string) => boolean, number[]]>([
    ['after the ring gave it a slot, before BullMQ was told', (sent) => /hgetall\r\n\$\d+\r\nmayfly:runs:k/i.test(sent), [1, 1]],
    ['after its slot was free, before BullMQ knew that it ended', (sent) => sent.includes('Move job from active to a finished status'), [1]],
  ])('of a worker that has a run, %s: it is not lost, nor done twice, and its slot is held once', async (_moment, isMoment, attempts) => {
    const { log } = captureLog();
    const adder = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 1, log });
    await adder.addRun(aJob({ issue: 1 }));
    const { tap, reached } = await holdAt(redis.url, isMoment);
    const victim = startProcess('end', tap.url, String(lockMs));
    await reached;
    await victim.kill();
    await tap.close();
    expect(await finished('runs')).toBe(0);
    await adder.addRun(aJob({ issue: 2 }));

    const { queue, contexts } = await hear();

    await expect.poll(() => finished('runs'), { timeout: 15_000 }).toBe(2);
    expect(contexts.map(({ attempt }) => attempt)).toEqual(attempts);
    expect(await direct.hlen('mayfly:ring:granted')).toBe(0);
    expect(await direct.hlen('mayfly:ring:jobs')).toBe(0);
    await adder.close(0);
    await queue.close(0);
  });

  test('of Redis itself, while runs wait and work: it comes back with all of them', async () => {
    const { queue, contexts } = await hear();
    const { log } = captureLog();
    const adder = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 1, log });
    const adding = Array.from({ length: 30 }, (_, index) => adder.addRun(aJob({ issue: index + 1 })));
    await expect.poll(() => contexts.length, { interval: 5 }).toBeGreaterThan(3);

    await redis.kill();
    await redis.restart();

    await Promise.allSettled(adding);
    await expect.poll(() => finished('runs'), { timeout: 20_000 }).toBe(30);
    expect(await direct.hlen('mayfly:ring:granted')).toBe(0);
    await adder.close(0);
    await queue.close(0);
  });

  test('of a worker, in the middle of a run: another takes it, once, and knows that it is the second', async () => {
    const victim = startProcess('work', redis.url, String(lockMs));
    await victim.printed('consuming');
    const { queue, contexts } = await hearAfter(victim, 'running attempt 1');

    await expect.poll(() => finished('runs'), { timeout: 15_000 }).toBe(1);
    expect(contexts.map(({ attempt, signal }) => [attempt, signal.aborted])).toEqual([[2, false]]);
    await queue.close(0);
  });

  test('of a worker, twice in the middle of a run: the third gets it only to tell that it is lost', async () => {
    const first = startProcess('work', redis.url, String(lockMs));
    await first.printed('consuming');
    const { log } = captureLog();
    const adder = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 1, log });
    await adder.addRun(aJob());
    await first.printed('running attempt 1');
    await first.kill();
    const second = startProcess('work', redis.url, String(lockMs));
    await second.printed('running attempt 2');
    await second.kill();

    const { queue, contexts } = await hear();

    await expect.poll(() => finished('runs'), { timeout: 15_000 }).toBe(1);
    expect(contexts).toHaveLength(1);
    expect(contexts[0]?.signal.reason).toMatchObject({ code: 'run_lost' });
    await adder.close(0);
    await queue.close(0);
  });
});

/** A way to Redis that ends for good just before what `isMoment` recognises gets there. */
async function holdAt(redisUrl: string, isMoment: (sent: string) => boolean) {
  const reached = Promise.withResolvers<void>();
  const tap = await tapRedis(redisUrl, (sent) => {
    if (!isMoment(sent)) return 'pass';
    reached.resolve();
    return 'hold';
  });
  return { tap, reached: reached.promise };
}

/** Adds a run, kills the worker that has it, and hears what another one gets. */
async function hearAfter(victim: QueueProcess, line: string) {
  const { log } = captureLog();
  const adder = await createWorkerQueue({ redisUrl: redis.url, signingKey: jobKey, concurrency: 1, log });
  await adder.addRun(aJob());
  await victim.printed(line);
  await victim.kill();
  await adder.close(0);
  return await hear();
}
