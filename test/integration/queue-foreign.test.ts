/** What another version of Mayfly, or a hand in Redis, left in the queue: it stops nothing else. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { runJobOptions } from '../../src/queue/job-options.ts';
import { createLane } from '../../src/queue/lane.ts';
import { createRing } from '../../src/queue/ring.ts';
import { createSubjects } from '../../src/queue/subjects.ts';
import { captureLog } from '../support/capture-log.ts';
import { aJob } from '../support/jobs.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

let bench: QueueBench;

/** Of a run that is queued for this issue of repository 17. */
const idOf = async (issue: number): Promise<string> => (await bench.direct.smembers(`mayfly:issue:17:${issue}`))[0] ?? '';

describe.skipIf(redisIsMissing())('what is foreign in the queue', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  test('entries that cannot be read are left out and said, and their runs have their turn all the same', async () => {
    const worker = await bench.worker({ concurrency: 1 });
    for (const issue of [1, 2, 3]) await worker.queue.addRun(aJob({ issue }));
    const [first, second] = [await idOf(1), await idOf(2)];
    await bench.direct.hset('mayfly:ring:jobs', { [first]: '{"i":', [second]: '{"form":9}', ghost: 'null' });
    await bench.direct.hset('mayfly:ring:granted', { ghost: '[]' });
    await bench.direct.hset('mayfly:ring:hands', { ghost: '"many"', other: '{"number":"x","freeAt":9e15}' });
    await bench.direct.set('mayfly:ring:hold:r:17', '{"freeAt":"never"}');

    expect(await worker.queue.find({ repositoryId: 17, issue: 3 })).toMatchObject([{ state: 'waiting', place: 1, of: 1 }]);
    const said = worker.lines.filter((line) => line.includes('the ring has entries that this version cannot read'));
    // Of the runs: the hands, and a hold, are nobody's.
    expect(JSON.parse(said[0] ?? '{}')).toMatchObject({ count: 4, first: expect.arrayContaining([first, second, 'ghost']) as unknown });

    await worker.consume();
    const issues: number[] = [];
    for (let index = 0; index < 3; index += 1) {
      const { job, finish } = await worker.run(index);
      issues.push(job.issue.number);
      finish();
    }
    expect(issues.toSorted((one, other) => one - other)).toEqual([1, 2, 3]);
    await bench.count('completed', 3);
    expect(await bench.direct.exists('mayfly:ring:jobs', 'mayfly:ring:granted')).toBe(0);
  });

  test('a run that works keeps its slot, and can wait again, when its entry cannot be read', async () => {
    const worker = await bench.worker({ concurrency: 2 });
    await worker.consume();
    await worker.queue.addRun(aJob({ issue: 1 }));
    const running = await worker.run(0);
    await bench.direct.hset('mayfly:ring:granted', await idOf(1), 'broken');
    for (const [index, repositoryId] of [2, 3].entries()) await worker.queue.addRun(aJob({ repositoryId, issue: index + 1 }));
    await worker.run(1);
    expect(await worker.queue.find({ repositoryId: 3, issue: 2 })).toMatchObject([{ state: 'waiting' }]);

    running.fail(new FixError('model_unavailable'));

    expect((await worker.run(2)).job.repository.id).toBe(3);
    worker.started[1]?.finish();
    const again = await worker.run(3);
    expect([again.job.issue.number, again.context.attempt]).toEqual([1, 2]);
    expect(await bench.direct.hlen('mayfly:ring:granted')).toBe(2);
  });

  describe('a run of a newer version', () => {
    /** As a worker of that version queues it. */
    async function addNewer(issue: number): Promise<void> {
      const { log } = captureLog();
      const lane = createLane({ name: 'runs', prefix: 'mayfly', signingKey: jobKey, redis: bench.direct, log, jobOptions: runJobOptions(3) });
      const job = aJob({ key: `newer-${issue}`, issue, repositoryId: 18 });
      await createSubjects(bench.direct, lane).note(job);
      await lane.add(job.key, { ...job, version: 3, work: { kind: 'more' } }, 5_000);
      const limits = { perRepository: 1, perInstallation: 3, perUserAndHour: 1, perRepositoryAndDay: 9 };
      await createRing({ redis: bench.direct, lane, limits, log, aheadMs: () => 0 }).enter(lane.jobId(job.key), job, {});
      await lane.queue.close();
    }

    test('is left for a worker of that version, counts for nothing, and holds nobody else', async () => {
      let aheadMs = 0;
      const worker = await bench.worker({ concurrency: 1, limits: { perUserAndHour: 1 }, aheadMs: () => aheadMs });
      await addNewer(1);
      await worker.consume();
      const left = 'a run of a newer version is left for a worker of that version; update this one';
      await expect.poll(() => worker.messages().filter((message) => message === left).length).toBe(1);

      await worker.queue.addRun(aJob({ repositoryId: 17 }));
      (await worker.run(0)).finish();
      await bench.count('completed', 1);

      expect(worker.messages().filter((message) => message === left)).toHaveLength(1);
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ delayed: 1, failed: 0 });
      aheadMs = 2 * 60 * 60_000;
      await expect.poll(() => worker.messages().filter((message) => message === left).length).toBe(2);
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ failed: 0 });
    });

    test('that the ring lost is not promoted by this one, which says what to do', async () => {
      const worker = await bench.worker();
      await addNewer(1);
      await bench.direct.del('mayfly:ring:jobs');

      await worker.consume();

      expect(worker.messages()).toContain('runs of a newer version wait for a worker of that version; update this one');
      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ delayed: 1 });
    });

    test('is stopped all the same', async () => {
      const worker = await bench.worker();
      await addNewer(7);

      expect(await worker.queue.cancelIssue(18, 7, 'stop')).toMatchObject([{ waited: true }]);

      expect(await bench.lane('runs').getJobCounts()).toMatchObject({ delayed: 0 });
    });
  });
});
