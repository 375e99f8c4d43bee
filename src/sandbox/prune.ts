/**
 * Old templates: each new version of the guest, of QEMU or of the settings leaves one of more than a gigabyte behind. The
 * one that is built or found now stays, and the newest of the others, which a version before this one may come back to.
 */
import { readFile, readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { HostOptions } from './claim.ts';
import { buildLock, removeTree } from './image.ts';
import { tryLock } from './lock.ts';
import { sweep } from './reaper.ts';
import type { Template } from './vm.ts';

/** With the current one. */
const usuallyKept = 2;
/** A key; or what a build of it, or a removal, left when it was killed. */
const nameOfTemplate = /^([0-9a-f]{24})(\.(?:building|removing)-?\w*)?$/;

/**
 * Removes images and snapshots beyond those that stay, `kept` of each, and what killed builds left; never one that a VM of this host runs
 * on, or that is being built. Resolves with the directories that are gone; what could not be removed is in the log.
 */
export async function pruneTemplates({ image, snapshot }: Pick<Template, 'image' | 'snapshot'>, host: HostOptions, kept = usuallyKept): Promise<string[]> {
  const current = [image.directory, ...(snapshot ? [dirname(snapshot.memory)] : [])];
  const removed: string[] = [];
  for (const directory of current) {
    for (const old of await findOld(directory, kept)) {
      const gone = await remove(old, host).catch((err: unknown) => {
        host.log.warn({ err, directory: old }, 'an old guest template could not be removed');
        return false;
      });
      if (gone) removed.push(old);
    }
  }
  return removed;
}

/** Everything beside the current one that may go, newest first. */
async function findOld(current: string, kept: number): Promise<string[]> {
  const parent = dirname(current);
  const names = (await readdir(parent)).filter((name) => nameOfTemplate.test(name) && join(parent, name) !== current);
  const dated = await Promise.all(
    names.map(async (name) => ({ directory: join(parent, name), builtMs: (await stat(join(parent, name, 'manifest.json')).catch(() => null))?.mtimeMs ?? 0 })),
  );
  const whole = dated.filter(({ builtMs }) => builtMs > 0).toSorted((one, other) => other.builtMs - one.builtMs);
  const broken = dated.filter(({ builtMs }) => builtMs === 0);
  return [...whole.slice(kept - 1), ...broken].map(({ directory }) => directory);
}

async function remove(directory: string, host: HostOptions): Promise<boolean> {
  const [, key = ''] = nameOfTemplate.exec(basename(directory)) ?? [];
  const whole = join(dirname(directory), key);
  const lock = await tryLock(buildLock(whole));
  if (lock === null) return false;
  try {
    if (await isInUse(directory)) return false;
    await sweep({ ...host, stateDir: join(directory, 'vm') });
    // Out of the way at once: a half-removed template would still look like one.
    const going = directory === whole ? `${whole}.removing` : directory;
    await rename(directory, going);
    await removeTree(going);
    return true;
  } finally {
    await lock.release();
  }
}

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
