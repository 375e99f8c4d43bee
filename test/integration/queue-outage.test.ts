/** While GitHub is away, or Redis was: what runs and events are left with. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { captureLog } from '../support/capture-log.ts';
import { aJob } from '../support/jobs.ts';
import { abortReason, createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

let bench: QueueBench;
const subject = { repositoryId: 17, issue: 7 };
const away = (details: object = {}): FixError => new FixError('github_unavailable', { details: { waits: true, ...details } });

describe.skipIf(redisIsMissing())('during an outage', { timeout: 60_000 }, () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  test('of GitHub a run that loses nothing waits as often as it has to, and no attempt is counted', async () => {
    const worker = await bench.worker({ attempts: 2, backoffMs: 5 });
    await worker.consume();
    await worker.queue.addRun(aJob());

    for (const number of [0, 1, 2, 3]) {
      const running = await worker.run(number);
      expect(running.context).toMatchObject({ lastAttempt: false, canWait: true });
      running.fail(away());
    }
    (await worker.run(4)).finish();

    await bench.count('completed', 1);
    expect(await bench.direct.keys('mayfly:outages:*')).toEqual([]);
  });

  test('of GitHub a run waits as long as GitHub says, and everybody can see why', async () => {
    const worker = await bench.worker();
    await worker.consume();
    await worker.queue.addRun(aJob());
    (await worker.run(0)).fail(away({ waitMs: 40 * 60_000 }));
    await bench.count('delayed', 1);

    const [place] = await worker.queue.find(subject);

    expect(place).toMatchObject({ state: 'waiting', heldBy: { limit: 'github' } });
    const minutes = ((place?.heldBy?.until?.getTime() ?? 0) - Date.now()) / 60_000;
    expect(minutes).toBeGreaterThan(39);
    expect(minutes).toBeLessThan(41);
  });

  test('of GitHub a run waits for about a day, and not for ever', async () => {
    const worker = await bench.worker();
    await worker.queue.addRun(aJob());
    const [jobId = ''] = await bench.direct.smembers('mayfly:issue:17:7');
    await bench.direct.set(`mayfly:outages:${jobId}`, '50');

    await worker.consume();

    expect((await worker.run(0)).context.canWait).toBe(false);
  });

  test('of Redis a run that comes back to the worker that still clears it up begins when that is done, and can be stopped', async () => {
    const { log } = captureLog();
    const queue = await createWorkerQueue({ redisUrl: bench.redis.url, signingKey: jobKey, concurrency: 2, lockMs: 1_000, log });
    const begun: AbortSignal[] = [];
    const cleared = Promise.withResolvers<void>();
    await queue.consume({
      intake: async () => {},
      run: async (_job, { signal }) => {
        begun.push(signal);
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        if (begun.length === 1) await cleared.promise;
        throw signal.reason;
      },
    });
    await queue.addRun(aJob());
    await expect.poll(() => begun.length, { timeout: 15_000 }).toBe(1);

    // As when Redis was away for longer than the lock lives.
    const [lock = ''] = await bench.direct.keys('mayfly:runs:*:lock');
    await bench.direct.set(lock, 'nobody', 'PX', 10);
    await expect.poll(() => begun[0]?.aborted, { timeout: 15_000 }).toBe(true);
    await expect.poll(async () => await bench.direct.exists(lock), { timeout: 15_000 }).toBe(1);
    expect(begun).toHaveLength(1);
    cleared.resolve();

    await expect.poll(() => begun.length, { timeout: 15_000 }).toBe(2);
    await queue.cancelIssue(17, 7, 'stop');
    expect(await abortReason({ context: { signal: begun[1] } } as Parameters<typeof abortReason>[0])).toMatchObject({ code: 'cancelled' });
    await bench.count('failed', 1);
    await queue.close(5_000);
  });

  test('what was finished lies in Redis encrypted, for two days, and is nothing when it was changed, moved or is too large', async () => {
    const { vault } = (await bench.worker()).queue;
    expect(await vault.keep('r1', { words: 'canary' })).toBe(true);

    const sealed = (await bench.direct.getBuffer('mayfly:vault:r1')) ?? Buffer.alloc(0);
    expect(sealed.includes('canary')).toBe(false);
    expect(sealed.includes('words')).toBe(false);
    expect(await bench.direct.ttl('mayfly:vault:r1')).toBeGreaterThan(47 * 3600);
    expect(await (await bench.worker()).queue.vault.recall('r1')).toEqual({ words: 'canary' });
    await bench.direct.set('mayfly:vault:r2', sealed);
    expect(await vault.recall('r2')).toBeNull();
    sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1;
    await bench.direct.set('mayfly:vault:r1', sealed);
    expect(await vault.recall('r1')).toBeNull();
    await bench.direct.set('mayfly:vault:r1', 'short');
    expect(await vault.recall('r1')).toBeNull();
    expect(await vault.keep('r3', 'x'.repeat(9 * 1024 * 1024))).toBe(false);
    await vault.drop('r1');
    expect(await vault.recall('r1')).toBeNull();
  });
});

describe.skipIf(redisIsMissing())('an event', { timeout: 60_000 }, () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  test('that stops a run that waits takes away what it had finished, and nothing of another run', async () => {
    const { queue } = await bench.worker();
    const waiting = aJob({ key: 'a' });
    const other = aJob({ key: 'b', issue: 8 });
    for (const job of [waiting, other]) {
      await queue.addRun(job);
      await queue.vault.keep(job.runId, { of: job.key });
    }

    expect(await queue.cancelIssue(17, 7, 'stop')).toEqual([{ runId: waiting.runId, waited: true }]);

    expect(await queue.vault.recall(waiting.runId)).toBeNull();
    expect(await queue.vault.recall(other.runId)).toEqual({ of: 'b' });
  });

  test('that stops runs stops the same ones when it is told again, and none that was asked for later', async () => {
    const worker = await bench.worker();
    const event = { key: 'comment-9', receivedAt: '2026-01-02T03:04:06.000Z' };
    const [before, later] = [aJob({ key: 'a' }), aJob({ key: 'b' })];
    await worker.queue.addRun({ ...before, requestedAt: '2026-01-02T03:04:05.000Z' });
    await worker.queue.addRun({ ...later, requestedAt: '2026-01-02T03:04:07.000Z' });

    const stopped = await worker.queue.cancelIssue(17, 7, 'stop', { login: 'ada', event });

    expect(stopped).toEqual([{ runId: before.runId, waited: true }]);
    expect(await worker.queue.cancelIssue(17, 7, 'stop', { login: 'ada', event })).toEqual(stopped);
    expect(await worker.queue.cancelIssue(17, 7, 'stop', { login: 'ada', event: { ...event, key: 'comment-10' } })).toEqual([]);
    await bench.count('delayed', 1);
  });

  test('has its turn in the order in which they came', async () => {
    const [one, other] = [await bench.worker(), await bench.worker()];
    const { signal } = new AbortController();
    const first = Promise.withResolvers<void>();
    const order: number[] = [];
    const begun = Promise.withResolvers<void>();
    const turns = [
      one.queue.inTurn('issue', signal, async () => {
        begun.resolve();
        await first.promise;
      }),
    ];
    await begun.promise;
    for (const number of [1, 2, 3, 4]) {
      turns.push((number % 2 === 0 ? one : other).queue.inTurn('issue', signal, () => Promise.resolve(void order.push(number))));
      await expect.poll(() => bench.direct.zcard('mayfly:turn:issue:line')).toBe(number);
    }
    const gone = new AbortController();
    const given = one.queue.inTurn('issue', gone.signal, () => Promise.resolve());
    gone.abort(new FixError('cancelled'));
    await expect(given).rejects.toMatchObject({ code: 'cancelled' });

    first.resolve();
    await Promise.all(turns);

    expect(order).toEqual([1, 2, 3, 4]);
    expect(await bench.direct.keys('mayfly:turn:*')).toEqual([]);
  });

  test('of one issue has one run at a time, whatever else the repository may do at once', async () => {
    const worker = await bench.worker({ limits: { perRepository: 3, perInstallation: 3 } });
    await worker.consume();
    for (const key of ['a', 'b']) await worker.queue.addRun(aJob({ key }));
    await worker.queue.addRun(aJob({ key: 'c', issue: 8 }));

    const [first, second] = [await worker.run(0), await worker.run(1)];

    expect([first.job.key, second.job.key]).toEqual(['a', 'c']);
    expect((await worker.queue.find(subject)).map(({ heldBy }) => heldBy)).toEqual([null, { limit: 'issue' }]);
    first.finish();
    expect((await worker.run(2)).job.key).toBe('b');
  });
});
