/** How much of this host VMs can have: memory, and room for their disks. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { totalmem } from 'node:os';
import { ok, problem, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

export interface MemoryFacts {
  /** Left to this process, also by the limit of a container that it is in. */
  readonly availableMib: number;
  /** The host's, or the container's. */
  readonly totalMib: number;
  readonly guestMib: number;
  /** Runs at once. */
  readonly concurrency: number;
}

export interface DiskFacts {
  readonly places: readonly { readonly path: string; readonly device: number; readonly freeBytes: number }[];
  /** Disk of one VM, which it fills only as far as it writes. */
  readonly guestGib: number;
  readonly concurrency: number;
}

const gib = 2 ** 30;
/** Building the template takes 1.5 GB for a while. */
const leastBytes = 2 * gib;
const smallestGuestMib = 512;

/** The agent's VM waits while its patch is proven in a second one. */
const vmsPerRun = 2;

export function judgeMemory({ availableMib, totalMib, guestMib, concurrency }: MemoryFacts): Verdict {
  const fits = Math.floor(availableMib / guestMib);
  const found = `${shown(availableMib * 2 ** 20)} of ${shown(totalMib * 2 ** 20)} are free: ${fits} VM${fits === 1 ? '' : 's'} of ${shown(guestMib * 2 ** 20)} fit`;
  if (fits >= vmsPerRun * concurrency) return ok(found);
  const needed = `${found}; ${concurrency === 1 ? 'a run has' : `${concurrency} runs at once have`} up to ${vmsPerRun * concurrency}`;
  if (fits >= vmsPerRun) return warning(needed, `MAYFLY_CONCURRENCY=${Math.floor(fits / vmsPerRun)}`);
  const smaller = Math.floor(availableMib / vmsPerRun / smallestGuestMib) * smallestGuestMib;
  if (fits > 0 && smaller >= smallestGuestMib) return warning(needed, `MAYFLY_GUEST_MEMORY_MIB=${smaller}`);
  return problem(found, smaller >= smallestGuestMib ? `MAYFLY_GUEST_MEMORY_MIB=${smaller}` : 'Free some memory, or take a larger host');
}

export function judgeDisk({ places, guestGib, concurrency }: DiskFacts): Verdict {
  const found = [...Map.groupBy(places, ({ device }) => device).values()]
    .map((on) => `${shown(on[0]?.freeBytes ?? 0)} free for ${on.map(({ path }) => path).join(' and ')}`)
    .join(', ');
  const tight = places.toSorted((one, other) => one.freeBytes - other.freeBytes)[0];
  if (tight === undefined) return ok(found);
  const advice = `Free some space under ${tight.path}, or set MAYFLY_CACHE_DIR and MAYFLY_STATE_DIR to a larger disk`;
  if (tight.freeBytes < leastBytes) return problem(found, advice);
  if (tight.freeBytes < concurrency * guestGib * gib) return warning(`${found}; the disks of VMs grow up to ${guestGib} GiB for each run`, advice);
  return ok(found);
}

function shown(bytes: number): string {
  return `${(bytes / gib).toFixed(bytes < 10 * gib && bytes % gib !== 0 ? 1 : 0)} GiB`;
}

export function memoryCheck(options: Pick<MemoryFacts, 'guestMib' | 'concurrency'>): Check {
  const mib = (bytes: number): number => Math.floor(bytes / 2 ** 20);
  // A container without a limit reports a huge one.
  const totalMib = (): number => mib(Math.min(process.constrainedMemory() || totalmem(), totalmem()));
  const look = async (): Promise<Verdict> => judgeMemory({ ...options, availableMib: mib(process.availableMemory()), totalMib: totalMib() });
  return { group: 'host', name: 'memory', look };
}

export function diskCheck(options: Pick<DiskFacts, 'guestGib' | 'concurrency'> & { readonly paths: readonly string[] }): Check {
  const look = async (): Promise<Verdict> => judgeDisk({ ...options, places: await Promise.all(options.paths.map(readPlace)) });
  return { group: 'host', name: 'disk', look };
}

/** The file system that a directory lies on, or will lie on when it has been made. */
async function readPlace(path: string): Promise<DiskFacts['places'][number]> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => null);
    if (found === null && at !== dirname(at)) continue;
    const { bavail, bsize } = await statfs(at);
    return { path, device: found?.dev ?? 0, freeBytes: bavail * bsize };
  }
}
