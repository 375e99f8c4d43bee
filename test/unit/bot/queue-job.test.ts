import { pino } from 'pino';
import { expect, it } from 'vitest';
import { queueJob } from '../../../src/bot/queue-job.ts';
import type { Asked } from '../../../src/bot/queue-job.ts';
import { FixJob } from '../../../src/job.ts';
import { defaults } from '../../../src/settings/values.ts';
import { aJob } from '../../support/jobs.ts';
import { createMemory } from '../../support/memory.ts';

const { key, deliveryId, installationId, repository, actor, requestedAt: receivedAt, work, trigger } = aJob();
// Events carry more than a job may.
const origin = { key, deliveryId, installationId, repository, actor, receivedAt, number: 7, label: 'mayfly' };
const issue = { number: 7, title: 'It breaks', body: 'Here is how.', isPullRequest: false };
const pullState = { number: 7, title: 'Mend it', body: '', branch: 'mayfly/issue-3', headSha: 'a'.repeat(40), base: 'trunk', ours: true, open: true };

async function queue(asked: Pick<Asked, 'issue' | 'pull'>, known = false) {
  const order: string[] = [];
  const jobs: FixJob[] = [];
  const memory = createMemory();
  await queueJob(
    origin,
    { ...asked, work, trigger },
    {
      github: { livingComment: () => Promise.resolve(void order.push('comment')) },
      queue: {
        hasRun: () => Promise.resolve(known),
        addRun: (job) => {
          order.push('run');
          return Promise.resolve(jobs.push(job) > 0);
        },
      },
      memory,
      values: defaults,
      log: pino({ level: 'silent' }),
    },
  );
  return { order, job: jobs[0], kept: await memory.recall({ repositoryId: repository.id, issue: 7 }, 'job') };
}

it('a run is kept for retry, said in its comment, then queued, with what a job has and no more', async () => {
  const { order, job, kept } = await queue({ issue, pull: null });

  expect(order).toEqual(['comment', 'run']);
  expect(kept).toEqual(work);
  expect(job).toEqual({ ...aJob({ key }), deliveryId, runId: job?.runId });
});

it('a run of a pull request is pinned to its head', async () => {
  const { job } = await queue({ issue: pullState, pull: pullState });

  expect(job).toMatchObject({ issue: { number: 7, title: 'Mend it', body: '' } });
  expect(job?.pull).toEqual({ branch: 'mayfly/issue-3', headSha: 'a'.repeat(40), base: 'trunk', ours: true });
});

it('the longest issue that GitHub takes is one that a worker reads', async () => {
  // GitHub's limits of 256 and 65,536 are of characters; each of these is two for JavaScript.
  const { job } = await queue({ issue: { number: 7, title: '🦋'.repeat(1024), body: '🦋'.repeat(65_536) }, pull: null });

  expect(FixJob.safeParse(job).success).toBe(true);
});

it('an event that was taken in before leaves the comment to the run', async () => {
  expect((await queue({ issue, pull: null }, true)).order).toEqual([]);
});
