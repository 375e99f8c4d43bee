import { readdirSync, existsSync, statSync } from 'node:fs';
import { chown, mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import type { MirrorsOptions } from '../../src/git/create-mirrors.ts';
import { createFolder, createGitRepository } from '../support/git-repository.ts';

const log = pino({ level: 'silent' });
const never = new AbortController().signal;

function open(directory: string, options: Partial<MirrorsOptions> = {}) {
  return createMirrors({ directory, log, reserveBytes: 0, ...options });
}

test('a branch, a tag, a commit id and HEAD of a local directory lead to their commits', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const first = source.commit({ a: '1' });
  source.git('tag', '-a', 'v1', '-m', 'one');
  source.git('branch', 'feature/x', first);
  const second = source.commit({ a: '2' });
  const mirrors = open(cache.path);
  const resolve = async (ref: string | null) => (await mirrors.fetch({ url: source.directory, token: null, ref }, never)).sha;

  expect(await resolve(null)).toBe(second);
  expect(await resolve('main')).toBe(second);
  expect(await resolve('refs/heads/main')).toBe(second);
  expect(await resolve('v1')).toBe(first);
  expect(await resolve('feature/x')).toBe(first);
  expect(await resolve(first.toUpperCase())).toBe(first);
  expect(await resolve('HEAD~1')).toBe(first);
  expect(await resolve(first.slice(0, 8))).toBe(first);
});

test('what is not there is told apart: no repository, no commit, no such base', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const mirrors = open(cache.path);
  const fetch = (url: string, ref: string | null) => mirrors.fetch({ url, token: null, ref }, never);

  await expect(fetch(source.directory, null)).rejects.toMatchObject({ code: 'repository_empty' });
  await expect(fetch(source.directory, 'main')).rejects.toMatchObject({ code: 'repository_empty' });
  const commit = source.commit({ a: '1' });
  const blob = source.git('rev-parse', 'HEAD:a');
  await expect(fetch(source.directory, 'nowhere')).rejects.toMatchObject({ code: 'base_unknown' });
  await expect(fetch(source.directory, '0'.repeat(39) + '1')).rejects.toMatchObject({ code: 'base_unknown' });
  await expect(fetch(source.directory, blob)).rejects.toMatchObject({ code: 'base_unknown' });
  await expect(fetch(`${source.directory}/none`, null)).rejects.toMatchObject({ code: 'repository_unreachable' });
  await expect(fetch('relative/path', null)).rejects.toMatchObject({ code: 'repository_unreachable' });
  await expect(fetch(cache.path, null)).rejects.toMatchObject({ code: 'repository_unreachable' });
  await expect(fetch('http://127.0.0.1:9/o/r.git', null)).rejects.toMatchObject({ code: 'repository_unreachable' });
  await expect(fetch('https://ada:secret@127.0.0.1:9/o/r.git', null)).rejects.toMatchObject({ code: 'repository_unreachable' });
  await expect(fetch('ext::sh -c id', null)).rejects.toMatchObject({ code: 'repository_unreachable' });
  expect((await fetch(source.directory, null)).sha).toBe(commit);
});

test.each([
  '--upload-pack=touch ',
  '-u touch ',
  '$(touch MARK)',
  'a;touch MARK',
  '*',
  'ma?n',
  ':/',
  '^main',
  'x\u3000y',
  'a'.repeat(255),
  'main\nHEAD',
  '',
  'main:file',
  '--all',
])('a hostile base %j is a base that is not known, and runs nothing', async (ref) => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ file: '1' });
  const marker = join(cache.path, 'marker');

  const fetched = open(cache.path).fetch({ url: source.directory, token: null, ref: ref.replace('MARK', marker) + (ref.endsWith(' ') ? marker : '') }, never);
  await expect(fetched).rejects.toMatchObject({ code: 'base_unknown' });
  expect(existsSync(marker)).toBe(false);
});

test('the second fetch brings only what is new, and a commit outlives the branch that was moved away from it', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const noise = Buffer.from(Array.from({ length: 300_000 }, () => Math.floor(Math.random() * 256)));
  const old = source.commit({ noise });
  const mirrors = open(cache.path);
  const snapshot = await mirrors.fetch({ url: source.directory, token: null, ref: 'main' }, never);
  const packs = () => readdirSync(cache.path, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.pack'));
  const sizes = () => packs().map((name) => statSync(join(cache.path, name)).size);
  const young = source.commit({ b: '2' });
  const next = await mirrors.fetch({ url: source.directory, token: null, ref: 'main' }, never);
  source.git('reset', '--hard', '--quiet', young);
  source.git('commit', '--quiet', '--amend', '-m', 'moved away');
  const moved = await mirrors.fetch({ url: source.directory, token: null, ref: 'main' }, never);

  expect([snapshot.sha, next.sha]).toEqual([old, young]);
  expect(moved.sha).toBe(source.git('rev-parse', 'HEAD'));
  expect(await next.readFile('b', 10, never)).toEqual(Buffer.from('2'));
  expect(sizes().filter((size) => size > 1000)).toHaveLength(1);
  expect(await snapshot.readFile('noise', 2 ** 20, never)).toEqual(noise);
});

test('a work tree with changes of its own is read as committed, and left as it was', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ a: 'committed' });
  await writeFile(join(source.directory, 'a'), 'changed');
  await writeFile(join(source.directory, 'new'), 'new');
  const before = source.git('status', '--short');

  const snapshot = await open(cache.path).fetch({ url: source.directory, token: null, ref: null }, never);

  expect((await snapshot.readFile('a', 100, never))?.toString()).toBe('committed');
  expect([...(await snapshot.tree(never)).keys()]).toEqual(['a']);
  expect(source.git('status', '--short')).toBe(before);
});

test('a tree is listed once, and what is read afterwards is the same as before', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  await mkdir(join(source.directory, 'folder'));
  source.commit({ 'a b': '1', 'folder/c': '22' });
  await symlink('a b', join(source.directory, 'link'));
  source.git('add', '.');
  source.git('commit', '-qm', 'link');
  const snapshot = await open(cache.path).fetch({ url: source.directory, token: null, ref: null }, never);
  const read = async () =>
    await Promise.all(['a b', 'folder/c', 'folder', 'link', 'none', '../a'].map(async (path) => await snapshot.readFile(path, 1, never)));
  const before = await read();

  const tree = await snapshot.tree(never);

  expect(before).toEqual([Buffer.from('1'), null, null, null, null, null]);
  expect(await read()).toEqual(before);
  expect(await snapshot.tree(never)).toBe(tree);
});

test.skipIf(process.getuid?.() !== 0)('a directory of another user is a source too', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const head = source.commit({ a: '1' });
  source.git('config', 'safe.directory', source.directory);
  for (const path of ['', ...(await readdir(source.directory, { recursive: true }))]) await chown(join(source.directory, path), 12_345, 12_345);
  expect(() => source.git('log')).toThrow('dubious ownership');

  const fetched = open(cache.path).fetch({ url: source.directory, token: null, ref: 'HEAD~0' }, never);

  expect((await fetched).sha).toBe(head);
});

test('nothing that the source brings along runs: hooks, file system monitor, pack hook, alternates', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const head = source.commit({ a: '1' });
  const marker = join(cache.path, 'marker');
  const script = join(source.directory, '.git', 'run');
  await writeFile(script, `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
  await mkdir(join(source.directory, '.git', 'hooks'), { recursive: true });
  for (const hook of ['post-checkout', 'reference-transaction', 'post-update', 'pre-auto-gc'])
    await symlink(script, join(source.directory, '.git', 'hooks', hook));
  for (const key of ['core.fsmonitor', 'uploadpack.packObjectsHook', 'core.sshCommand', 'core.alternateRefsCommand', 'core.gitProxy'])
    source.git('config', key, script);

  const fetched = await open(cache.path).fetch({ url: source.directory, token: null, ref: 'HEAD' }, never);

  expect(fetched.sha).toBe(head);
  expect(existsSync(marker)).toBe(false);
});

test('old blemishes are taken, a tree that names .git is not', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const blob = source.feed('x', 'hash-object', '-w', '--stdin');
  const tree = (entry: string) =>
    source.feed(Buffer.concat([Buffer.from(entry), Buffer.from([0]), Buffer.from(blob, 'hex')]), 'hash-object', '-t', 'tree', '-w', '--stdin', '--literally');
  const inner = tree('100644 file');
  const padded = source.feed(
    Buffer.concat([Buffer.from('040000 folder\0'), Buffer.from(inner, 'hex')]),
    'hash-object',
    '-t',
    'tree',
    '-w',
    '--stdin',
    '--literally',
  );
  source.git('update-ref', 'refs/heads/padded', source.git('commit-tree', padded, '-m', 'padded'));
  source.git('update-ref', 'refs/heads/evil', source.git('commit-tree', tree('100644 .git'), '-m', 'evil'));
  source.git('update-ref', 'refs/heads/main', source.git('commit-tree', inner, '-m', 'fine'));
  const mirrors = open(cache.path);
  const fetch = (ref: string) => mirrors.fetch({ url: source.directory, token: null, ref }, never);

  expect([...(await (await fetch('padded')).tree(never)).keys()]).toEqual(['folder/file']);
  await expect(fetch('evil')).rejects.toMatchObject({ code: 'repository_unreachable' });
});

test('two processes and two calls at once in one mirror all get their commits', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const commits = ['1', '2', '3', '4', '5', '6'].map((a) => source.commit({ a }));

  // Each call has locks of its own from the kernel's point of view, as another process would.
  const snapshots = await Promise.all(
    commits.map((ref, index) => open(cache.path, { keepMs: 1000 + index }).fetch({ url: source.directory, token: null, ref }, never)),
  );

  expect(snapshots.map(({ sha }) => sha)).toEqual(commits);
  expect((await readdir(cache.path)).filter((name) => name.endsWith('.git'))).toHaveLength(1);
});

test('a stop ends the wait for the lock and the fetch, and the mirror works afterwards', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  const head = source.commit({ a: '1' });
  const mirrors = open(cache.path);
  const stopped = new AbortController();
  stopped.abort();

  await expect(mirrors.fetch({ url: source.directory, token: null, ref: null }, stopped.signal)).rejects.toMatchObject({ code: 'cancelled' });
  expect((await mirrors.fetch({ url: source.directory, token: null, ref: null }, never)).sha).toBe(head);
});

test('what a killed git left behind does not stop the next fetch', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ a: '1' });
  const mirrors = open(cache.path);
  await mirrors.fetch({ url: source.directory, token: null, ref: null }, never);
  const [mirror = ''] = (await readdir(cache.path)).filter((name) => name.endsWith('.git'));
  const second = source.commit({ a: '2' });
  await writeFile(join(cache.path, mirror, 'refs', 'mayfly', `${second}.lock`), '');
  await writeFile(join(cache.path, mirror, 'objects', 'pack', 'tmp_pack_x'), 'half');
  await mkdir(join(cache.path, mirror.replace('.git', '.new')));

  expect((await mirrors.fetch({ url: source.directory, token: null, ref: null }, never)).sha).toBe(second);
  expect(await readdir(join(cache.path, mirror, 'objects', 'pack'))).not.toContain('tmp_pack_x');
});

test('a repository beyond the limit is refused while it comes in, and leaves nothing behind', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ noise: Buffer.from(Array.from({ length: 900_000 }, () => Math.floor(Math.random() * 256))) });

  const fetched = open(cache.path, { maxBytes: 400_000 }).fetch({ url: source.directory, token: null, ref: null }, never);

  await expect(fetched).rejects.toMatchObject({ code: 'repository_too_large' });
  const files = await readdir(cache.path, { recursive: true, withFileTypes: true });
  const sizes = files.filter((file) => file.isFile()).map((file) => statSync(join(file.parentPath, file.name)).size);
  expect(Math.max(...sizes)).toBeLessThan(10_000);
});

test('a disk without room is said so before anything is written', async () => {
  using source = createGitRepository();
  using cache = createFolder();
  source.commit({ a: '1' });

  const fetched = open(cache.path, { reserveBytes: 2 ** 60 }).fetch({ url: source.directory, token: null, ref: null }, never);

  await expect(fetched).rejects.toMatchObject({ code: 'disk_full' });
});

test('the least recently used mirror goes first, and one in use never', async () => {
  using cache = createFolder();
  using one = createGitRepository();
  using two = createGitRepository();
  using three = createGitRepository();
  for (const source of [one, two, three]) source.commit({ noise: Buffer.from(Array.from({ length: 100_000 }, () => Math.floor(Math.random() * 256))) });
  const roomy = open(cache.path);
  const names = async () => (await readdir(cache.path)).filter((name) => name.endsWith('.git'));
  const age = async (name: string, hours: number) => {
    const then = new Date(Date.now() - hours * 3_600_000);
    await utimes(join(cache.path, name, 'mayfly-used'), then, then);
  };
  await roomy.fetch({ url: one.directory, token: null, ref: null }, never);
  const [first = ''] = await names();
  await roomy.fetch({ url: two.directory, token: null, ref: null }, never);
  const [second = ''] = (await names()).filter((name) => name !== first);
  await age(first, 5);
  await age(second, 9);

  await open(cache.path, { maxBytes: 250_000 }).fetch({ url: three.directory, token: null, ref: null }, never);

  expect(await names()).toContain(first);
  expect(await names()).not.toContain(second);
  await open(cache.path, { maxBytes: 150_000 }).fetch({ url: three.directory, token: null, ref: null }, never);
  expect(await names()).toHaveLength(1);
  await open(cache.path, { maxBytes: 120_000 }).fetch({ url: one.directory, token: null, ref: null }, never);
  expect(await names()).toHaveLength(2);
});
