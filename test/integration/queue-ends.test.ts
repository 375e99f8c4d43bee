/** Runs that end at an awkward moment: on their way back to those that wait, or just before their worker dies. */
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { aJob } from '../support/jobs.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { tapRedis } from '../support/redis-tap.ts';
import { redisIsMissing } from '../support/redis.ts';

let bench: QueueBench;

/** A worker whose run failed for now, and stands still just before what `isMoment` recognises gets to Redis. */
async function holdParking(isMoment: (sent: string) => boolean) {
  const reached = Promise.withResolvers<void>();
  const tap = await tapRedis(bench.redis.url, (sent) => {
    if (!isMoment(sent)) return 'pass';
    reached.resolve();
    return 'hold';
  });
  onTestFinished(() => tap.close());
  const [owner, other] = [await bench.worker({ redisUrl: tap.url, backoffMs: 3_600_000, lockMs: 30_000 }), await bench.worker()];
  await owner.consume();
  await owner.queue.addRun(aJob());
  (await owner.run(0)).fail(new FixError('model_unavailable'));
  await reached.promise;
  return { owner, other, tap };
}

describe.skipIf(redisIsMissing())('a run', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  describe('that is stopped while it is being parked', () => {
    test('before it waits again: its worker ends it at once, and tells', async () => {
      const { owner, other, tap } = await holdParking((sent) => sent.includes('local function holdFor'));

      expect(await other.queue.cancelIssue(17, 7, 'stop', { login: 'grace' })).toMatchObject([{ waited: false }]);
      tap.release();

      const told = await owner.run(1);
      expect(told.context.signal.reason).toMatchObject({ code: 'cancelled', details: { reason: 'stop', login: 'grace' } });
      await bench.count('failed', 1);
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ delayed: 0, waiting: 0, active: 0 });
      expect(await bench.direct.exists('mayfly:ring:jobs', 'mayfly:ring:granted')).toBe(0);
    });

    test('when it waits again and its worker has not let go of it: it is taken out at once', async () => {
      const { owner, other, tap } = await holdParking((sent) => sent.includes('Moves job from active to delayed set'));

      const stopped = other.queue.cancelIssue(17, 7, 'stop');
      await expect.poll(() => bench.direct.keys('mayfly:cancelled:*')).toHaveLength(1);
      tap.release();

      expect(await stopped).toMatchObject([{ waited: true }]);
      expect(owner.started).toHaveLength(1);
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ delayed: 0, waiting: 0, active: 0, failed: 0 });
      expect(await bench.direct.exists('mayfly:ring:jobs', 'mayfly:ring:granted')).toBe(0);
    });
  });

  describe('that is over', () => {
    test.each([
      [0, 'when its worker died, is not done again, and BullMQ hears of it', 'setup_failed'],
      [7, 'that it was not, is done again', undefined],
    ])('after %i attempts, %s', async (attemptsMade, _what, failedReason) => {
      const worker = await bench.worker();
      await worker.queue.addRun(aJob());
      const [job] = await bench.lane('runs').getDelayed();
      await bench.direct.hdel('mayfly:ring:jobs', job?.id ?? '');
      await bench.direct.set(`mayfly:runs-seen:${job?.id}`, JSON.stringify({ code: 'setup_failed', attemptsMade }));
      await job?.promote();

      await worker.consume();

      if (failedReason === undefined) (await worker.run(0)).finish();
      await bench.count(failedReason === undefined ? 'completed' : 'failed', 1);
      const [failed] = await bench.lane('runs').getJobs(['failed']);
      expect(failed?.failedReason).toBe(failedReason);
      expect(await bench.direct.exists('mayfly:issue:17:7')).toBe(0);
    });

    test('that failed for good is tried again by hand', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob());
      (await worker.run(0)).fail(new FixError('setup_failed'));
      await bench.count('failed', 1);

      const [failed] = await bench.lane('runs').getFailed();
      await failed?.retry('failed');

      const again = await worker.run(1);
      again.finish();
      await bench.count('completed', 1);
      expect(again.context).toMatchObject({ attempt: 2 });
    });
  });
});
