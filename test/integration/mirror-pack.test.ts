import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import type { Snapshot } from '../../src/git/mirror.ts';
import { createFolder, createGitRepository } from '../support/git-repository.ts';
import type { GitRepository } from '../support/git-repository.ts';

const never = new AbortController().signal;

async function snapshotOf(source: GitRepository, cache: { readonly path: string }, ref: string | null = null): Promise<Snapshot> {
  return await createMirrors({ directory: cache.path, log: pino({ level: 'silent' }), reserveBytes: 0 }).fetch(
    { url: source.directory, token: null, ref },
    never,
  );
}

/** Does what the guest does with a pack: index it, note the boundary, check the commit out. */
async function unpack(guest: GitRepository, snapshot: Snapshot, ancestors: number, have?: string) {
  const { stream, shallow } = await snapshot.pack(ancestors, never, have);
  const [, pack = ''] = guest.feed(await buffer(stream), 'index-pack', '--stdin').split('\t');
  const packed = guest.git('verify-pack', '-v', `.git/objects/pack/pack-${pack}.idx`);
  if (shallow.length > 0) writeFileSync(join(guest.directory, '.git', 'shallow'), shallow.map((sha) => `${sha}\n`).join(''));
  guest.git('update-ref', 'refs/heads/main', snapshot.sha);
  guest.git('reset', '--quiet', '--hard');
  const objects = guest.git('cat-file', '--batch-check=%(objectname)', '--batch-all-objects').split('\n');
  return {
    shallow,
    packed,
    commits: guest.git('log', '--format=%H').split('\n'),
    objects,
    fsck: guest.git('fsck', '--full', '--strict', '--no-dangling'),
    status: guest.git('status', '--porcelain'),
  };
}

test('the guest gets the tip and its last ancestors as a repository that git finds nothing wrong with', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  const commits = Array.from({ length: 8 }, (_, index) => source.commit({ [`file-${index}`]: String(index), shared: `line ${index}\n`.repeat(50) }));

  const clone = await unpack(guest, await snapshotOf(source, cache), 3);

  expect(clone.commits).toEqual(commits.slice(-4).toReversed());
  expect(clone.shallow).toEqual([commits.at(-4)]);
  expect([clone.fsck, clone.status]).toEqual(['', '']);
  expect(clone.objects).not.toContain(commits[0]);
  expect(guest.git('show', '--stat', '--format=', 'HEAD~1')).toContain('file-6');
});

test('a history shorter than the limit comes whole, without a boundary', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  const commits = [source.commit({ a: '1' }), source.commit({ a: '2' })];

  const clone = await unpack(guest, await snapshotOf(source, cache), 50);

  expect(clone).toMatchObject({ commits: commits.toReversed(), shallow: [], fsck: '', status: '' });
});

test('the tip alone is a repository too', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  source.commit({ a: '1' });
  const tip = source.commit({ b: '2' });

  expect(await unpack(guest, await snapshotOf(source, cache), 0)).toMatchObject({ commits: [tip], shallow: [tip], fsck: '', status: '' });
});

test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20])('merges at the boundary leave no hole: the last %i ancestors', async (ancestors) => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  source.commit({ a: '1' });
  source.commit({ a: '2' });
  for (const branch of ['one', 'two']) {
    source.git('checkout', '--quiet', '-b', branch);
    source.commit({ [branch]: '1' });
    source.commit({ [branch]: '2' });
    source.git('checkout', '--quiet', 'main');
    source.commit({ [`main-${branch}`]: '1' });
    source.git('merge', '--quiet', '--no-ff', '-m', `merge ${branch}`, branch);
  }
  const all = source.git('rev-list', 'main').split('\n');

  const clone = await unpack(guest, await snapshotOf(source, cache), ancestors);

  expect(clone).toMatchObject({ fsck: '', status: '' });
  expect(clone.commits.length).toBeLessThanOrEqual(ancestors + 1);
  expect(all).toEqual(expect.arrayContaining(clone.commits));
  expect(clone.commits.length === all.length).toBe(ancestors + 1 >= all.length);
});

test('no object of another branch, of a tag or of the time before the boundary is in the pack', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  source.commit({ early: 'password of 2019' });
  const early = source.git('rev-parse', 'HEAD:early');
  source.git('rm', '--quiet', 'early');
  for (const a of ['1', '2', '3']) source.commit({ a });
  source.git('checkout', '--quiet', '-b', 'secret');
  source.commit({ secret: 'not for the agent' });
  const secret = source.git('rev-parse', 'HEAD:secret');
  source.git('tag', 'v-secret');
  source.git('checkout', '--quiet', 'main');
  await snapshotOf(source, cache, 'secret');

  const clone = await unpack(guest, await snapshotOf(source, cache, 'main'), 1);

  const reachable = guest.git('rev-list', '--objects', '--no-object-names', 'main').split('\n');
  expect(clone.objects.toSorted()).toEqual(reachable.toSorted());
  expect(clone.objects).not.toContain(secret);
  expect(clone.objects).not.toContain(early);
});

test('a shallow clone is a source too, and its own boundary is kept', async () => {
  using origin = createGitRepository();
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  const commits = ['1', '2', '3', '4', '5'].map((a) => origin.commit({ a }));
  source.git('fetch', '--quiet', '--depth=3', `file://${origin.directory}`, 'main');
  source.git('reset', '--quiet', '--hard', 'FETCH_HEAD');

  const clone = await unpack(guest, await snapshotOf(source, cache), 50);

  expect(clone).toMatchObject({ commits: commits.slice(-3).toReversed(), shallow: [commits[2]], fsck: '', status: '' });
});

test('a pack that git cannot finish fails as a stream, it does not just end', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ a: '1' });
  const snapshot = await snapshotOf(source, cache);
  const { stream } = await snapshot.pack(1, never);
  cache[Symbol.dispose]();

  await expect(buffer(stream)).rejects.toMatchObject({ code: 'clone_failed' });
});

test('a stop ends a pack that is being sent', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ noise: Buffer.from(Array.from({ length: 2_000_000 }, () => Math.floor(Math.random() * 256))) });
  const stop = new AbortController();
  const { stream } = await (await snapshotOf(source, cache)).pack(1, stop.signal);

  const read = (async () => {
    for await (const _ of stream) stop.abort();
  })();

  await expect(read).rejects.toMatchObject({ code: 'cancelled' });
});

test('files are read by their exact path, within their limit, and only when they are files', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ 'a[1].txt': 'exact', 'a1.txt': 'other', ':(top)x': 'magic', 'ümlaut\n': 'lines', bytes: Buffer.from([0, 255, 10, 128]) });
  const blob = source.feed('/etc/passwd', 'hash-object', '-w', '--stdin');
  source.git(
    'update-index',
    '--add',
    '--cacheinfo',
    `120000,${blob},link`,
    '--cacheinfo',
    `160000,${'1'.repeat(40)},module`,
    '--cacheinfo',
    `100755,${blob},deep/run`,
  );
  source.git('commit', '--quiet', '-m', 'modes');
  const snapshot = await snapshotOf(source, cache);
  const read = async (path: string, maxBytes = 100) => (await snapshot.readFile(path, maxBytes, never))?.toString('latin1') ?? null;

  expect(await read('a[1].txt')).toBe('exact');
  expect(await read(':(top)x')).toBe('magic');
  expect(await read('ümlaut\n')).toBe('lines');
  expect(await read('bytes')).toBe('\0\u00ff\n\u0080');
  expect(await read('deep/run')).toBe('/etc/passwd');
  const others = ['link', 'module', 'deep', 'deep/', 'none', '', '.', '../x', '--all', 'a*', 'a\0b'];
  expect(await Promise.all(others.map((path) => read(path)))).toEqual(others.map(() => null));
  expect([await read('bytes', 4), await read('bytes', 3)]).toEqual(['\0\u00ff\n\u0080', null]);
  const tree = await snapshot.tree(never);
  expect(Object.fromEntries([...tree].map(([path, { mode, size }]) => [path, `${mode} ${size}`]))).toMatchObject({
    link: '120000 11',
    module: '160000 null',
    'deep/run': '100755 11',
    bytes: '100644 4',
  });
});

test('a tree of few bytes that names very many paths is refused in bounded time', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  let tree = source.feed(`100644 blob ${source.feed('x', 'hash-object', '-w', '--stdin')}\tf\n`, 'mktree');
  for (let depth = 0; depth < 8; depth++)
    tree = source.feed(Array.from({ length: 10 }, (_, index) => `040000 tree ${tree}\tfolder-${index}\n`).join(''), 'mktree');
  source.git('update-ref', 'refs/heads/main', source.git('commit-tree', tree, '-m', 'bomb'));
  const snapshot = await snapshotOf(source, cache);

  await expect(snapshot.tree(never)).rejects.toMatchObject({ code: 'repository_too_large' });
});

test('a guest that has an ancestor gets what came after it, and git finds nothing wrong', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  const text = (index: number): string => `line ${index}\n`.repeat(50);
  const commits = Array.from({ length: 12 }, (_, index) => source.commit({ [`file-${index}`]: String(index), shared: text(index) }));
  const have = commits[7] ?? '';
  await unpack(guest, await snapshotOf(source, cache, have), 5);
  // What an old commit had, which the guest never got, comes back.
  commits.push(source.commit({ shared: text(0) }));
  source.git('checkout', '--quiet', '-b', 'side', commits[6] ?? '');
  source.commit({ side: 'side' });
  source.git('checkout', '--quiet', 'main');
  source.git('merge', '--quiet', '--no-edit', 'side');

  const clone = await unpack(guest, await snapshotOf(source, cache), 5, have);

  expect([clone.fsck, clone.status]).toEqual(['', '']);
  expect(guest.git('show', 'HEAD:shared')).toBe(text(0).trim());
  expect(guest.git('rev-list', '--objects', 'HEAD')).not.toBe('');
});

test('a guest that has an ancestor is not sent again what it has', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  using guest = createGitRepository();
  source.commit({ kept: 'the same all along', changed: '1' });
  await unpack(guest, await snapshotOf(source, cache), 5);
  const have = source.git('rev-parse', 'HEAD');
  source.commit({ changed: '2' });

  const { packed } = await unpack(guest, await snapshotOf(source, cache), 5, have);

  expect(packed).toContain(guest.git('rev-parse', 'HEAD:changed'));
  expect(packed).not.toContain(guest.git('rev-parse', 'HEAD:kept'));
});

test('only what a commit comes after is its ancestor', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const [first, second] = [source.commit({ a: '1' }), source.commit({ a: '2' })];
  source.git('checkout', '--quiet', '-b', 'side', first);
  const side = source.commit({ a: '3' });
  await snapshotOf(source, cache, 'side');
  const main = await snapshotOf(source, cache, 'main');

  expect((await main.ancestor(second, never))?.sha).toBe(second);
  expect((await main.ancestor(first, never))?.sha).toBe(first);
  for (const other of [side, 'f'.repeat(40), '--help', 'main']) expect(await main.ancestor(other, never)).toBeNull();
});
