import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createIntakeQueue } from '../../src/queue/intake-queue.ts';
import { captureLog } from '../support/capture-log.ts';
import { aJob } from '../support/jobs.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench, Running } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

let bench: QueueBench;

describe.skipIf(redisIsMissing())('the queue', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  describe('once', () => {
    test('makes one job of 1,000 parallel copies from four processes’ connections', async () => {
      const { log } = captureLog();
      const queues = Array.from({ length: 4 }, () => createIntakeQueue({ redisUrl: bench.redis.url, signingKey: jobKey, log }));

      const copies = Array.from({ length: 250 }, (_, index) => ({ key: 'label-1-7-abc', deliveryId: `d${index}` }));
      const answers = await Promise.all(queues.flatMap((queue) => copies.map((event) => queue.add(event, 10_000))));

      expect(answers).toContain('queued');
      expect(await bench.lane('intake').getJobCounts()).toMatchObject({ waiting: 1 });
      const worker = await bench.worker();
      await worker.consume();
      await bench.count('completed', 1, 'intake');
      expect(worker.intake).toHaveLength(1);
      await Promise.all(queues.map((queue) => queue.close()));
    });

    test('brings an event back after its time, once, also when the process that put it off is gone', async () => {
      const first = await bench.worker();
      const event = { key: 'quiet-1-7', deliveryId: 'd1' };
      await first.queue.later(event, 400);
      await first.queue.later({ ...event, deliveryId: 'd2' }, 400);
      expect(await bench.lane('intake').getJobCounts()).toMatchObject({ delayed: 1, waiting: 0 });
      await first.queue.close(1_000);

      const second = await bench.worker();
      await second.consume();
      await bench.count('completed', 1, 'intake');

      expect(second.intake).toEqual([event]);
    });

    test('takes keys of any form, and tells them apart', async () => {
      const worker = await bench.worker();

      for (const key of ['1', '2', 'a:b', 'a:b:c:d', 'ключ', ' ', 'x'.repeat(200)]) expect(await worker.queue.addRun(aJob({ key }))).toBe(true);

      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ delayed: 7 });
    });

    test('knows a key after the job is gone and the process was started again', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob({ key: 'same' }));
      (await worker.run(0)).finish();
      await bench.count('completed', 1);
      await worker.queue.close(1_000);
      await bench.lane('runs').clean(0, 100, 'completed');

      const again = await bench.worker();

      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ completed: 0 });
      expect(await again.queue.addRun(aJob({ key: 'same' }))).toBe(false);
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ waiting: 0, delayed: 0 });
      expect(await bench.direct.ttl((await bench.direct.keys('mayfly:runs-seen:*'))[0] ?? '')).toBeGreaterThan(13 * 24 * 60 * 60);
    });
  });

  describe('trust', () => {
    test.each([
      ['without a signature', (sealed: object) => ({ ...sealed, mac: undefined })],
      ['with a signature of nothing', (sealed: object) => ({ ...sealed, mac: '0'.repeat(64) })],
      ['with a signature that is no text', (sealed: object) => ({ ...sealed, mac: { length: 64 } })],
      ['whose payload was changed', (sealed: { payload?: string }) => ({ ...sealed, payload: sealed.payload?.replace('acme', 'evil') })],
      ['copied under another id', (sealed: object) => sealed],
      ['that is the bare job', () => aJob()],
      ['that is nothing', () => null],
    ])('refuses a run %s that was put straight into Redis', async (_what, forge) => {
      const worker = await bench.worker();
      const queue = bench.lane('runs');
      await worker.queue.addRun(aJob({ repositoryId: 1 }));
      const [genuine] = await queue.getJobs(['delayed']);
      await queue.add('runs', forge(genuine?.data as object), { jobId: 'forged' });

      await worker.consume();

      await bench.count('failed', 1);
      expect(await queue.getJob('forged')).toMatchObject({ failedReason: 'job_invalid', attemptsMade: 1 });
      expect(worker.messages()).toContain('job refused');
      await worker.run(0);
      expect(worker.started.map(({ job }) => job.repository.id)).toEqual([1]);
    });

    test('refuses an event that was signed for the other queue', async () => {
      const worker = await bench.worker();
      await worker.queue.addRun(aJob());
      const runs = bench.lane('runs');
      const [genuine] = await runs.getJobs(['delayed']);
      await bench.lane('intake').add('intake', genuine?.data, { jobId: genuine?.id ?? '' });

      await worker.consume();

      await bench.count('failed', 1, 'intake');
      expect(worker.intake).toEqual([]);
    });

    test('refuses a run that another key signed, and does not start with a short key', async () => {
      const other = await bench.worker({ signingKey: 'another key, also of 32 characters' });
      await other.queue.addRun(aJob());
      const worker = await bench.worker();

      await worker.consume();

      await bench.count('failed', 1);
      expect(worker.started).toEqual([]);
      await expect(bench.worker({ signingKey: 'short' })).rejects.toMatchObject({ code: 'config_invalid' });
    });
  });

  describe('limits', () => {
    test('one run of a repository at a time, three of an installation, over all workers', async () => {
      const workers = [await bench.worker(), await bench.worker()];
      const repositories = [1, 1, 2, 3, 4, 4, 5];
      for (const repositoryId of repositories) await workers[0]?.queue.addRun(aJob({ repositoryId }));
      const seen: number[][] = [];
      const active = (): Running[] => workers.flatMap(({ started }) => started).filter((running) => !done.has(running));
      const done = new Set<Running>();

      for (const worker of workers) await worker.consume();
      while (done.size < repositories.length) {
        await expect.poll(() => active().length, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
        seen.push(active().map(({ job }) => job.repository.id));
        const [first] = active();
        if (first) done.add(first);
        first?.finish();
      }

      for (const together of seen) {
        expect(together.length).toBeLessThanOrEqual(3);
        expect(new Set(together).size).toBe(together.length);
      }
      expect(Math.max(...seen.map((together) => together.length))).toBe(3);
      await bench.count('completed', 7);
    });

    test('a parked run keeps its attempts', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob({ issue: 1 }));
      const first = await worker.run(0);
      await worker.queue.addRun(aJob({ issue: 2 }));
      await bench.count('delayed', 1);

      first.finish();

      expect((await worker.run(1)).context).toMatchObject({ attempt: 1, lastAttempt: false });
    });

    test('a dead worker’s slot is free as soon as its lock is gone', async () => {
      await bench.direct.sadd('mayfly:slots:repository:17', 'run-of-a-dead-worker');
      const worker = await bench.worker();
      await worker.consume();

      await worker.queue.addRun(aJob());

      await worker.run(0);
      expect(await bench.direct.smembers('mayfly:slots:repository:17')).toHaveLength(1);
    });
  });
});
