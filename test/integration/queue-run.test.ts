import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { createIntakeQueue } from '../../src/queue/intake-queue.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { captureLog } from '../support/capture-log.ts';
import { aJob } from '../support/jobs.ts';
import { abortReason, createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

let bench: QueueBench;

describe.skipIf(redisIsMissing())('a queued run', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  describe('stop', () => {
    test('reaches a run on another worker', async () => {
      const [owner, other] = [await bench.worker(), await bench.worker()];
      await owner.consume();
      const job = aJob();
      await other.queue.addRun(job);
      const running = await owner.run(0);

      const stopped = await other.queue.cancelIssue(17, 7, 'stop');

      expect(stopped).toEqual([{ runId: job.runId, waited: false }]);
      expect(await abortReason(running)).toMatchObject({ code: 'cancelled', details: { reason: 'stop' } });
      await bench.count('failed', 1);
    });

    test('takes a waiting run out, for good', async () => {
      const worker = await bench.worker();
      const job = aJob();
      await worker.queue.addRun(job);

      expect(await worker.queue.cancelIssue(17, 8, 'closed')).toEqual([]);
      expect(await worker.queue.cancelIssue(17, 7, 'unlabeled')).toEqual([{ runId: job.runId, waited: true }]);

      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ waiting: 0, delayed: 0 });
      expect(await worker.queue.addRun(job)).toBe(false);
      expect(await worker.queue.hasRun(job.key)).toBe(true);
      expect(await worker.queue.hasRun('another')).toBe(false);
      expect(await worker.queue.cancelIssue(17, 7, 'unlabeled')).toEqual([]);
    });

    test('does not touch a run that is triggered afterwards', async () => {
      const worker = await bench.worker();
      await worker.queue.addRun(aJob());
      await worker.queue.cancelIssue(17, 7, 'stop');
      await worker.consume();

      await worker.queue.addRun(aJob());

      expect((await worker.run(0)).context.signal.aborted).toBe(false);
    });

    test('is not lost between the taking of a run and its start', async () => {
      const worker = await bench.worker();
      await worker.queue.addRun(aJob());
      const [jobId = ''] = await bench.direct.smembers('mayfly:issue:17:7');
      // As a `stop` would have it that found the job locked, and whose message nobody heard.
      await bench.direct.set(`mayfly:cancelled:${jobId}`, 'stop');

      await worker.consume();

      expect(await abortReason(await worker.run(0))).toMatchObject({ code: 'cancelled' });
    });

    test('is not lost while the worker’s subscription is broken', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob());
      const running = await worker.run(0);
      const [jobId = ''] = await bench.direct.smembers('mayfly:issue:17:7');

      await bench.direct
        .multi([
          ['client', 'KILL', 'TYPE', 'pubsub'],
          ['set', `mayfly:cancelled:${jobId}`, 'stop'],
        ])
        .exec();

      expect(await abortReason(running)).toMatchObject({ code: 'cancelled' });
    });
  });

  describe('the lock', () => {
    test('when it is lost aborts the run, which another worker takes', async () => {
      const [first, second] = [await bench.worker({ concurrency: 1 }), await bench.worker({ concurrency: 1 })];
      await first.consume();
      await first.queue.addRun(aJob());
      const running = await first.run(0);
      expect(await running.context.ownsRun()).toBe(true);

      const [lock = ''] = await bench.direct.keys('mayfly:runs:*:lock');
      await bench.direct.set(lock, 'somebody else');

      expect(await running.context.ownsRun()).toBe(false);
      expect(await abortReason(running)).toMatchObject({ code: 'lock_lost' });
      await bench.direct.del(lock);
      await second.consume();
      const taken = await Promise.race([second.run(0), first.run(1)]);
      expect(taken.context.attempt).toBe(2);
      expect(await taken.context.ownsRun()).toBe(true);
    });

    test.each([
      ['nothing is wrong with it', undefined],
      ['it may pass by itself', new FixError('lock_lost')],
      ['it does not', new FixError('setup_failed')],
    ])('when it is lost unnoticed and the attempt ends here, leaves slot and messages to whoever has the run: %s', async (_how, error) => {
      const worker = await bench.worker({ lockMs: 60_000 });
      await worker.consume();
      await worker.queue.addRun(aJob());
      const running = await worker.run(0);
      await worker.queue.tell({ repositoryId: 17, issue: 7 }, { id: 1, login: 'ada', text: 'also null', at: '2026-01-02T03:04:05.000Z' });
      const [lock = ''] = await bench.direct.keys('mayfly:runs:*:lock');
      await bench.direct.set(lock, 'somebody else');

      if (error) running.fail(error);
      else running.finish();
      await worker.queue.close(15_000);

      expect(await bench.direct.hlen('mayfly:ring:granted')).toBe(1);
      expect(await bench.direct.hlen('mayfly:ring:jobs')).toBe(0);
      expect(await bench.direct.keys('mayfly:messages:*')).toHaveLength(1);
    });

    test('when Redis forgot everything aborts the run, and the worker goes on', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob({ key: 'same' }));
      const running = await worker.run(0);

      await bench.direct.flushall();

      expect(await abortReason(running)).toMatchObject({ code: 'lock_lost' });
      expect(await worker.queue.addRun(aJob({ key: 'same' }))).toBe(true);
      expect((await worker.run(1)).context.attempt).toBe(1);
    });
  });

  describe('a failure', () => {
    test('that passes by itself is tried again up to the limit, and the last attempt knows it', async () => {
      const worker = await bench.worker({ attempts: 3 });
      await worker.consume();
      await worker.queue.addRun(aJob());

      for (const attempt of [1, 2, 3]) {
        const running = await worker.run(attempt - 1);
        expect(running.context).toMatchObject({ attempt, lastAttempt: attempt === 3 });
        running.fail(new FixError('model_unavailable'));
      }

      await bench.count('failed', 1);
      expect(worker.started).toHaveLength(3);
    });

    test.each([
      ['of the table', new FixError('setup_failed')],
      ['that is none of ours', new TypeError('canary in the message')],
      ['that is not even an error', 'canary in the message'],
    ])('%s is not tried again, and Redis learns its code only', async (_what, thrown) => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob());
      (await worker.run(0)).fail(thrown);

      await bench.count('failed', 1);
      expect(worker.started).toHaveLength(1);
      const [failed] = await bench.lane('runs').getJobs(['failed']);
      expect(failed?.failedReason).toMatch(/^(?:setup_failed|internal)$/);
      expect(JSON.stringify(failed)).not.toContain('canary');
    });

    test('of intake is tried again when it passes by itself', async () => {
      const { log } = captureLog();
      const web = createIntakeQueue({ redisUrl: bench.redis.url, signingKey: jobKey, log });
      const queue = await createWorkerQueue({ redisUrl: bench.redis.url, signingKey: jobKey, concurrency: 1, log });
      const errors = [new FixError('github_unavailable'), null];
      const heard: unknown[] = [];
      await queue.consume({
        intake: async (event) => {
          heard.push(event);
          const error = errors[heard.length - 1];
          if (error) throw error;
        },
        run: async () => {},
      });

      await web.add({ key: 'comment-1', deliveryId: 'd' }, 3_000);

      await expect.poll(() => heard.length, { timeout: 10_000 }).toBe(2);
      expect(heard[1]).toEqual({ key: 'comment-1', deliveryId: 'd' });
      await web.close();
    });
  });

  describe('without Redis', () => {
    test('a worker does not start, and says so within seconds', async () => {
      await bench.redis.kill();

      await expect(bench.worker()).rejects.toMatchObject({ code: 'redis_unavailable', details: { timeoutMs: 5_000 } });
    });

    test('a run goes on, ends, and the next ones are taken when it is back', async () => {
      const worker = await bench.worker({ lockMs: 5_000 });
      await worker.consume();
      await worker.queue.addRun(aJob({ key: 'same' }));
      const running = await worker.run(0);

      await bench.redis.kill();
      running.finish();
      await bench.redis.restart();

      await bench.count('completed', 1);
      expect(running.context.signal.aborted).toBe(false);
      expect(await worker.queue.addRun(aJob({ key: 'same' }))).toBe(false);
      await worker.queue.addRun(aJob({ repositoryId: 2 }));
      await worker.run(1);
      expect(worker.messages().filter((message) => message === 'redis does not answer').length).toBeLessThanOrEqual(2);
      expect(worker.messages()).toContain('redis is back');
    });
  });

  describe('closing', () => {
    test('waits for what runs and takes nothing new', async () => {
      const worker = await bench.worker({ concurrency: 1 });
      await worker.consume();
      await worker.queue.addRun(aJob({ repositoryId: 1 }));
      const running = await worker.run(0);
      await worker.queue.addRun(aJob({ repositoryId: 2 }));

      const closing = worker.queue.close(10_000);
      running.finish();
      await closing;

      expect(running.context.signal.aborted).toBe(false);
      expect(worker.started).toHaveLength(1);
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ completed: 1, waiting: 0, delayed: 1 });
    });

    test('aborts what runs too long, and gives it back with its attempts', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob());
      const running = await worker.run(0);

      await worker.queue.close(50);

      expect(await abortReason(running)).toMatchObject({ code: 'lock_lost', details: { reason: 'shutdown' } });
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ waiting: 1, active: 0 });
      const next = await bench.worker();
      await next.consume();
      expect((await next.run(0)).context).toMatchObject({ attempt: 1, lastAttempt: false });
    });

    test('ends also when Redis is away', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await bench.redis.kill();

      await expect(worker.queue.close(100)).resolves.toBeUndefined();
    }, 90_000);
  });
});
