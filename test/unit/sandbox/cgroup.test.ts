import { mkdtempDisposable, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findRoots, processesOf, writeLimits } from '../../../src/sandbox/cgroup.ts';

const v1 = ['memory', 'pids', 'cpu,cpuacct', 'devices'].map((name) => `cgroup /sys/fs/cgroup/${name} cgroup rw,relatime,${name} 0 0`).join('\n');

test('with v2 alone, one directory has every controller', () => {
  const roots = findRoots('cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0', () => ['cpuset', 'cpu', 'memory', 'pids']);
  expect(roots).toEqual([{ version: 2, directory: '/sys/fs/cgroup', controllers: ['memory', 'pids', 'cpu'] }]);
});

test('with v1 alone, each controller has its own directory', () => {
  expect(findRoots(v1, () => [])).toEqual([
    { version: 1, directory: '/sys/fs/cgroup/memory', controllers: ['memory'] },
    { version: 1, directory: '/sys/fs/cgroup/pids', controllers: ['pids'] },
    { version: 1, directory: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu'] },
  ]);
});

test('with both, v1 has what v2 has not, wherever the mounts stand', () => {
  const roots = findRoots(`${v1}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0`, () => ['pids']);
  expect(roots.map(({ version, controllers }) => [version, controllers])).toEqual([
    [2, ['pids']],
    [1, ['memory']],
    [1, ['cpu']],
  ]);
});

test('with a v2 that controls nothing, v1 has everything', () => {
  expect(findRoots(`cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n${v1}`, () => ['']).map((root) => root.version)).toEqual([1, 1, 1]);
});

test('with neither there is nothing', () => {
  expect(findRoots('proc /proc proc rw 0 0\n', () => [])).toEqual([]);
});

const limits = { memoryBytes: 2 ** 30, processes: 100, cpus: 2 };

test.each([
  [1, 'memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', `${2 ** 30}`],
  [2, 'memory.max', 'memory.swap.max', '0'],
] as const)('under v%s there is no swap, where the kernel counts it', async (version, limit, swap, value) => {
  await using made = await mkdtempDisposable(join(tmpdir(), 'mayfly-cgroup-'));
  const root = { version, controllers: ['memory'] };
  await writeLimits(made.path, root, limits);
  expect(await readdir(made.path)).toEqual([limit]);

  await writeFile(join(made.path, swap), '');
  await writeLimits(made.path, root, limits);
  expect(await readFile(join(made.path, swap), 'utf8')).toBe(value);
});

test('a process of another namespace, which has no number here, is none of a group', async () => {
  await using made = await mkdtempDisposable(join(tmpdir(), 'mayfly-cgroup-'));
  await writeFile(join(made.path, 'cgroup.procs'), '0\n12\n0\n13\n');
  expect(await processesOf([made.path, join(made.path, 'gone')])).toEqual([12, 13]);
});
