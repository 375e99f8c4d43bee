/**
 * A control group per VM, under v1 and v2: memory, processes, processor time. Every controller that matters must be
 * writable, or the VM is not started; the processor is only about fairness and may be missing.
 */
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export interface CgroupLimits {
  readonly memoryBytes: number;
  readonly processes: number;
  readonly cpus: number;
}

/** Where a controller can be reached: one directory for all of them under v2, one each under v1. */
export interface CgroupRoot {
  readonly version: 1 | 2;
  readonly directory: string;
  readonly controllers: readonly string[];
}

const wanted = ['memory', 'pids', 'cpu'];

/** Finds the hierarchies in the text of /proc/self/mounts; on hosts with both, v1 keeps what v2 does not have. */
export function findRoots(mounts: string, v2Controllers: (directory: string) => readonly string[]): CgroupRoot[] {
  const roots = mounts
    .split('\n')
    .flatMap((line): CgroupRoot[] => {
      const [, directory = '', type, options = ''] = line.split(' ');
      if (type === 'cgroup2') return [{ version: 2, directory, controllers: v2Controllers(directory) }];
      if (type === 'cgroup') return [{ version: 1, directory, controllers: options.split(',') }];
      return [];
    })
    .toSorted((left, right) => right.version - left.version);
  const taken = new Set<string>();
  return roots.flatMap((root) => {
    const controllers = wanted.filter((name) => root.controllers.includes(name) && !taken.has(name));
    for (const name of controllers) taken.add(name);
    return controllers.length > 0 ? [{ ...root, controllers }] : [];
  });
}

/** Makes `mayfly/<id>` with its limits. Null when memory or processes cannot be limited here; then nothing is left. */
export async function createCgroups(id: string, limits: CgroupLimits): Promise<string[] | null> {
  const made: string[] = [];
  const covered = new Set<string>();
  try {
    for (const root of await readRoots()) {
      const directory = join(root.directory, cgroupPath(id));
      const parent = join(root.directory, 'mayfly');
      await mkdir(parent, { recursive: true });
      if (root.version === 2) for (const at of [root.directory, parent]) await delegate(at, root.controllers);
      await favour(root, parent);
      await mkdir(directory);
      made.push(directory);
      await writeLimits(directory, root, limits);
      for (const controller of root.controllers) covered.add(controller);
    }
  } catch (error) {
    // Not root, or a read-only mount: that is "not writable". Anything else (a name that is taken) is a mistake of ours.
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    covered.clear();
  }
  if (covered.has('memory') && covered.has('pids')) return made;
  await removeCgroups(made);
  return null;
}

/** Where the groups of a VM are, from the top of every hierarchy. */
export const cgroupPath = (id: string): string => `/mayfly/${id}`;

/** All control groups of that VM on this host, whoever made them: runsc adds those of the hierarchies that we do not use. */
export async function findCgroups(id: string): Promise<string[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const hierarchies = mounts.split('\n').flatMap((line) => {
    const [, directory = '', type] = line.split(' ');
    return type === 'cgroup' || type === 'cgroup2' ? [directory] : [];
  });
  const candidates = hierarchies.map((directory) => join(directory, cgroupPath(id)));
  const checked = await Promise.all(
    candidates.map((directory) =>
      readdir(directory).then(
        () => [directory],
        () => [],
      ),
    ),
  );
  return checked.flat();
}

/** The processes of these groups. */
export async function processesOf(directories: readonly string[]): Promise<number[]> {
  const lists = await Promise.all(directories.map((directory) => readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '')));
  // The kernel's 0 is a process of another namespace, which no signal is for: to kill 0 is to kill our own group.
  return [...new Set(lists.flatMap((list) => list.split('\n').map(Number)))].filter((pid) => pid > 0);
}

/** How many processes of these groups the kernel has ended for want of memory. */
export async function countMemoryKills(directories: readonly string[]): Promise<number> {
  const files = directories.flatMap((directory) => ['memory.events', 'memory.oom_control'].map((name) => join(directory, name)));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return Math.max(0, ...texts.map((text) => Number(/^oom_kill (\d+)/m.exec(text)?.[1] ?? 0)));
}

/** Removes empty groups. The kernel lets go of a group a moment after its last process was reaped, hence the patience. */
export async function removeCgroups(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    for (let tries = 0; tries < 100; tries += 1) {
      const error = await rmdir(directory).then(
        () => null,
        (thrown: NodeJS.ErrnoException) => thrown,
      );
      if (error?.code !== 'EBUSY') break;
      await setTimeout(10);
    }
  }
}

/** The hierarchies of this host that VMs are limited in. */
export async function readRoots(): Promise<CgroupRoot[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const unified = new Map<string, string[]>();
  for (const line of mounts.split('\n')) {
    const [, directory = '', type] = line.split(' ');
    if (type !== 'cgroup2') continue;
    const controllers = await readFile(join(directory, 'cgroup.controllers'), 'utf8').catch(() => '');
    unified.set(directory, controllers.trim().split(' '));
  }
  return findRoots(mounts, (directory) => unified.get(directory) ?? []);
}

/**
 * All VMs together weigh as much as eight busy processes. With the default they weigh as much as one, and on a busy
 * host a guest that waits too long gets its timers wrong at boot.
 */
async function favour(root: CgroupRoot, directory: string): Promise<void> {
  if (!root.controllers.includes('cpu')) return;
  const [file, value] = root.version === 2 ? ['cpu.weight', '800'] : ['cpu.shares', '8192'];
  await writeFile(join(directory, file), value);
}

async function delegate(directory: string, controllers: readonly string[]): Promise<void> {
  const file = join(directory, 'cgroup.subtree_control');
  const enabled = (await readFile(file, 'utf8')).trim().split(' ');
  const missing = controllers.filter((name) => !enabled.includes(name));
  if (missing.length > 0) await writeFile(file, missing.map((name) => `+${name}`).join(' '));
}

/** Exported for tests. Swap is no more memory: what swaps slows every run of this host. Where the kernel counts none, there is no file. */
export async function writeLimits(directory: string, root: Pick<CgroupRoot, 'version' | 'controllers'>, limits: CgroupLimits): Promise<void> {
  for (const [file, value] of settings(root, limits)) await writeFile(join(directory, file), value);
  if (!root.controllers.includes('memory')) return;
  // Under v1 both together, which may not be less than the memory alone.
  const [file, value] = root.version === 2 ? ['memory.swap.max', '0'] : ['memory.memsw.limit_in_bytes', `${limits.memoryBytes}`];
  await writeFile(join(directory, file), value, { flag: 'r+' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

function settings(root: Pick<CgroupRoot, 'version' | 'controllers'>, limits: CgroupLimits): [string, string][] {
  const period = 100_000;
  const v2: Record<string, [string, string][]> = {
    memory: [['memory.max', `${limits.memoryBytes}`]],
    pids: [['pids.max', `${limits.processes}`]],
    cpu: [['cpu.max', `${limits.cpus * period} ${period}`]],
  };
  const v1: Record<string, [string, string][]> = {
    memory: [['memory.limit_in_bytes', `${limits.memoryBytes}`]],
    pids: [['pids.max', `${limits.processes}`]],
    cpu: [
      ['cpu.cfs_period_us', `${period}`],
      ['cpu.cfs_quota_us', `${limits.cpus * period}`],
    ],
  };
  return root.controllers.flatMap((name) => (root.version === 2 ? v2 : v1)[name] ?? []);
}
