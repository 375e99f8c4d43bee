import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLane } from '../../src/queue/lane.ts';
import { captureLog } from '../support/capture-log.ts';
import { aJob } from '../support/jobs.ts';
import type { JobParts } from '../support/jobs.ts';
import { createQueueBench, stopTimers } from '../support/queue-bench.ts';
import type { BenchWorker, QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

let bench: QueueBench;

/** Ends one run after the other; returns what each was, as they began. */
async function play(worker: BenchWorker, count: number, from = 0): Promise<FixName[]> {
  const names: FixName[] = [];
  for (let index = from; index < from + count; index += 1) {
    const { job, finish } = await worker.run(index);
    names.push(`${job.installationId}/${job.repository.id}/${job.actor.id}/${job.issue.number}`);
    finish();
  }
  return names;
}

type FixName = string;

async function add(worker: BenchWorker, count: number, parts: JobParts): Promise<void> {
  for (let issue = 1; issue <= count; issue += 1) await worker.queue.addRun(aJob({ issue, ...parts }));
}

describe.skipIf(redisIsMissing())('the fair queue', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(async () => {
    vi.useRealTimers();
    await bench[Symbol.asyncDispose]();
  });

  test('starts the one run of a repository before the 1,000 of another, and the next at once', async () => {
    stopTimers();
    const worker = await bench.worker({ concurrency: 1, lockMs: 600_000 });
    await worker.consume();
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => worker.queue.addRun(aJob({ repositoryId: 1, issue: index + 1 }))));
    const first = await worker.run(0);
    await worker.queue.addRun(aJob({ repositoryId: 2, issue: 1 }));
    expect(await worker.queue.find({ repositoryId: 2, issue: 1 })).toMatchObject([{ place: 1, of: 1_000, state: 'waiting', heldBy: { limit: 'total' } }]);
    first.finish();
    const second = await worker.run(1);

    expect(second.job.repository.id).toBe(2);
    second.finish();
    expect((await worker.run(2)).job.repository.id).toBe(1);
  });

  test('goes round installations, then repositories, then users, first come first served inside', async () => {
    const worker = await bench.worker({ concurrency: 1 });
    await add(worker, 3, { installationId: 1, repositoryId: 11, userId: 111 });
    await add(worker, 2, { installationId: 1, repositoryId: 11, userId: 112 });
    await add(worker, 2, { installationId: 1, repositoryId: 12, userId: 111 });
    await add(worker, 2, { installationId: 2, repositoryId: 21, userId: 111 });

    await worker.consume();

    expect(await play(worker, 9)).toEqual([
      '1/11/111/1',
      '2/21/111/1',
      '1/12/111/1',
      '2/21/111/2',
      '1/11/112/1',
      '1/12/111/2',
      '1/11/111/2',
      '1/11/112/2',
      '1/11/111/3',
    ]);
  });

  test('a user who floods does not starve another one of the same repository, also one who comes again and again', async () => {
    const worker = await bench.worker({ concurrency: 1 });
    await worker.consume();
    await add(worker, 50, { userId: 1 });
    const users: number[] = [];
    for (let index = 0; index < 8; index += 1) {
      const { job, finish } = await worker.run(index);
      users.push(job.actor.id);
      if (job.actor.id === 1) await worker.queue.addRun(aJob({ userId: 2, issue: 100 + index }));
      finish();
    }

    expect(users).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
  });

  test('tells the places in which runs really start', { timeout: 30_000 }, async () => {
    const worker = await bench.worker({ concurrency: 1 });
    const jobs = Array.from({ length: 60 }, (_, index) =>
      aJob({ installationId: 1 + (index % 3), repositoryId: 1 + (index % 7), userId: 1 + (index % 4), issue: index + 1 }),
    );
    for (const job of jobs) await worker.queue.addRun(job);
    await worker.consume();
    await play(worker, 5);
    await worker.run(5);
    const places = await Promise.all(jobs.map((job) => worker.queue.find({ repositoryId: job.repository.id, issue: job.issue.number })));
    const told = places.flat().toSorted((one, other) => one.place - other.place);
    expect(told.map(({ place }) => place)).toEqual(Array.from({ length: 55 }, (_, index) => index));

    await play(worker, 55, 5);

    expect(worker.started.slice(5).map(({ job }) => job.runId)).toEqual(told.map(({ runId }) => runId));
  });

  test('holds slots exactly: also of a run whose worker is dead and nobody has noticed', async () => {
    const victim = await bench.worker({ concurrency: 1, lockMs: 30_000 });
    await victim.consume();
    await victim.queue.addRun(aJob({ repositoryId: 1, issue: 1 }));
    await victim.run(0);
    const worker = await bench.worker({ concurrency: 4, lockMs: 30_000 });
    await worker.consume();
    const [lock = ''] = await bench.direct.keys('mayfly:runs:*:lock');
    await bench.direct.del(lock);

    await worker.queue.addRun(aJob({ repositoryId: 1, issue: 2 }));
    await worker.queue.addRun(aJob({ repositoryId: 2, issue: 3 }));

    expect((await worker.run(0)).job.issue.number).toBe(3);
    expect(await worker.queue.find({ repositoryId: 1, issue: 2 })).toMatchObject([{ state: 'waiting', heldBy: { limit: 'repository' } }]);
    expect(worker.started).toHaveLength(1);
  });

  test('never gives BullMQ more than there are hands, on two workers', async () => {
    const workers = [await bench.worker({ concurrency: 2 }), await bench.worker({ concurrency: 1 })];
    for (const worker of workers) await worker.consume();
    for (let repositoryId = 1; repositoryId <= 8; repositoryId += 1) await workers[0]?.queue.addRun(aJob({ repositoryId, installationId: repositoryId }));

    await expect.poll(() => workers.flatMap(({ started }) => started).length).toBe(3);

    expect(await bench.lane('runs').getJobCounts()).toMatchObject({ waiting: 0, active: 3, delayed: 5 });
    expect(workers.map(({ started }) => started.length)).toEqual([2, 1]);
    workers[1]?.started[0]?.finish();
    await workers[1]?.run(1);
    expect(await bench.lane('runs').getJobCounts()).toMatchObject({ waiting: 0, active: 3, delayed: 4 });
  });

  test('a worker that drains offers only what it has in hand', async () => {
    const [leaving, staying] = [await bench.worker({ concurrency: 3 }), await bench.worker({ concurrency: 1 })];
    await leaving.consume();
    await leaving.queue.addRun(aJob({ repositoryId: 1 }));
    const running = await leaving.run(0);
    await staying.consume();
    const closing = leaving.queue.close(10_000);

    await staying.queue.addRun(aJob({ repositoryId: 2 }));
    await staying.queue.addRun(aJob({ repositoryId: 3 }));
    await staying.run(0);

    expect(await bench.lane('runs').getJobCounts()).toMatchObject({ waiting: 0, active: 2, delayed: 1 });
    running.finish();
    await closing;
    staying.started[0]?.finish();
    expect((await staying.run(1)).job.repository.id).toBe(3);
  });

  test('finds all again when the ring is lost, and forgets what BullMQ has lost', async () => {
    const adder = await bench.worker();
    for (const issue of [1, 2, 3]) await adder.queue.addRun(aJob({ issue }));
    const [ghost] = await bench.lane('runs').getDelayed();
    await bench.direct.del(...(await bench.direct.keys('mayfly:ring:*')));
    const worker = await bench.worker({ concurrency: 1 });
    await worker.consume();
    (await worker.run(0)).finish();
    (await worker.run(1)).finish();
    (await worker.run(2)).finish();
    await bench.count('completed', 3);
    expect(worker.messages()).toContain('a run was found that waited outside of the ring');
    expect(worker.started.map(({ job }) => job.issue.number)).toEqual([1, 2, 3]);

    await worker.queue.close(0);
    await adder.queue.addRun(aJob({ issue: 4 }));
    const [lost] = await bench.lane('runs').getDelayed();
    expect(lost?.id).not.toBe(ghost?.id);
    await bench.direct.del(`mayfly:runs:${lost?.id}`);
    await adder.queue.addRun(aJob({ issue: 5 }));
    const next = await bench.worker({ concurrency: 1 });
    await next.consume();

    expect((await next.run(0)).job.issue.number).toBe(5);
    expect(await next.queue.find({ repositoryId: 17, issue: 4 })).toEqual([]);
  });

  test.each([
    [{ kind: 'label', label: 'mayfly' }, { kind: 'label', label: 'mayfly' }, null],
    [{ kind: 'comment', commentId: 9, instruction: 'also null' }, { kind: 'comment', commentId: 9, on: 'issue' }, 'also null'],
    [{ kind: 'comment', commentId: 9, instruction: ' ' }, { kind: 'comment', commentId: 9, on: 'issue' }, null],
  ])('does what waited when Mayfly was updated: %o', async (before, trigger, instruction) => {
    const worker = await bench.worker();
    const { log } = captureLog();
    const lane = createLane({ name: 'runs', prefix: 'mayfly', signingKey: jobKey, redis: bench.direct, log, jobOptions: {} });
    const { pull, work, ...same } = aJob({ key: 'old' });
    await lane.add('old', { ...same, version: 1, trigger: before }, 1_000);

    await worker.consume();

    expect((await worker.run(0)).job).toEqual({ ...same, pull, work: { ...work, instruction }, trigger });
    await lane.queue.close();
  });

  test('puts back what went past the ring, and refuses what nobody signed, wherever it lies', async () => {
    const worker = await bench.worker({ concurrency: 2 });
    const { log } = captureLog();
    const lane = createLane({ name: 'runs', prefix: 'mayfly', signingKey: jobKey, redis: bench.direct, log, jobOptions: {} });
    // As a worker of an older version queued them: two of one repository.
    for (const issue of [1, 2]) await lane.add(`old-${issue}`, aJob({ key: `old-${issue}`, issue }), 1_000);
    await bench.lane('runs').add('runs', { payload: '{}', mac: '0'.repeat(64) }, { jobId: 'forged', delay: 1_000_000 });

    await worker.consume();

    const first = await worker.run(0);
    await bench.count('failed', 1);
    await bench.count('delayed', 1);
    expect(worker.started).toHaveLength(1);
    first.finish();
    expect((await worker.run(1)).context).toMatchObject({ attempt: 1 });
    await lane.queue.close();
  });
});
