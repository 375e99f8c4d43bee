/**
 * Disks that outlived their VMs, on this host: each in a folder of its own that is complete or not there, never written
 * again, and checked against its digest before each use. Whoever has one open keeps it, also when the folder is removed.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { digestFile, syncFile } from './digest.ts';
import { tryLock } from './lock.ts';
import type { KeepOptions, LayerName, Layers } from './sandbox.ts';

export interface LayersOptions {
  /** Nobody else may enter it: what is in there is what repositories hold. */
  readonly directory: string;
  /** All together; the least recently used go first. 0: none is kept. */
  readonly maxBytes: number;
  readonly log: Log;
  /** Default 100. */
  readonly maxCount?: number;
  /** An older one is not used: what was installed without a lockfile has moved on by then. Default seven days. */
  readonly maxAgeMs?: number;
  /** What making one leaves free on the disk, however large it becomes. Default 4 GiB. */
  readonly reserveBytes?: number;
}

/** The disk has a name of its own: one that is made in the place of another is told apart from it by whoever still has that. */
const Manifest = z.object({
  version: z.literal(2),
  madeAt: z.number(),
  disk: z.string().regex(/^disk-[0-9a-f]{16}$/),
  sha256: z.string(),
  notes: z.unknown(),
});
const finished = /^([0-9a-f]{24})-([0-9a-f]{40})$/;
const unfinished = /^([0-9a-f]{24}-[0-9a-f]{40})\.making-\w+$/;

const weekMs = 7 * 24 * 3_600_000;

export function createLayers(options: LayersOptions): Layers {
  const { directory, log, maxAgeMs = weekMs } = options;
  const folderOf = ({ place, commit }: LayerName): string => join(directory, `${place}-${commit}`);
  const inVain = createMemory();
  const remove = async (folder: string): Promise<void> => await rm(folder, { recursive: true, force: true });
  return {
    async list(place) {
      const all = await measureAll(directory);
      return all
        .flatMap(({ name, madeAt }) => (name.startsWith(`${place}-`) ? [{ commit: name.slice(place.length + 1), madeAt }] : []))
        .toSorted(byAge)
        .map(({ commit }) => commit);
    },
    async take(name, signal) {
      const folder = folderOf(name);
      const manifest = await readManifest(folder);
      if (manifest === null) return null;
      const file = join(folder, manifest.disk);
      const drop = async (found: string): Promise<void> => await dropUnused(folder, found, log);
      if (Date.now() - manifest.madeAt > maxAgeMs) return await drop('too old').then(() => null);
      await utimes(join(folder, 'manifest.json'), new Date(), new Date()).catch(() => {}); // removed in between
      const check = async (): Promise<boolean> => {
        const sha256 = await digestFile(file, signal).catch(() => 'unreadable');
        if (sha256 !== manifest.sha256 && !signal.aborted) await drop(sha256);
        return sha256 === manifest.sha256;
      };
      return { file, notes: manifest.notes, isWhole: check() };
    },
    async keep(name, keeping, make) {
      const folder = folderOf(name);
      if (inVain.has(name.place)) return null;
      const lock = await tryLock(lockOf(folder));
      if (lock === null) return null;
      try {
        if ((await readManifest(folder)) !== null || !(await hasRoom(options, keeping))) return null;
        await remove(folder); // what a killed removal left
        const { disk, bytes } = await makeWhole(folder, { ...keeping, maxBytes: options.maxBytes }, make).catch((error: unknown) => {
          if (!keeping.signal.aborted) inVain.add(name.place, failedMs);
          throw error;
        });
        if (bytes > options.maxBytes) {
          log.warn({ layer: name, bytes, maxBytes: options.maxBytes }, 'a disk is not kept: it alone is larger than all may be');
          inVain.add(name.place, tooLargeMs);
          return null;
        }
        for (const { name: other } of await measureAll(directory)) {
          if (other.startsWith(`${name.place}-`) && join(directory, other) !== folder) await remove(join(directory, other));
        }
        await evict(options);
        return join(folder, disk);
      } finally {
        await lock.release();
      }
    },
    remove: (name) => remove(folderOf(name)),
    sweep: async () => [...(await sweepUnfinished(directory)), ...(await evict(options))],
  };
}

async function dropUnused(folder: string, found: string, log: Log): Promise<void> {
  log.warn({ layer: basename(folder), found }, 'a kept disk is not used, and removed');
  await rm(folder, { recursive: true, force: true }).catch((err: unknown) => log.warn({ err }, 'a kept disk could not be removed'));
}

const byAge = (one: { readonly madeAt: number }, other: { readonly madeAt: number }): number => other.madeAt - one.madeAt;

/** A repository whose setup was too large once, or could not be kept, is not set up for nothing after each of its runs. */
const tooLargeMs = 24 * 3_600_000;
const failedMs = 3_600_000;

function createMemory(): { add(place: string, forMs: number): void; has(place: string): boolean } {
  const until = new Map<string, number>();
  return {
    add: (place, forMs) => void until.set(place, Date.now() + forMs),
    has: (place) => Date.now() < (until.get(place) ?? 0),
  };
}

/** Beside the directory: only layers are in there. */
const lockOf = (folder: string): string => join(dirname(dirname(folder)), 'locks', `layer-${basename(folder)}`);

async function readManifest(folder: string): Promise<z.infer<typeof Manifest> | null> {
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    return Manifest.parse(JSON.parse(text));
  } catch {
    // Half a file: the host lost its power. As good as none.
    await rm(folder, { recursive: true, force: true });
    return null;
  }
}

async function hasRoom({ directory, reserveBytes = 4 * 2 ** 30, log }: LayersOptions, { largestBytes }: KeepOptions): Promise<boolean> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  if (freeBytes > reserveBytes + largestBytes) return true;
  log.warn({ freeBytes, reserveBytes, largestBytes }, 'no disk is kept: there is too little room');
  return false;
}

/** Resolves to its name and what it takes; more than `maxBytes` of it are not kept. */
async function makeWhole(
  folder: string,
  { maxBytes, signal }: KeepOptions & Pick<LayersOptions, 'maxBytes'>,
  make: (file: string) => Promise<unknown>,
): Promise<{ readonly disk: string; readonly bytes: number }> {
  const making = await mkdtemp(`${folder}.making-`);
  try {
    const disk = `disk-${randomBytes(8).toString('hex')}`;
    const file = join(making, disk);
    const notes = await make(file);
    const bytes = (await stat(file)).blocks * 512;
    if (bytes > maxBytes) return { disk, bytes };
    // On the disk before its name is: a folder with that name is whole.
    await syncFile(file);
    const manifest: z.infer<typeof Manifest> = { version: 2, madeAt: Date.now(), disk, sha256: await digestFile(file, signal), notes };
    await writeFile(join(making, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true });
    await rename(making, folder);
    return { disk, bytes };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') throw new FixError('disk_full', { cause: error });
    throw error;
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

/** Only under its lock: without it, the process that makes it is alive. */
async function sweepUnfinished(directory: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const [, layer] = unfinished.exec(name) ?? [];
    const lock = layer === undefined ? null : await tryLock(lockOf(join(directory, layer)));
    if (lock === null) continue;
    await rm(join(directory, name), { recursive: true, force: true });
    await lock.release();
    removed.push(name);
  }
  return removed;
}

interface Measured {
  readonly name: string;
  readonly bytes: number;
  readonly madeAt: number;
  readonly usedAtMs: number;
}

async function measureAll(directory: string): Promise<readonly Measured[]> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => finished.test(name));
  return await Promise.all(
    names.map(async (name) => {
      const folder = join(directory, name);
      const manifest = await readManifest(folder);
      const [disk, used] = await Promise.all([
        stat(join(folder, manifest?.disk ?? 'disk')).catch(() => null),
        stat(join(folder, 'manifest.json')).catch(() => null),
      ]);
      return { name, bytes: (disk?.blocks ?? 0) * 512, madeAt: manifest?.madeAt ?? 0, usedAtMs: used?.mtimeMs ?? 0 };
    }),
  );
}

/** Also what nobody asks for any more: its repository has other lockfiles or settings by now, or the App was taken off it. */
async function evict({ directory, maxBytes, maxCount = 100, maxAgeMs = weekMs, log }: LayersOptions): Promise<string[]> {
  const all = (await measureAll(directory)).toSorted((one, other) => other.usedAtMs - one.usedAtMs);
  const isTooOld = ({ madeAt }: Measured): boolean => Date.now() - madeAt > maxAgeMs;
  let bytes = 0;
  const beyond = all.filter((layer, index) => isTooOld(layer) || (bytes += layer.bytes) > maxBytes || index >= maxCount);
  for (const layer of beyond) {
    await rm(join(directory, layer.name), { recursive: true, force: true });
    log.info({ layer: layer.name, bytes: layer.bytes }, 'a kept disk had to go');
  }
  return beyond.map(({ name }) => name);
}
