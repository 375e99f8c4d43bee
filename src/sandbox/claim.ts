/**
 * What one VM holds on the host - a directory, a user id, control groups, a process - and how all of it is given back.
 * The directory comes first and goes last, so whatever a crash leaves can be found from it.
 */
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { asFixError, FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createCgroups, findCgroups, processesOf, removeCgroups } from './cgroup.ts';
import type { CgroupLimits } from './cgroup.ts';
import { findLoops, releaseLoops } from './capped-disk.ts';
import { lockNewFile, tryName } from './lock.ts';
import type { Lock } from './lock.ts';
import { ourselves } from './owner.ts';

export interface HostOptions {
  readonly stateDir: string;
  /** Each VM runs as a user of its own from here. Only root can; otherwise all run as we do. */
  readonly uidRange: { readonly first: number; readonly count: number };
  readonly allowUnlimited: boolean;
  readonly log: Log;
}

export interface ClaimSpec {
  readonly id: string;
  readonly limits: CgroupLimits;
  /** A user id for this VM alone, where we are root. */
  readonly ownUser: boolean;
}

export interface Claim {
  readonly id: string;
  readonly directory: string;
  /** The user that QEMU becomes: may pass through the directory and have files in it, but not change it. */
  readonly uid: number | null;
  readonly cgroups: readonly string[];
  /** Gives everything back and looks; returns the names of what is still there. */
  readonly release: () => Promise<string[]>;
}

/** The word in QEMU's argument vector by which a VM's process is found. */
export const processName = (id: string): string => `mayfly-${id}`;

/** Throws `sandbox_boot` for what is no id of a VM. */
export function checkVmId(id: string): void {
  if (!/^[a-z0-9][a-z0-9-]{0,39}$/.test(id)) throw new FixError('sandbox_boot', { details: { why: 'the id is not a VM id', id } });
}

/** Throws `sandbox_unlimited`, or `sandbox_boot` when the id is taken or no user id is free; then nothing is held. */
export async function claimVm(host: HostOptions, { id, limits, ownUser }: ClaimSpec): Promise<Claim> {
  const vms = join(host.stateDir, 'vms');
  const directory = join(vms, id);
  await mkdir(vms, { recursive: true });
  if (process.getuid?.() === 0) for (const at of [host.stateDir, vms]) await chmod(at, 0o711); // a VM's user passes through, and sees no names
  const locks: Lock[] = [await ownDirectory(host, id)];
  const release = async (): Promise<string[]> => {
    const left = await discardVm(host, id);
    if (left.length === 0) for (const lock of locks.splice(0)) await lock.release();
    return left;
  };
  try {
    const cgroups = await createCgroups(id, limits);
    if (!cgroups && !host.allowUnlimited) throw new FixError('sandbox_unlimited');
    const user = ownUser && process.getuid?.() === 0 ? await claimUid(host, directory) : null;
    if (user) locks.push(user.lock);
    return { id, directory, uid: user?.uid ?? null, cgroups: cgroups ?? [], release };
  } catch (thrown) {
    await release();
    throw hostFailure(thrown);
  }
}

/** Where directories of VMs are made: one that has come to its place has its owner in it, so it can be found out when that is gone. */
export const claimsOf = (stateDir: string): string => join(stateDir, 'claims');

/** Held by this process, also for those who cannot see it. Until it is, it holds nothing but itself. */
async function ownDirectory({ stateDir }: HostOptions, id: string): Promise<Lock> {
  let making: string | null = null;
  let lock: Lock | null = null;
  try {
    await mkdir(claimsOf(stateDir), { recursive: true, mode: 0o700 });
    making = await mkdtemp(join(claimsOf(stateDir), `${id}-`));
    const file = join(making, 'owner.json');
    lock = await lockNewFile(file);
    await writeFile(file, JSON.stringify(await ourselves()));
    await chmod(making, 0o710);
    await rename(making, join(stateDir, 'vms', id));
    return lock;
  } catch (cause) {
    await lock?.release();
    if (making !== null) await rm(making, { recursive: true, force: true }).catch(() => {});
    throw isTaken(cause) ? new FixError('sandbox_boot', { cause, details: { why: 'this id is in use', id } }) : hostFailure(cause);
  }
}

const isTaken = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOTEMPTY' || thrown.code === 'EEXIST');

/** Any failure of the host's own calls while a VM is made. */
export function hostFailure(thrown: unknown): FixError {
  const full = thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOSPC';
  return asFixError(thrown, full ? 'disk_full' : 'sandbox_boot');
}

/** Kills, removes and looks, from the id alone: for a VM of ours that ends and for one whose worker died. */
export async function discardVm(host: HostOptions, id: string): Promise<string[]> {
  const directory = join(host.stateDir, 'vms', id);
  await killProcesses(id);
  await Promise.all([findCgroups(id).then(removeCgroups), releaseLoops(directory)]);
  await rm(directory, { recursive: true, force: true }).catch(() => {});
  const [processes, cgroups, loops, still] = await Promise.all([findProcesses(id), findCgroups(id), findLoops(directory), stat(directory).catch(() => null)]);
  const left = [
    ...processes.map((pid) => `process ${pid}`),
    ...cgroups.map((path) => `cgroup ${path}`),
    ...loops.map((path) => `loop device ${path}`),
    ...(still ? [`directory ${directory}`] : []),
  ];
  if (left.length > 0) host.log.error({ sandboxId: id, left }, 'something of a VM is left');
  return left;
}

/**
 * A free user id that no directory of a VM has as its group; this one has it then. The search begins anywhere, so ids are
 * reused late. Two containers may find the same one free, so whoever has taken it looks once more.
 */
async function claimUid(host: HostOptions, directory: string): Promise<{ uid: number; lock: Lock }> {
  const { first, count } = host.uidRange;
  const vms = join(host.stateDir, 'vms');
  const taken = new Set(await groupsOf(vms));
  const start = Math.floor(Math.random() * count);
  for (let step = 0; step < count; step += 1) {
    const uid = first + ((start + step) % count);
    if (taken.has(uid)) continue;
    const lock = await tryName(`uid/${uid}`);
    if (!lock) continue;
    await chown(directory, 0, uid);
    if ((await groupsOf(vms)).filter((gid) => gid === uid).length === 1) return { uid, lock };
    await chown(directory, 0, 0);
    await lock.release();
  }
  throw new FixError('sandbox_boot', { details: { why: 'every user id of the range is in use' } });
}

async function groupsOf(vms: string): Promise<number[]> {
  const stats = await Promise.all((await readdir(vms)).map((name) => stat(join(vms, name)).catch(() => null)));
  return stats.flatMap((entry) => (entry ? [entry.gid] : []));
}

/** Processes that carry the VM's name as one whole argument, or are in its control groups. */
export async function findProcesses(id: string): Promise<number[]> {
  const [named, confined] = await Promise.all([findNamed(id), findCgroups(id).then(processesOf)]);
  return [...new Set([...named, ...confined])];
}

async function findNamed(id: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return argv.split('\0').includes(processName(id)) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

async function killProcesses(id: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const pids = await findProcesses(id);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // gone in between
      }
    }
    await setTimeout(10);
  }
}
