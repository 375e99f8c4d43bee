import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FixError } from '../../src/errors.ts';
import type { Message } from '../../src/queue/inbox.ts';
import type { WaitingRun } from '../../src/queue/place-book.ts';
import { newRunId } from '../../src/job.ts';
import { aJob } from '../support/jobs.ts';
import { abortReason, createQueueBench, stopTimers } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';

let bench: QueueBench;

const subject = { repositoryId: 17, issue: 7 };
const message = (id: number, text = `say ${id}`): Message => ({ id, login: 'ada', text, at: '2026-01-02T03:04:05.000Z' });

describe.skipIf(redisIsMissing())('while a run waits or works', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(async () => {
    vi.useRealTimers();
    await bench[Symbol.asyncDispose]();
  });

  describe('messages', () => {
    test('reach it once, in order, before and while it works, on another worker', async () => {
      const [owner, other] = [await bench.worker(), await bench.worker()];
      expect(await other.queue.tell(subject, message(1))).toBe('none');
      await other.queue.addRun(aJob());
      expect(await other.queue.tell(subject, message(1))).toBe('waiting');
      await owner.consume();
      const running = await owner.run(0);
      expect(await running.context.takeMessages()).toEqual([message(1)]);
      expect(await running.context.takeMessages()).toEqual([]);

      for (const id of [2, 3, 2]) expect(await other.queue.tell(subject, message(id))).toBe('working');

      expect(await running.context.takeMessages()).toEqual([message(2), message(3)]);
      running.finish();
      await bench.count('completed', 1);
      expect(await other.queue.tell(subject, message(4))).toBe('none');
      const [left = '', ...more] = await bench.direct.keys('mayfly:messages:*');
      expect([await bench.direct.lrange(left, 0, -1), more]).toEqual([['closed'], []]);
      expect(await bench.direct.ttl(left)).toBeLessThanOrEqual(600);
    });

    test('reach it, or are said not to, in the moment in which it ends; the next attempt hears again', async () => {
      const worker = await bench.worker({ concurrency: 1 });
      await worker.consume();
      await worker.queue.addRun(aJob());
      const { context } = await worker.run(0);
      await context.takeMessages();
      await worker.queue.tell(subject, message(1));

      await context.closeMessages();

      expect(await worker.queue.tell(subject, message(2))).toBe('closed');
      expect(await worker.queue.tell(subject, message(1))).toBe('working');
      expect(await context.takeMessages()).toEqual([message(1)]);
      await worker.queue.close(0);
      const next = await bench.worker();
      await next.consume();
      expect(await (await next.run(0)).context.takeMessages()).toEqual([message(1)]);
      expect(await next.queue.tell(subject, message(3))).toBe('working');
    });

    test('go to the run that works, not to one that waits behind it', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob());
      const first = await worker.run(0);
      await worker.queue.addRun(aJob());

      expect(await worker.queue.tell(subject, message(1))).toBe('working');

      expect(await first.context.takeMessages()).toEqual([message(1)]);
      first.finish();
      expect(await (await worker.run(1)).context.takeMessages()).toEqual([]);
    });

    test('are all there again for an attempt on another worker', async () => {
      const first = await bench.worker({ concurrency: 1 });
      await first.consume();
      await first.queue.addRun(aJob());
      const running = await first.run(0);
      await first.queue.tell(subject, message(1));
      await running.context.takeMessages();
      await first.queue.close(0);
      const second = await bench.worker();
      await second.queue.tell(subject, message(2));

      await second.consume();

      expect(await (await second.run(0)).context.takeMessages()).toEqual([message(1), message(2)]);
    });

    test('have bounds, and none is cut', async () => {
      const worker = await bench.worker();
      await worker.queue.addRun(aJob());

      expect(await worker.queue.tell(subject, message(99, 'é'.repeat(8 * 1024) + '!'))).toBe('too_long');
      for (let id = 1; id <= 20; id += 1) expect(await worker.queue.tell(subject, message(id, 'é'.repeat(8 * 1024)))).toBe('waiting');
      expect(await worker.queue.tell(subject, message(21))).toBe('full');
      expect(await worker.queue.tell(subject, message(20))).toBe('waiting');

      await worker.consume();
      expect(await (await worker.run(0)).context.takeMessages()).toHaveLength(20);
    });

    test('that were put straight into Redis are refused: forged, changed, doubled, or of another run', async () => {
      const worker = await bench.worker({ concurrency: 2, limits: { perRepository: 2 } });
      await worker.consume();
      await worker.queue.addRun(aJob());
      await worker.queue.addRun(aJob({ issue: 8 }));
      await worker.queue.tell(subject, message(1));
      await worker.queue.tell({ repositoryId: 17, issue: 8 }, message(8));
      const keyOf = async (issue: number) => `mayfly:messages:${(await bench.direct.smembers(`mayfly:issue:17:${issue}`))[0]}`;
      const [own = ''] = await bench.direct.lrange(await keyOf(7), 0, -1);
      const [foreign = ''] = await bench.direct.lrange(await keyOf(8), 0, -1);
      const forged = JSON.stringify({ payload: JSON.stringify(message(5)), mac: '0'.repeat(64) });

      await bench.direct.rpush(await keyOf(7), foreign, own.replace('say 1', 'say !'), own.replace('1 ', '6 '), `5 ${forged}`, 'nothing', '');

      const running = await worker.run(0);
      expect(await running.context.takeMessages()).toEqual([message(1)]);
      expect(worker.messages().filter((text) => text === 'a message was refused that we did not sign').length).toBe(5);
    });

    test('never fail a run: without Redis there is nothing new', async () => {
      const worker = await bench.worker();
      await worker.consume();
      await worker.queue.addRun(aJob());
      const running = await worker.run(0);
      await bench.direct.set(`mayfly:messages:${(await bench.direct.smembers('mayfly:issue:17:7'))[0]}`, 'broken');

      expect(await running.context.takeMessages()).toEqual([]);
    });
  });

  test('stop reaches it on another worker without waiting for a timer of either, and names who said it', async () => {
    stopTimers();
    const [owner, other] = [await bench.worker(), await bench.worker()];
    await owner.consume();
    await other.consume();
    await other.queue.addRun(aJob());
    await expect.poll(() => owner.started.length + other.started.length).toBe(1);
    const [running, asker] = owner.started[0] ? [owner.started[0], other] : [other.started[0], owner];
    if (!running) throw new Error('nothing runs');

    await asker.queue.cancelIssue(17, 7, 'stop', { login: 'grace' });

    expect(await abortReason(running)).toMatchObject({ code: 'cancelled', details: { reason: 'stop', login: 'grace' } });
  });

  test('a stop that somebody wrote into Redis names nobody', async () => {
    const worker = await bench.worker();
    await worker.queue.addRun(aJob());
    const [jobId = ''] = await bench.direct.smembers('mayfly:issue:17:7');
    await bench.direct.set(`mayfly:cancelled:${jobId}`, JSON.stringify({ payload: '{"reason":"stop","login":"grace"}', mac: '0'.repeat(64) }));

    await worker.consume();

    expect((await abortReason(await worker.run(0))) as FixError).toHaveProperty('details', { reason: 'stop' });
  });

  test('its place is found, and told on one worker of all', async () => {
    const workers = [await bench.worker({ concurrency: 1 }), await bench.worker({ concurrency: 1 })];
    const told: (readonly WaitingRun[])[] = [[], []];
    const [worker] = workers;
    if (!worker) throw new Error('there is none');
    await worker.consume();
    const jobs = [1, 2, 3].map((issue) => aJob({ issue }));
    for (const job of jobs) await worker.queue.addRun(job);
    const running = await worker.run(0);
    for (const [index, { queue }] of workers.entries()) queue.onPlaces(async (waiting) => void (told[index] = waiting), 20);
    const places = () => told.flat().map(({ place }) => [place.runId, place.place, place.heldBy?.limit]);

    await expect.poll(places).toEqual([
      [jobs[1]?.runId, 1, 'repository'],
      [jobs[2]?.runId, 2, 'repository'],
    ]);
    expect(told.filter((list) => list.length > 0)).toHaveLength(1);
    expect(await told.flat()[0]?.job()).toEqual(jobs[1]);
    expect(await workers[1]?.queue.find({ repositoryId: 17, issue: 1 })).toEqual([{ runId: jobs[0]?.runId, state: 'working', place: 0, of: 2, heldBy: null }]);
    running.finish();
    await worker.run(1);

    await expect.poll(places).toEqual([[jobs[2]?.runId, 1, 'repository']]);
    await worker.queue.cancelIssue(17, 3, 'stop');
    expect(await worker.queue.find({ repositoryId: 17, issue: 3 })).toEqual([]);
  });

  test('places stay with the worker that tells them, however long that takes', async () => {
    const workers = [await bench.worker(), await bench.worker()];
    const told = [0, 0];
    const ended = Promise.withResolvers<void>();
    for (const [index, { queue }] of workers.entries()) {
      const callback = async (waiting: readonly WaitingRun[]) => {
        if (waiting.length === 0) return;
        told[index] = (told[index] ?? 0) + 1;
        await ended.promise;
      };
      queue.onPlaces(callback, 20);
    }
    await workers[0]?.queue.addRun(aJob());
    await expect.poll(() => told.toSorted((one, other) => one - other)).toEqual([0, 1]);

    await bench.direct.pexpire('mayfly:places-teller', 9_000);

    await expect.poll(() => bench.direct.pttl('mayfly:places-teller')).toBeGreaterThan(10_000);
    expect(told.toSorted((one, other) => one - other)).toEqual([0, 1]);
    ended.resolve();
  });

  test('what runs were like is kept for each repository, the last 50, the newest first, each once', async () => {
    const { queue } = await bench.worker();
    const summary = (steps: number) => {
      const rest = { minutes: 3.5, tokens: 1_000, costUsd: null, at: '2026-01-02T03:04:05.000Z' };
      return { runId: newRunId(), issue: 7, kind: 'fix', outcome: 'published', steps, ...rest } as const;
    };
    const all = Array.from({ length: 55 }, (_, steps) => summary(steps));
    for (const one of all) await queue.remember(17, one);
    await queue.remember(17, { ...summary(20), runId: all[20]?.runId ?? '' });
    await bench.direct.lpush('mayfly:past:17', '{"runId":"@everyone"}', 'nothing');

    const past = await queue.past(17);

    expect(past.map(({ steps }) => steps).slice(0, 3)).toEqual([20, 54, 53]);
    expect(past).toHaveLength(48);
    expect(await queue.past(18)).toEqual([]);
  });
});
