/** The one issue about broken settings: one whatever workers there are, and closed for as long as a person wants it closed. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keepSettingsIssue } from '../../src/bot/repository-settings.ts';
import type { SettingsIssuePlace } from '../../src/bot/repository-settings.ts';
import type { Problem } from '../../src/settings/problem.ts';
import { createUserClient } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareWithRepository } from '../support/github/shared.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';
import { alone } from '../support/in-turn.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';

const wrong = (message: string): readonly Problem[] => [{ file: '.github/mayfly.yml', line: 1, column: 1, key: 'tset', message }];
let signal: AbortSignal;
beforeEach((context) => void ({ signal } = context));
let standIn: StandInGitHub;
let seeded: StandInRepository;
shareWithRepository((...made) => ([standIn, seeded] = made));

const place = (inTurn = alone): SettingsIssuePlace => ({ github: openPort(standIn, seeded).repository, repositoryId: seeded.id, inTurn, signal });
const keep = async (problems: readonly Problem[], fileChanged = false) => await keepSettingsIssue(place(), problems, fileChanged);
const states = async (): Promise<readonly unknown[]> => (await seeded.allIssues()).map(({ state }) => state);

describe.skipIf(redisIsMissing())('two workers that look at the same moment', () => {
  let bench: QueueBench;
  beforeEach(async () => (bench = await createQueueBench()));
  afterEach(async () => await bench[Symbol.asyncDispose]());

  it('open one issue', async () => {
    const workers = await Promise.all([bench.worker(), bench.worker(), bench.worker()]);

    const kept = await Promise.all(workers.map(async ({ queue }) => await keepSettingsIssue(place(queue.inTurn), wrong('it is wrong'))));

    expect(await states()).toEqual(['open']);
    expect(new Set(kept.map((issue) => issue?.number)).size).toBe(1);
  });

  it('wait for each other, and not for one of another name', async () => {
    const [one, other] = await Promise.all([bench.worker(), bench.worker()]);
    const told: string[] = [];
    const held = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    const first = one.queue.inTurn('a', signal, async () => {
      began.resolve();
      await held.promise;
      told.push('first');
    });
    await began.promise;
    const second = other.queue.inTurn('a', signal, () => Promise.resolve(told.push('second')));

    await other.queue.inTurn('b', signal, () => Promise.resolve(told.push('another')));
    held.resolve();
    await Promise.all([first, second]);

    expect(told).toEqual(['another', 'first', 'second']);
    expect(await bench.direct.keys('mayfly:turn:*')).toEqual([]);
  });

  it('are not held up by one that died in its turn, or failed', async () => {
    const { queue } = await bench.worker();
    await bench.direct.set('mayfly:turn:a', 'a dead worker', 'PX', 300);

    await expect(queue.inTurn('a', signal, () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    expect(await queue.inTurn('a', signal, () => Promise.resolve('mine'))).toBe('mine');
    await bench.direct.set('mayfly:turn:b', 'another worker');
    await expect(queue.inTurn('b', AbortSignal.timeout(300), () => Promise.resolve())).rejects.toThrow('timeout');
    expect(await bench.direct.get('mayfly:turn:b')).toBe('another worker');
  });
});

describe('an issue that a person has closed while the settings are broken', () => {
  const close = async (): Promise<void> => {
    const { owner, name: repo } = seeded;
    await createUserClient(standIn, 'ada').rest.issues.update({ owner, repo, issue_number: 1, state: 'closed', state_reason: 'not_planned' });
  };
  beforeEach(async () => {
    await keep(wrong('it is wrong'));
    await close();
  });

  it('stays closed as long as they are broken in the same way, and is still what a reply leads to', async () => {
    expect(await keep(wrong('it is wrong'))).toMatchObject({ number: 1 });
    expect(await keep(wrong('it is wrong'), true)).toMatchObject({ number: 1 });

    expect(await states()).toEqual(['closed']);
  });

  it('is opened again, and no other, when they are broken in another way', async () => {
    expect(await keep(wrong('it is even worse'))).toMatchObject({ number: 1 });

    expect(await seeded.allIssues()).toMatchObject([{ state: 'open', body: expect.stringContaining('even worse') }]);
  });

  it('is opened again when the same mistake comes back after it had been corrected', async () => {
    await keep([], true);
    expect(await states()).toEqual(['closed']);

    await keep(wrong('it is wrong'), true);

    expect(await states()).toEqual(['open']);
  });
});
