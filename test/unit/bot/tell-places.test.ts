import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createPlaceTeller } from '../../../src/bot/tell-places.ts';
import { FixError } from '../../../src/errors.ts';
import type { GitHub, GitHubRepository } from '../../../src/github/github.ts';
import { aJob } from '../../support/jobs.ts';

const jobs = Array.from({ length: 60 }, (_, index) => aJob({ issue: index + 1 }));
const held = { limit: 'repository' } as const;

/** Those that wait, by their issues, in their order. */
function line(issues: readonly number[], heldBy: { limit: 'repository' | 'user_hour'; until?: Date } | null = held) {
  return issues.map((issue, index) => {
    const job = jobs[issue - 1] ?? aJob({ issue });
    return { place: { runId: job.runId, place: index + 1, of: issues.length, heldBy }, job: () => Promise.resolve(job) };
  });
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

function bench(signal = new AbortController().signal) {
  const bodies = new Map<number, string>();
  const written: number[] = [];
  const failing = new Map<number, FixError>();
  const comments: Pick<GitHubRepository, 'livingComment'> = {
    livingComment(issue, _marker, edit) {
      written.push(issue);
      const failure = failing.get(issue);
      if (failure) return Promise.reject(failure);
      bodies.set(issue, typeof edit === 'string' ? edit : (edit(bodies.get(issue) ?? '') ?? ''));
      return Promise.resolve();
    },
  };
  const github = { repository: () => comments } as unknown as GitHub;
  const tell = createPlaceTeller({ github, log: pino({ level: 'silent' }), signal });
  const turn = async (waiting: ReturnType<typeof line>): Promise<number[]> => {
    written.length = 0;
    await tell(waiting);
    return [...written];
  };
  const placeOf = (issue: number) => /Place (\d+)/.exec(bodies.get(issue) ?? '')?.[1];
  return { turn, failing, placeOf };
}

it('everyone that waits is told, a bounded number at a time, and nobody twice', async () => {
  const { turn, placeOf } = bench();
  const waiting = line(upTo(45));

  expect(await turn(waiting)).toEqual(upTo(20));
  expect(await turn(waiting)).toEqual(upTo(40).slice(20));
  expect(await turn(waiting)).toEqual([41, 42, 43, 44, 45]);
  expect(await turn(waiting)).toEqual([]);
  expect(upTo(45).map(placeOf)).toEqual(upTo(45).map(String));
});

it('what comes next is told first, of each change; whoever is further back is told of a new time only', async () => {
  const { turn, placeOf } = bench();
  for (let index = 0; index < 2; index += 1) await turn(line(upTo(40)));

  // One of them began to work.
  expect(await turn(line(upTo(40).slice(1)))).toEqual(upTo(11).slice(1));
  expect([placeOf(2), placeOf(11), placeOf(12)]).toEqual(['1', '10', '12']);
  const until = new Date('2026-01-02T04:00:00Z');
  expect(await turn(line(upTo(40).slice(1), { limit: 'user_hour', until }))).toHaveLength(20);
  expect(await turn(line(upTo(40).slice(1), { limit: 'user_hour', until }))).toHaveLength(19);
});

it('an edit that failed is made up for, and holds nobody else', async () => {
  const { turn, failing, placeOf } = bench();
  const waiting = line(upTo(50));
  for (const issue of upTo(40)) failing.set(issue, new FixError('github_unavailable'));

  const tried = [];
  for (let index = 0; index < 5; index += 1) tried.push(...(await turn(waiting)));

  expect(new Set(tried)).toEqual(new Set(upTo(50)));
  expect([placeOf(1), placeOf(41), placeOf(50)]).toEqual([undefined, '41', '50']);
  failing.clear();
  for (let index = 0; index < 4; index += 1) await turn(waiting);
  expect(upTo(50).map(placeOf)).toEqual(upTo(50).map(String));
});

it('what can never be written is left alone, and so is a run that cannot be read', async () => {
  const { turn, failing } = bench();
  failing.set(1, new FixError('github_refused'));
  const waiting = line([1, 2, 3]);
  const [, second = waiting[0]] = waiting;
  const broken = waiting.map((run) => (run === second ? { ...run, job: () => Promise.reject(new FixError('job_invalid')) } : run));

  expect(await turn(broken)).toEqual([1, 3]);
  expect(await turn(broken)).toEqual([]);
});

it('a worker that tells again, after another one did, says all of it; and one that is about to start hears nothing', async () => {
  const { turn } = bench();
  expect(await turn(line([1, 2], null))).toEqual([2]);
  expect(await turn([])).toEqual([]);
  expect(await turn(line([1, 2], null))).toEqual([2]);
});

it('at a shutdown the rest is left', async () => {
  const closing = new AbortController();
  const { turn } = bench(closing.signal);
  closing.abort();

  expect(await turn(line([1, 2]))).toEqual([]);
});
