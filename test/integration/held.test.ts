import { pino } from 'pino';
import { expect, test } from 'vitest';
import { openHeld } from '../../src/fix/held.ts';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import type { Snapshot } from '../../src/git/mirror.ts';
import { createFolder, createGitRepository } from '../support/git-repository.ts';
import type { GitRepository } from '../support/git-repository.ts';

const never = new AbortController().signal;
const limits = { maxFiles: 3, maxBytes: 100 };

async function open(source: GitRepository, directory: string): Promise<Snapshot> {
  const mirrors = createMirrors({ directory, log: pino({ level: 'silent' }), reserveBytes: 0 });
  return await mirrors.fetch({ url: source.directory, token: null, ref: null }, never);
}

test('unfinished work is what its one commit changes, on the commit before', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const base = source.commit({ kept: 'k', changed: '1', gone: 'g' });
  source.git('rm', '--quiet', 'gone');
  source.commit({ changed: '2', 'new file': 'n' });
  source.git('reset', '--soft', base);
  source.git('update-index', '--chmod=+x', 'kept');
  source.git('commit', '--quiet', '-m', 'held');

  const held = await openHeld(await open(source, cache.path), { ...limits, maxFiles: 4 }, never);

  expect(held?.base.sha).toBe(base);
  const shown = held?.files.map(({ path, change }) => [path, change.kind === 'write' ? `${change.mode} ${Buffer.from(change.content).toString()}` : 'deleted']);
  expect(Object.fromEntries(shown ?? [])).toEqual({
    changed: '100644 2',
    gone: 'deleted',
    'new file': '100644 n',
    kept: '100755 k',
  });
});

test('a first commit, a merge, a link, or more than a patch may be is no work of ours', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const opened = async () => await openHeld(await open(source, cache.path), limits, never);
  const base = source.commit({ a: '1' });
  expect(await opened()).toBeNull();
  source.commit({ b: 'x'.repeat(101) });
  expect(await opened()).toBeNull();
  source.git('reset', '--hard', '--quiet', base);
  source.commit({ b: '1', c: '1', d: '1', e: '1' });
  expect(await opened()).toBeNull();
  source.git('reset', '--hard', '--quiet', base);
  source.git('update-index', '--add', '--cacheinfo', `120000,${source.feed('/etc/passwd', 'hash-object', '-w', '--stdin')},link`);
  source.git('commit', '--quiet', '-m', 'link');
  expect(await opened()).toBeNull();
  source.git('checkout', '--quiet', '-b', 'side', base);
  source.commit({ side: '1' });
  source.git('merge', '--quiet', '--no-ff', '-m', 'merge', 'main');
  expect(await opened()).toBeNull();
});
