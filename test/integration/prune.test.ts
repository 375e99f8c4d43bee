/** What stays of old templates, and what goes; their files are made up, the processes that use them are real. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildLock } from '../../src/sandbox/image.ts';
import type { Image } from '../../src/sandbox/image.ts';
import { lockFile, tryLock } from '../../src/sandbox/lock.ts';
import { pruneTemplates } from '../../src/sandbox/prune.ts';
import type { Kept } from '../../src/sandbox/prune.ts';
import { endsWithUs } from '../support/ends-with-us.ts';

let cacheDir: string;
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'mayfly-prune-'));
});
afterEach(() => rm(cacheDir, { recursive: true, force: true }));

const key = (digit: number): string => String(digit).repeat(24);
const at = (folder: 'images' | 'snapshots', name: string): string => join(cacheDir, folder, name);
const names = async (folder: 'images' | 'snapshots'): Promise<string[]> => (await readdir(join(cacheDir, folder))).toSorted();

/** One that was built on that day of a month. */
async function make(folder: 'images' | 'snapshots', day: number): Promise<void> {
  await mkdir(at(folder, key(day)), { recursive: true });
  const manifest = join(at(folder, key(day)), 'manifest.json');
  await writeFile(manifest, '{}');
  await utimes(manifest, day, day);
}

function prune(day: number, limits?: Kept): Promise<string[]> {
  const file = (folder: 'images' | 'snapshots', name: string): string => join(at(folder, key(day)), name);
  const image: Image = {
    key: key(day),
    directory: at('images', key(day)),
    kernel: file('images', 'kernel'),
    initramfs: file('images', 'initramfs'),
    disk: file('images', 'disk.qcow2'),
    overlay: file('images', 'overlay.qcow2'),
    rootfs: file('images', 'rootfs'),
  };
  const snapshot = { memory: file('snapshots', 'memory'), state: file('snapshots', 'state'), disk: file('snapshots', 'disk.qcow2') };
  const host = { stateDir: join(cacheDir, 'state'), uidRange: { first: 70_000, count: 1 }, allowUnlimited: true, log: pino({ level: 'silent' }) };
  return pruneTemplates({ image, snapshot }, host, limits);
}

describe('of old templates', () => {
  test('the newest beside the current one stays, also when the current one is the oldest', async () => {
    for (const day of [1, 2, 3, 4]) for (const folder of ['images', 'snapshots'] as const) await make(folder, day);

    const removed = await prune(1);

    expect(removed.toSorted()).toEqual([2, 3].flatMap((day) => [at('images', key(day)), at('snapshots', key(day))]).toSorted());
    for (const folder of ['images', 'snapshots'] as const) expect(await names(folder)).toEqual([key(1), key(4)]);
    expect(await prune(1)).toEqual([]);
  });

  test('what a killed build or removal left goes, and what is not ours stays', async () => {
    for (const folder of ['images', 'snapshots'] as const) await make(folder, 1);
    for (const left of [`${key(2)}.building-a1B2c3`, `${key(3)}.removing`, 'notes', `${key(4)}.old`]) await mkdir(at('images', left));

    await prune(1);

    expect(await names('images')).toEqual([key(1), `${key(4)}.old`, 'notes']);
  });

  test('one that somebody holds stays until the last lets it go, whatever the limits', async () => {
    for (const day of [1, 2, 3]) for (const folder of ['images', 'snapshots'] as const) await make(folder, day);
    const manifest = join(at('images', key(1)), 'manifest.json');
    const held = [await lockFile(manifest, { shared: true }), await lockFile(manifest, { shared: true })];
    const limits = { kept: 1, maxBytes: 0 };

    for (const lock of held) {
      await prune(3, limits);
      expect(await names('images')).toEqual([key(1), key(3)]);
      await lock?.release();
    }
    await prune(3, limits);
    expect(await names('images')).toEqual([key(3)]);
  });

  test('the least recently used go when all together are too large, images and snapshots alike', async () => {
    for (const day of [1, 2, 3]) await make('images', day);
    for (const day of [1, 2, 3]) await make('snapshots', day);
    for (const day of [1, 2, 3]) await writeFile(join(at('images', key(day)), 'disk'), Buffer.alloc(2 ** 20));
    await writeFile(join(at('snapshots', key(2)), 'memory'), Buffer.alloc(2 ** 20));

    await prune(3, { kept: 10, maxBytes: 3.5 * 2 ** 20 });
    expect([await names('images'), await names('snapshots')]).toEqual([[2, 3].map(key), [2, 3].map(key)]);
    await prune(3, { kept: 10, maxBytes: 2 ** 19 });
    expect([await names('images'), await names('snapshots')]).toEqual([[key(3)], [key(3)]]);
  });

  test('one that a process runs on, or that is being built, stays', async () => {
    for (const day of [1, 2, 3, 4, 5]) for (const folder of ['images', 'snapshots'] as const) await make(folder, day);
    await mkdir(at('images', `${key(6)}.building-a1B2c3`));
    const running = spawn(...endsWithUs('sh', ['-c', 'echo up; read line', 'vm', join(at('images', key(2)), 'kernel')]), {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(running.stdout, 'data');
    const building = await Promise.all([tryLock(buildLock(at('images', key(3)))), tryLock(buildLock(at('images', key(6))))]);

    await prune(5);
    const inUse = await names('images');
    for (const lock of building) await lock?.release();
    running.stdin.end();
    await once(running, 'exit');
    await prune(5);

    expect(inUse).toEqual([key(2), key(3), key(4), key(5), `${key(6)}.building-a1B2c3`]);
    expect(await names('images')).toEqual([key(4), key(5)]);
    expect(await names('snapshots')).toEqual([key(4), key(5)]);
  });
});
