import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FixError } from '../../src/errors.ts';
import type { FixOutcome } from '../../src/job.ts';
import type { WorkerQueueOptions } from '../../src/queue/worker-queue.ts';
import { dailyLimits as daily, wantedOfDay as wanted } from '../support/budget.ts';
import { aJob } from '../support/jobs.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { BenchWorker, QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';

const noon = Date.parse('2026-03-04T12:20:00Z');
const inAnHour = new Date('2026-03-04T13:00:00Z');
const midnight = new Date('2026-03-05T00:00:00Z');
const failed = (code: 'model_unavailable' | 'setup_failed'): FixOutcome => ({ kind: 'failed', code });

let bench: QueueBench;
let now: number;

async function start(options: Partial<WorkerQueueOptions>): Promise<BenchWorker> {
  const worker = await bench.worker({ concurrency: 1, aheadMs: () => now - Date.now(), ...options });
  await worker.consume();
  return worker;
}

const place = async (worker: BenchWorker, issue: number, repositoryId = 17) => (await worker.queue.find({ repositoryId, issue }))[0];

describe.skipIf(redisIsMissing())('what is over a limit', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
    now = noon;
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  test('waits for the next hour when a user has begun enough, and holds nobody else', async () => {
    const worker = await start({ limits: { perUserAndHour: 2 } });
    for (const issue of [1, 2, 3, 4]) await worker.queue.addRun(aJob({ issue, userId: 1 }));
    (await worker.run(0)).finish();
    (await worker.run(1)).finish();
    await bench.count('completed', 2);
    expect(await place(worker, 4)).toMatchObject({ state: 'waiting', place: 2, of: 2, heldBy: { limit: 'user_hour', until: inAnHour } });

    await worker.queue.addRun(aJob({ issue: 5, userId: 2 }));
    const other = await worker.run(2);
    other.finish();
    expect(other.job.issue.number).toBe(5);
    await bench.count('completed', 3);

    now = inAnHour.getTime();
    expect((await worker.run(3)).job.issue.number).toBe(3);
  });

  test('waits for the hour and the day of Redis, however wrong the clock of the worker is', async () => {
    const aheadMs = noon - Date.now();
    const worker = await start({ aheadMs: () => aheadMs, daily, limits: { perUserAndHour: 1 }, backoffMs: 60_000 });
    await worker.queue.addRun(aJob({ issue: 1 }));
    const first = await worker.run(0);
    await first.context.openBudget({ ...wanted, costUsd: 2 });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30 * 60 * 60_000 });
    try {
      expect(await first.context.openBudget(wanted).catch((thrown: unknown) => thrown)).toMatchObject({ details: { freeAt: midnight.getTime() } });
      first.fail(new FixError('setup_failed'));
      await bench.count('failed', 1);
      await worker.queue.addRun(aJob({ issue: 2 }));
      await worker.queue.addRun(aJob({ issue: 3, userId: 2 }));
      const other = await worker.run(1);
      other.fail(new FixError('model_unavailable'));
      await bench.count('delayed', 2);

      expect(await place(worker, 2)).toMatchObject({ heldBy: { limit: 'user_hour', until: inAnHour } });
      const { heldBy } = (await place(worker, 3)) ?? {};
      expect(heldBy?.limit).toBe('retry');
      expect(heldBy?.until?.getTime()).toBeLessThan(inAnHour.getTime());
      expect(worker.started).toHaveLength(2);
    } finally {
      vi.useRealTimers();
    }
  });

  test('waits for the next day when a repository has begun enough; settings may narrow it, not widen it', async () => {
    const worker = await start({ limits: { perRepositoryAndDay: 2 } });
    await worker.queue.addRun(aJob({ issue: 1 }), { perRepositoryAndDay: 1 });
    (await worker.run(0)).finish();
    await bench.count('completed', 1);

    await worker.queue.addRun(aJob({ issue: 2 }), { perRepositoryAndDay: 1 });
    expect(await place(worker, 2)).toMatchObject({ heldBy: { limit: 'repository_day', until: midnight } });
    await worker.queue.addRun(aJob({ issue: 3, userId: 2 }), { perRepositoryAndDay: 9 });
    (await worker.run(1)).finish();
    await bench.count('completed', 2);
    await worker.queue.addRun(aJob({ issue: 4, userId: 3 }), { perRepositoryAndDay: 9 });
    expect(await place(worker, 4)).toMatchObject({ heldBy: { limit: 'repository_day' } });
    await worker.queue.addRun(aJob({ issue: 5, repositoryId: 18 }));
    expect((await worker.run(2)).job.issue.number).toBe(5);

    now = midnight.getTime();
    worker.started[2]?.finish();
    // Its user had no turn yet.
    expect((await worker.run(3)).job.issue.number).toBe(4);
  });

  test('is not what failed by a fault of ours: that is given back, also when a worker died of it', async () => {
    const worker = await start({ limits: { perUserAndHour: 1 }, attempts: 2, backoffMs: 20 });
    await worker.queue.addRun(aJob({ issue: 1 }));
    (await worker.run(0)).fail(new FixError('model_unavailable'));
    await bench.count('delayed', 1);
    now += 100;
    (await worker.run(1)).fail(new FixError('model_unavailable'));
    await bench.count('failed', 1);
    await worker.queue.addRun(aJob({ issue: 2 }));
    (await worker.run(2)).finish(failed('model_unavailable'));
    await bench.count('completed', 1);
    await worker.queue.addRun(aJob({ issue: 3 }));
    (await worker.run(3)).finish(failed('setup_failed'));
    await bench.count('completed', 2);

    await worker.queue.addRun(aJob({ issue: 4 }));

    expect(await place(worker, 4)).toMatchObject({ heldBy: { limit: 'user_hour' } });
    expect(worker.started).toHaveLength(4);
  });

  test('a run that is tried again counts once, and pauses without holding others', async () => {
    const worker = await start({ limits: { perUserAndHour: 2 }, backoffMs: 60_000 });
    await worker.queue.addRun(aJob({ issue: 1 }));
    (await worker.run(0)).fail(new FixError('model_unavailable'));
    await bench.count('delayed', 1);
    expect(await place(worker, 1)).toMatchObject({ state: 'waiting', heldBy: { limit: 'retry' } });
    await worker.queue.addRun(aJob({ issue: 2 }));
    const second = await worker.run(1);
    expect(second.job.issue.number).toBe(2);
    now += 60_000;
    second.finish();

    expect((await worker.run(2)).context).toMatchObject({ attempt: 2 });
  });

  describe('of a daily budget', () => {
    const spend = async (worker: BenchWorker, index: number): Promise<void> => {
      const running = await worker.run(index);
      const share = await running.context.openBudget({ ...wanted, costUsd: 2 });
      await share.tell({ costUsd: 2, tokens: 10 });
      await share.close();
      running.finish();
    };

    test('waits for the next day with all of its repository, keeps its attempts, and holds nobody else', async () => {
      const worker = await start({ daily, limits: { perRepository: 2, perUserAndHour: 2 } });
      await worker.queue.addRun(aJob({ issue: 1 }));
      await spend(worker, 0);
      await bench.count('completed', 1);
      await worker.queue.addRun(aJob({ issue: 2 }));
      const second = await worker.run(1);
      second.fail(await second.context.openBudget(wanted).catch((thrown: unknown) => thrown));
      await bench.count('delayed', 1);
      await worker.queue.addRun(aJob({ issue: 3, userId: 2 }));

      // The user of the other one had no turn yet.
      expect(await place(worker, 3)).toMatchObject({ place: 1, of: 2, heldBy: { limit: 'daily_budget', until: midnight } });
      expect(await place(worker, 2)).toMatchObject({ place: 2, of: 2, heldBy: { limit: 'daily_budget', until: midnight } });
      await worker.queue.addRun(aJob({ issue: 4, repositoryId: 18, userId: 3 }));
      expect((await worker.run(2)).job.issue.number).toBe(4);

      now = midnight.getTime();
      worker.started[2]?.finish();
      (await worker.run(3)).finish();
      const third = await worker.run(4);
      expect(third.job.issue.number).toBe(2);
      expect(third.context).toMatchObject({ attempt: 1 });
      expect(await third.context.openBudget(wanted)).toMatchObject({ usd: { amount: 2 } });
    });

    test('is tried again as soon as a run gives its share back', async () => {
      const worker = await start({ daily, concurrency: 2, limits: { perRepository: 2 } });
      await worker.queue.addRun(aJob({ issue: 1 }));
      await worker.queue.addRun(aJob({ issue: 2 }));
      const [first, second] = [await worker.run(0), await worker.run(1)];
      const share = await first.context.openBudget({ ...wanted, costUsd: 2 });
      second.fail(await second.context.openBudget(wanted).catch((thrown: unknown) => thrown));
      await bench.count('delayed', 1);

      await share.close();
      first.finish();

      const again = await worker.run(2);
      expect(again.job.issue.number).toBe(2);
      expect(await again.context.openBudget(wanted)).toMatchObject({ usd: { amount: 2 } });
    });

    test('is given back after a failure of ours, once over', async () => {
      const worker = await start({ daily });
      for (const [index, expected] of [2, 2, undefined].entries()) {
        await worker.queue.addRun(aJob({ issue: index }));
        const running = await worker.run(index);
        const share = await running.context.openBudget({ ...wanted, costUsd: 2 }).catch((thrown: unknown) => thrown as FixError);
        expect('usd' in share ? share.usd.amount : undefined).toBe(expected);
        if (!('usd' in share)) return;
        await share.tell({ costUsd: 2, tokens: 10 });
        await share.close();
        running.finish(failed('model_unavailable'));
        await bench.count('completed', index + 1);
      }
    });
  });
});
