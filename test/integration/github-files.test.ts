import { expect, test } from 'vitest';
import { shareStandIn } from '../support/github/shared.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';

let standIn: StandInGitHub;
shareStandIn((made) => (standIn = made));

test('a file is read from the default branch; a folder, a large one and none are told apart', async () => {
  const seeded = await standIn.seedRepository({ private: true, files: { '.github/mayfly.yml': 'test: äöü\n', 'a/b': 'x'.repeat(2000) } });
  const { repository, records } = openPort(standIn, seeded);

  expect((await repository.file('.github/mayfly.yml', { maxBytes: 100 }))?.toString()).toBe('test: äöü\n');
  expect(await repository.file('a/b', { maxBytes: 100 })).toBe('too_large');
  expect(await repository.file('a', { maxBytes: 100 })).toBeNull();
  expect(await repository.file('missing', { maxBytes: 100, ref: 'main' })).toBeNull();
  expect(records.map(({ use, revoked }) => ({ use, revoked }))).toEqual(Array.from({ length: 4 }, () => ({ use: 'read', revoked: true })));
});
