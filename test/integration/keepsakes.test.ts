import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createQueueBench } from '../support/queue-bench.ts';
import type { BenchWorker, QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';

const subject = { repositoryId: 17, issue: 7 };

describe.skipIf(redisIsMissing())('a keepsake of an issue', () => {
  let bench: QueueBench;
  let worker: BenchWorker;
  beforeEach(async () => {
    bench = await createQueueBench();
    worker = await bench.worker();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  test('is there for every worker, for 30 days, one of a name', async () => {
    const { keepsakes } = worker.queue;
    await keepsakes.keep(subject, 'plan', { words: 'one' });
    await keepsakes.keep(subject, 'plan', { words: 'two' });
    const other = await bench.worker();

    expect(await other.queue.keepsakes.recall(subject, 'plan')).toEqual({ words: 'two' });
    expect(await keepsakes.recall(subject, 'held')).toBeNull();
    expect(await keepsakes.recall({ ...subject, issue: 8 }, 'plan')).toBeNull();
    const [key = ''] = await bench.direct.keys('mayfly:kept:*');
    expect(await bench.direct.ttl(key)).toBeGreaterThan(29 * 24 * 3600);
  });

  test('that was forged, changed, or moved from another issue or name is none', async () => {
    const { keepsakes } = worker.queue;
    await keepsakes.keep(subject, 'plan', { words: 'one' });
    const [key = ''] = await bench.direct.keys('mayfly:kept:*');
    const text = (await bench.direct.get(key)) ?? '';

    await bench.direct.set(key.replace(/7$/, '8'), text);
    await bench.direct.set(key.replace('plan', 'held'), text);
    await bench.direct.set(key, text.replace('one', 'two'));

    expect(await keepsakes.recall({ ...subject, issue: 8 }, 'plan')).toBeNull();
    expect(await keepsakes.recall(subject, 'held')).toBeNull();
    expect(await keepsakes.recall(subject, 'plan')).toBeNull();
    await bench.direct.set(key, 'no JSON');
    expect(await keepsakes.recall(subject, 'plan')).toBeNull();
  });

  test('that is too large is not kept, and the one before is gone', async () => {
    const { keepsakes } = worker.queue;
    await keepsakes.keep(subject, 'job', { words: 'small' });

    await keepsakes.keep(subject, 'job', { words: 'x'.repeat(600 * 1024) });

    expect(await keepsakes.recall(subject, 'job')).toBeNull();
  });
});
