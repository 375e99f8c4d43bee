/** A stop that comes while a run is on its way from a worker back to those that wait. */
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

describe.skipIf(redisIsMissing())('a stop while a run is being parked', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  test('before it waits again: its worker ends it at once, and tells', async () => {
    const { owner, other, tap } = await holdParking((sent) => sent.includes('local function holdFor'));

    expect(await other.queue.cancelIssue(17, 7, 'stop', 'grace')).toMatchObject([{ waited: false }]);
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
