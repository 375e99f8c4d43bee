/** Cases on disk: what is read, what the new repository has, and what is said when something is missing. */
import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runGit } from '../../src/git/git-process.ts';
import { readCases } from '../eval/case.ts';
import type { Case } from '../eval/case.ts';
import { prepareCase } from '../eval/prepare.ts';
import type { PreparedCase } from '../eval/prepare.ts';
import { createEvalWorld } from '../support/eval-case.ts';
import type { EvalWorld } from '../support/eval-case.ts';

const signal = new AbortController().signal;
const environment = {};

describe('a case', () => {
  let world: EvalWorld;
  beforeEach(() => {
    world = createEvalWorld(['one', 'two']);
  });
  afterEach(() => world[Symbol.dispose]());

  const prepare = (change: Partial<Case> = {}): Promise<PreparedCase> =>
    prepareCase({ ...world.of, ...change }, { repos: world.repos, directory: world.path, environment, signal });
  const git = async (...rest: string[]): Promise<string> =>
    (await runGit({ arguments: ['--git-dir', join(world.path, 'greet.git'), ...rest], environment, signal })).stdout.trim();

  test('becomes a repository whose only commit is the tree with the bug, and which borrows nothing', async () => {
    const { snapshot, hiddenTests } = await prepare();

    expect(await git('rev-list', '--all')).toBe(snapshot.sha);
    expect(await git('rev-list', '--all', '--objects')).not.toContain(world.of.buggyCommit);
    expect((await git('cat-file', '--batch-all-objects', '--batch-check=%(objecttype)')).split('\n').filter((type) => type === 'commit')).toHaveLength(1);
    expect(await readdir(join(world.path, 'greet.git/objects/info'))).not.toContain('alternates');
    expect([...(await snapshot.tree(signal)).keys()]).toEqual(['README.md', 'greet.sh', 'test/greet.sh']);
    expect((await snapshot.readFile('greet.sh', 1000, signal))?.toString()).toBe('echo "hello $1"\n');
    expect(hiddenTests.files.map(({ path, change }) => [path, change.kind === 'write' && Buffer.from(change.content).includes('bob')])).toEqual([
      ['test/greet.sh', true],
    ]);
  });

  test('is found in a folder of mirrors and in a work tree, too', async () => {
    const bare = join(world.repos, 'octo-org/greet');
    for (const [owner, layout] of [
      ['mirrors', 'mirrors+greet/repo'],
      ['work', 'work/greet/.git'],
    ] as const) {
      await cp(bare, join(world.repos, layout), { recursive: true });

      await expect(prepare({ id: owner, repository: `${owner}/greet` })).resolves.toMatchObject({ snapshot: { sha: expect.any(String) } });
    }
  });

  test.each([
    [
      'repository',
      { repository: 'octo-org/other' },
      'repository_unreachable',
      /no clone of octo-org\/other: --repos has neither octo-org\+other\/repo nor octo-org\/other/,
    ],
    ['commit', { buggyCommit: '0'.repeat(40) }, 'base_unknown', /the clone of octo-org\/greet has no commit 0{40}/],
    ['hidden test', { hiddenTests: ['test/none.sh'] }, 'usage', /greet: the hidden test test\/none\.sh is no file of/],
  ] as const)('without its %s says so', async (_what, change, code, reason) => {
    await expect(prepare(change as Partial<Case>)).rejects.toMatchObject({ code, details: { reason: expect.stringMatching(reason) } });
  });

  test('is chosen by its id', async () => {
    expect((await readCases(world.cases, [])).map(({ id }) => id)).toEqual(['one', 'two']);
    expect((await readCases(world.cases, ['two'])).map(({ id }) => id)).toEqual(['two']);
    await expect(readCases(world.cases, ['three'])).rejects.toMatchObject({ code: 'usage', details: { reason: '--only three: the cases are one, two' } });
  });

  test('that lacks something names the file and the field', async () => {
    await writeFile(join(world.cases, 'bad.json'), JSON.stringify({ ...world.of, fixCommit: undefined }));

    await expect(readCases(world.cases, [])).rejects.toMatchObject({
      code: 'usage',
      details: { reason: expect.stringMatching(/^bad\.json is not a case: .*fixCommit/) },
    });
  });
});
