/** Kept disks on this host: real files, real processes; what is on the disks does not matter here. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createLayers } from '../../src/sandbox/layers.ts';
import type { LayersOptions } from '../../src/sandbox/layers.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { createFolder } from '../support/git-repository.ts';

const place = (digit: number): string => String(digit).repeat(24);
const commit = (digit: number): string => String(digit).repeat(40);
const named = (at: number, of = at) => ({ place: place(at), commit: commit(of) });
const { signal } = new AbortController();
const mib = 2 ** 20;
const keeping = { largestBytes: 0, signal };

function open(directory: string, changes: Partial<LayersOptions> = {}) {
  const options = { directory: join(directory, 'layers'), maxBytes: 100 * mib, reserveBytes: 0, log: pino({ level: 'silent' }), ...changes };
  const layers = createLayers(options);
  const keep = async (name: { place: string; commit: string }, bytes = mib): Promise<boolean> =>
    (await layers.keep(name, keeping, async (file) => {
      await writeFile(file, Buffer.alloc(bytes, name.commit));
      return { of: name.commit };
    })) !== null;
  const take: (...asked: Parameters<typeof layers.take>) => Promise<object | null> = async (...asked) => {
    const { isWhole, ...layer } = (await layers.take(...asked)) ?? { isWhole: false };
    return (await isWhole) ? layer : null;
  };
  const folder = (name: { place: string; commit: string }): string => join(directory, 'layers', `${name.place}-${name.commit}`);
  const disk = async (name: { place: string; commit: string }): Promise<string> =>
    join(folder(name), (await readdir(folder(name))).find((entry) => entry.startsWith('disk-')) ?? 'none');
  return { ...layers, keepBy: layers.keep.bind(layers), options, keep, take, folder, disk };
}

describe('kept disks', () => {
  test('are found by place, and taken with what was noted down', async () => {
    using root = createFolder();
    const layers = open(root.path);

    expect(await layers.list(place(1))).toEqual([]);
    expect(await layers.take(named(1), signal)).toBeNull();
    expect(await layers.keep(named(1))).toBe(true);

    expect(await layers.list(place(1))).toEqual([commit(1)]);
    expect(await layers.list(place(2))).toEqual([]);
    expect(await layers.take(named(1), signal)).toEqual({ file: await layers.disk(named(1)), notes: { of: commit(1) } });
    expect(await open(root.path).take(named(1), signal)).not.toBeNull();
    expect((await stat(join(root.path, 'layers'))).mode & 0o777).toBe(0o700);
  });

  test('made anew in the place of one that was removed has another name, so that nobody takes one for the other', async () => {
    using root = createFolder();
    const layers = open(root.path);
    await layers.keep(named(1));
    const first = await layers.disk(named(1));
    await layers.remove(named(1));
    await layers.keep(named(1));

    expect(await layers.disk(named(1))).not.toBe(first);
  });

  test('whose making failed is not tried again at once; one that was stopped is', async () => {
    using root = createFolder();
    const layers = open(root.path);
    const stopped = { largestBytes: 0, signal: AbortSignal.abort(new Error('stopped')) };
    const fail = (): Promise<never> => Promise.reject(new Error('no setup'));

    await expect(layers.keepBy(named(1), stopped, fail)).rejects.toThrow('stopped');
    await expect(layers.keepBy(named(1), keeping, fail)).rejects.toThrow('no setup');
    expect(await layers.keep(named(1))).toBe(false);
    expect(await layers.keep(named(1, 2))).toBe(false);
    expect(await layers.keep(named(2))).toBe(true);
  });

  test('of other commits at a place go when a newer one is whole, those of other places stay', async () => {
    using root = createFolder();
    const layers = open(root.path);
    for (const name of [named(1), named(2), named(1, 3)]) await layers.keep(name);

    expect(await layers.list(place(1))).toEqual([commit(3)]);
    expect(await layers.list(place(2))).toEqual([commit(2)]);
    expect(await layers.keep(named(1, 3))).toBe(false);
  });

  test.each<[string, (file: string) => Promise<void>]>([
    ['one byte of it is another', async (file) => await writeFile(file, 'x', { flag: 'r+' })],
    ['it is cut off', async (file) => await truncate(file, mib - 1)],
    ['its manifest is half a file', async (file) => await writeFile(join(dirname(file), 'manifest.json'), '{"version":2,')],
    ['its manifest is of another version', async (file) => await writeFile(join(dirname(file), 'manifest.json'), '{"version":1}')],
  ])('are never used when %s, and make room for a new one', async (_what, damage) => {
    using root = createFolder();
    const layers = open(root.path);
    await layers.keep(named(1));
    await damage(await layers.disk(named(1)));

    expect(await layers.take(named(1), signal)).toBeNull();

    expect(await readdir(join(root.path, 'layers'))).toEqual([]);
    expect(await layers.keep(named(1))).toBe(true);
    expect(await layers.take(named(1), signal)).not.toBeNull();
  });

  test('are not used when they are too old', async () => {
    using root = createFolder();
    await open(root.path).keep(named(1));
    const layers = open(root.path, { maxAgeMs: -1 });

    expect(await layers.take(named(1), signal)).toBeNull();
    expect(await layers.list(place(1))).toEqual([]);
  });

  test('that nobody asks for any more go with their age, too', async () => {
    using root = createFolder();
    const layers = open(root.path);
    await layers.keep(named(1));
    await layers.keep(named(2));
    const manifest = join(layers.folder(named(1)), 'manifest.json');
    const written: unknown = JSON.parse(await readFile(manifest, 'utf8'));
    await writeFile(manifest, JSON.stringify({ ...(written as object), madeAt: Date.now() - 8 * 24 * 3_600_000 }));

    expect(await layers.sweep()).toEqual([`${place(1)}-${commit(1)}`]);
    expect(await layers.list(place(2))).toEqual([commit(2)]);
  });

  test('stay within their disk and their number, the least recently used go first', async () => {
    using root = createFolder();
    const layers = open(root.path, { maxBytes: 3.5 * mib });
    for (const [index, digit] of [1, 2, 3].entries()) {
      await layers.keep(named(digit));
      await utimes(join(layers.folder(named(digit)), 'manifest.json'), index + 1, index + 1);
    }
    await layers.take(named(1), signal);

    await layers.keep(named(4));

    expect((await readdir(join(root.path, 'layers'))).toSorted()).toEqual([1, 3, 4].map((digit) => `${place(digit)}-${commit(digit)}`));
    expect(await open(root.path, { maxCount: 1 }).sweep()).toHaveLength(2);
    expect(await readdir(join(root.path, 'layers'))).toEqual([`${place(4)}-${commit(4)}`]);
    expect(await open(root.path, { maxBytes: 0 }).sweep()).toHaveLength(1);
  });

  test('that alone are larger than all may be are not kept', async () => {
    using root = createFolder();
    const layers = open(root.path, { maxBytes: mib });
    await layers.keep(named(1));

    await layers.keep(named(2), 2 * mib);

    expect(await layers.list(place(2))).toEqual([]);
  });

  test('of a place that was too large once are not made again and again', async () => {
    using root = createFolder();
    const layers = createLayers({ directory: join(root.path, 'layers'), maxBytes: mib, reserveBytes: 0, log: pino({ level: 'silent' }) });
    let made = 0;
    const keep = (name: { place: string; commit: string }) =>
      layers.keep(name, keeping, async (file) => {
        made += 1;
        await writeFile(file, Buffer.alloc(2 * mib, 1));
      });

    expect([await keep(named(1)), await keep(named(1, 2)), await keep(named(2))]).toEqual([null, null, null]);
    expect(made).toBe(2);
    expect(await readdir(join(root.path, 'layers'))).toEqual([]);
  });

  test('are not made where the disk is nearly full, or would be with the largest one', async () => {
    using root = createFolder();
    const never = () => Promise.reject(new Error('it is made'));
    const free = open(root.path);
    const full = open(root.path, { reserveBytes: 2 ** 60 });

    expect(await full.keep(named(1))).toBe(false);
    expect(await createLayers({ ...free.options }).keep(named(1), { largestBytes: 2 ** 60, signal }, never)).toBeNull();
    expect(await readdir(join(root.path, 'layers'))).toEqual([]);
  });

  test('are let go of when the worker stops while they are looked through', async () => {
    using root = createFolder();
    const stop = new AbortController();
    const { options } = open(root.path);
    const making = createLayers({ ...options, maxBytes: 2 ** 31 }).keep(named(1), { largestBytes: 0, signal: stop.signal }, async (file) => {
      await writeFile(file, Buffer.alloc(64 * mib, 1));
      setImmediate(() => stop.abort(new Error('stopped')));
    });

    await expect(making).rejects.toThrow('stopped');
    expect(await readdir(join(root.path, 'layers'))).toEqual([]);
  });

  test('are made once, whoever wants them at the same time; a failure leaves nothing and the next one makes it', async () => {
    using root = createFolder();
    const [one, other] = [open(root.path), open(root.path)];
    const begun = Promise.withResolvers<void>();
    const failing = Promise.withResolvers<never>();

    const making = createLayers({ directory: join(root.path, 'layers'), maxBytes: mib, reserveBytes: 0, log: pino({ level: 'silent' }) }).keep(
      named(1),
      keeping,
      () => {
        begun.resolve();
        return failing.promise;
      },
    );
    await begun.promise;
    expect(await other.keep(named(1))).toBe(false);
    failing.reject(new Error('no'));
    await expect(making).rejects.toThrow('no');

    expect(await readdir(join(root.path, 'layers'))).toEqual([]);
    expect(await one.keep(named(1))).toBe(true);
  });

  test('that a killed process was making are swept; those of a living one, and what is not ours, stay', async () => {
    using root = createFolder();
    const layers = open(root.path);
    await layers.keep(named(2));
    await mkdir(join(root.path, 'layers', 'of-somebody'));
    const script = fileURLToPath(new URL('../support/layer-maker.ts', import.meta.url));
    const making = endsWithUs(process.execPath, [script, JSON.stringify({ directory: join(root.path, 'layers'), name: named(1) })]);
    const maker = spawn(...making, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(maker.stdout, 'data');

    expect(await layers.sweep()).toEqual([]);
    maker.kill('SIGKILL');
    await once(maker, 'exit');

    expect(await layers.list(place(1))).toEqual([]);
    expect(await layers.sweep()).toEqual([expect.stringMatching(/^1{24}-1{40}\.making-/)]);
    expect((await readdir(join(root.path, 'layers'))).toSorted()).toEqual([`${place(2)}-${commit(2)}`, 'of-somebody']);
  });
});
