/**
 * Old templates: each new version of the guest, of QEMU or of the settings leaves one of more than a gigabyte behind. The
 * one that is built or found now stays, and the newest of the others, which a version before this one may come back to.
 */
import { readFile, readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { HostOptions } from './claim.ts';
import { buildLock, removeTree } from './image.ts';
import { lockFile, tryLock } from './lock.ts';
import type { Lock } from './lock.ts';
import { sweep } from './reaper.ts';
import type { Template } from './vm.ts';

export interface Kept {
  /** Of images and of snapshots each, the current one among them. */
  readonly kept: number;
  /** All of them together. */
  readonly maxBytes: number;
}

/** The version before this one is all that is come back to. */
const usually: Kept = { kept: 2, maxBytes: Infinity };
/** A key; or what a build of it, or a removal, left when it was killed. */
const nameOfTemplate = /^([0-9a-f]{24})(\.(?:building|removing)-?\w*)?$/;

/**
 * Removes images and snapshots beyond those that stay, and what killed builds left; never one that a VM of this host runs
 * on, that somebody holds, or that is being built. Resolves with the directories that are gone; what could not be removed
 * is in the log.
 */
export async function pruneTemplates({ image, snapshot }: Pick<Template, 'image' | 'snapshot'>, host: HostOptions, limits: Kept = usually): Promise<string[]> {
  const current = [image.directory, ...(snapshot ? [dirname(snapshot.memory)] : [])];
  const removed: string[] = [];
  for (const old of await findOld(current, limits)) {
    const gone = await remove(old, host).catch((err: unknown) => {
      host.log.warn({ err, directory: old }, 'an old guest template could not be removed');
      return false;
    });
    if (gone) removed.push(old);
  }
  return removed;
}

interface Found {
  readonly parent: string;
  readonly directory: string;
  /** When it was built, or used; 0 when it is not whole. */
  readonly usedMs: number;
  readonly bytes: number;
}

/** Everything beside the current ones that may go. Whatever was used last stays first, as far as numbers and bytes reach. */
async function findOld(current: readonly string[], { kept, maxBytes }: Kept): Promise<string[]> {
  const all = (await Promise.all([...new Set(current.map(dirname))].map(findIn))).flat();
  const isCurrent = ({ directory }: Found): boolean => current.includes(directory);
  const whole = all.filter(({ usedMs }) => usedMs > 0).toSorted((one, other) => Number(isCurrent(other)) - Number(isCurrent(one)) || other.usedMs - one.usedMs);
  const counts = new Map<string, number>();
  let bytes = 0;
  const beyond = whole.filter((found) => {
    const count = (counts.get(found.parent) ?? 0) + 1;
    counts.set(found.parent, count);
    bytes += found.bytes;
    return !isCurrent(found) && (count > kept || bytes > maxBytes);
  });
  const broken = all.filter((found) => found.usedMs === 0 && !isCurrent(found));
  return [...beyond, ...broken].map(({ directory }) => directory);
}

async function findIn(parent: string): Promise<readonly Found[]> {
  const names = (await readdir(parent)).filter((name) => nameOfTemplate.test(name));
  return await Promise.all(
    names.map(async (name) => {
      const directory = join(parent, name);
      const manifest = await stat(join(directory, 'manifest.json')).catch(() => null);
      return { parent, directory, usedMs: manifest?.mtimeMs ?? 0, bytes: await measure(directory) };
    }),
  );
}

/** Its large files; sparse ones take what was written. */
async function measure(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const stats = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => null)));
  return stats.reduce((sum, entry) => sum + (entry?.isFile() ? entry.blocks * 512 : 0), 0);
}

async function remove(directory: string, host: HostOptions): Promise<boolean> {
  const [, key = ''] = nameOfTemplate.exec(basename(directory)) ?? [];
  const whole = join(dirname(directory), key);
  const lock = await tryLock(buildLock(whole));
  if (lock === null) return false;
  let held: Lock | null = null;
  try {
    held = await lockFile(join(directory, 'manifest.json'));
    if ((held === null && (await isWhole(directory))) || (await isInUse(directory))) return false;
    await sweep({ ...host, stateDir: join(directory, 'vm') });
    // Out of the way at once: a half-removed template would still look like one.
    const going = directory === whole ? `${whole}.removing` : directory;
    await rename(directory, going);
    await removeTree(going);
    return true;
  } finally {
    await held?.release();
    await lock.release();
  }
}

const isWhole = async (directory: string): Promise<boolean> => (await stat(join(directory, 'manifest.json')).catch(() => null)) !== null;

/**
 * Whether it is in the argument vector of a process, as for QEMU, or mounted in whatever mount namespace, as for gVisor. A
 * VM in another container is not seen: after an upgrade it is one of the version before, whose template stays anyway.
 */
async function isInUse(directory: string): Promise<boolean> {
  const place = join(basename(dirname(directory)), basename(directory), '/');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const texts = await Promise.all(['cmdline', 'mountinfo'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')));
    if (texts.some((text) => text.includes(place))) return true;
  }
  return false;
}
