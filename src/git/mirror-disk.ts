/** The disk below the mirrors: what a killed git left, how much room there is, and which mirrors have to go. */
import { mkdir, readdir, rename, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { acquireFileLock } from './file-lock.ts';

export interface DiskLimits {
  readonly maxBytes: number;
  readonly reserveBytes: number;
  readonly keepMs: number;
}

/** Where the lock of a mirror is: beside it, because it outlives the mirror. */
export async function lockMirror(directory: string, name: string, signal: AbortSignal): Promise<AsyncDisposable> {
  const folder = join(directory, 'locks');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return await acquireFileLock(join(folder, name), signal);
}

/** The most that one fetch may write. Throws `disk_full` before anything is written when nothing is left for it. */
export async function roomForFetch(directory: string, { maxBytes, reserveBytes }: DiskLimits): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  const roomBytes = bavail * bsize - reserveBytes;
  if (roomBytes <= 0) throw new FixError('disk_full', { details: { freeBytes: bavail * bsize, reserveBytes } });
  return Math.min(roomBytes, maxBytes);
}

/** A killed git leaves lock files and half a pack. Only under the lock of the mirror, where no other git writes. */
export async function removeLeftovers(mirror: string): Promise<{ readonly largestBytes: number }> {
  let largestBytes = 0;
  for (const entry of await readdir(mirror, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !(entry.name.endsWith('.lock') || entry.name.startsWith('tmp_'))) continue;
    const path = join(entry.parentPath, entry.name);
    largestBytes = Math.max(largestBytes, (await stat(path)).size);
    await rm(path, { force: true });
  }
  return { largestBytes };
}

/** Remembers that a run reads from the mirror from now on. */
export async function markUsed(mirror: string): Promise<void> {
  const file = join(mirror, 'mayfly-used');
  await writeFile(file, '');
  const now = new Date();
  await utimes(file, now, now);
}

/** Removes the least recently used mirrors until the rest fits; one that a run may still read from stays. */
export async function evictMirrors(directory: string, limits: DiskLimits, { log, signal }: { log: Log; signal: AbortSignal }): Promise<void> {
  const mirrors = (await Promise.all((await readdir(directory)).filter(isMirror).map((name) => measure(directory, name)))).filter((mirror) => mirror !== null);
  let totalBytes = mirrors.reduce((sum, mirror) => sum + mirror.bytes, 0);
  for (const mirror of mirrors.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
    const isLeftover = !mirror.name.endsWith('.git');
    if (Date.now() - mirror.usedAtMs < limits.keepMs || (totalBytes <= limits.maxBytes && !isLeftover)) continue;
    await using _lock = await lockMirror(directory, mirror.name, signal);
    const again = await measure(directory, mirror.name);
    if (again === null || again.usedAtMs !== mirror.usedAtMs) continue;
    await removeMirror(directory, mirror.name);
    totalBytes -= mirror.bytes;
    log.info({ mirror: mirror.name, bytes: mirror.bytes }, 'mirror removed');
  }
}

const isMirror = (name: string): boolean => /^[0-9a-f]{32}\.(git|new|gone)$/.test(name);

/** In one step out of the way, so that a crash in the middle never leaves half a mirror under its name. */
async function removeMirror(directory: string, name: string): Promise<void> {
  const gone = join(directory, name.replace(/\.\w+$/, '.gone'));
  await rm(gone, { recursive: true, force: true });
  if (!name.endsWith('.gone')) await rename(join(directory, name), gone);
  await rm(gone, { recursive: true, force: true });
}

interface Measured {
  readonly name: string;
  readonly bytes: number;
  readonly usedAtMs: number;
}

/** Null when another process removed it in the meantime. */
async function measure(directory: string, name: string): Promise<Measured | null> {
  const path = join(directory, name);
  try {
    const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size));
    const used = await stat(join(path, 'mayfly-used')).catch(async () => await stat(path));
    return { name, bytes: sizes.reduce((sum, size) => sum + size, 0), usedAtMs: used.mtimeMs };
  } catch {
    return null;
  }
}
