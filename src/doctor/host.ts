/** The host itself: what it is, the programs that a worker starts, and the control groups that limit VMs. */
import { createCgroups, readRoots, removeCgroups } from '../sandbox/cgroup.ts';
import type { CgroupRoot } from '../sandbox/cgroup.ts';
import type { HostFacts } from '../setup/facts.ts';
import { isAtLeast, requirements } from '../setup/requirements.ts';
import { notChecked, ok, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

export type ReadHost = (signal: AbortSignal) => Promise<HostFacts>;

export interface CgroupFacts {
  readonly roots: readonly Pick<CgroupRoot, 'version' | 'controllers'>[];
  /** Whether a group with limits could really be made. */
  readonly writable: boolean;
  readonly isRoot: boolean;
  readonly allowUnlimited: boolean;
}

/** What a run starts beside QEMU, which has a line of its own; the others only build the template. */
const alwaysRun = ['git', 'setpriv', 'flock'];
const toBuild = ['qemu-img', 'mmdebstrap', 'cpio', 'mke2fs'];
const limits = { memoryBytes: 2 ** 26, processes: 16, cpus: 1 };

export function judgeSystem({ systemName, architecture, privilege }: Pick<HostFacts, 'systemName' | 'architecture' | 'privilege'>): Verdict {
  const found = `${systemName} on ${architecture}, ${privilege === 'root' ? 'as root' : 'not as root'}`;
  return architecture === 'x64' ? ok(found) : problem(found, 'Take an x86-64 host: the guest is not made for others yet');
}

/** `wantsImages`: repositories may name images of registries. */
export function judgePrograms(programs: HostFacts['programs'], wantsImages = false): Verdict {
  const toRun = wantsImages ? [...alwaysRun, 'skopeo'] : alwaysRun;
  const isMissing = (program: string): boolean => {
    const need = requirements.find((requirement) => requirement.program === program);
    const version = programs[program] ?? null;
    return version === null || (need !== undefined && need.atLeast !== null && !isAtLeast(version, need.atLeast));
  };
  const named = (names: readonly string[]): string => names.map((name) => [name, programs[name] ?? ''].join(' ').trim()).join(', ');
  const [runs, builds] = [toRun.filter(isMissing), toBuild.filter(isMissing)];
  if (runs.length > 0) return problem(`missing or too old: ${named([...runs, ...builds])}`, 'npx mayfly setup');
  if (builds.length > 0) return warning(`missing or too old, for building the template: ${named(builds)}`, 'npx mayfly setup');
  return ok(named([...toRun, ...toBuild]));
}

const delegate = 'Delegate the controllers memory, pids and cpu to this process';

export function judgeCgroups({ roots, writable, isRoot, allowUnlimited }: CgroupFacts): Verdict {
  const found = roots.map(({ version, controllers }) => `v${version}: ${controllers.join(', ')}`);
  const groups = [...Map.groupBy(found, (text) => text.slice(0, 2))].map(([version, texts]) => `${version} ${texts.map((text) => text.slice(4)).join(', ')}`);
  const shown = groups.join('; ') || 'none are mounted';
  if (writable && roots.some(({ controllers }) => controllers.includes('cpu'))) return ok(`${shown}; writable`);
  if (writable) return warning(`${shown}; writable, but without cpu VMs can crowd each other out`, delegate);
  const remedy = isRoot ? 'In a container, mount /sys/fs/cgroup writable' : 'Run the worker as root: sudo -E npx mayfly start --role worker';
  const advice = `${remedy}; or accept VMs without limits: MAYFLY_ALLOW_UNLIMITED_VMS=1`;
  return allowUnlimited ? warning(`${shown}; not writable: VMs are not limited, as you allowed`, null) : problem(`${shown}; no limit can be set`, advice);
}

export function hostChecks(readHost: ReadHost, options: Pick<CgroupFacts, 'allowUnlimited'> & { readonly wantsImages: boolean }): Check[] {
  return [
    { group: 'host', name: 'system', look: async (signal) => judgeSystem(await readHost(signal)) },
    { group: 'host', name: 'programs', look: async (signal) => judgePrograms((await readHost(signal)).programs, options.wantsImages) },
    { group: 'host', name: 'cgroups', look: async () => lookAtCgroups(options) },
  ];
}

/** Makes a group as a VM would get it, and takes it away again. */
async function lookAtCgroups({ allowUnlimited }: Pick<CgroupFacts, 'allowUnlimited'>): Promise<Verdict> {
  const roots = await readRoots().catch(() => []);
  if (process.platform !== 'linux') return notChecked('only Linux has them');
  try {
    const made = await createCgroups(`doctor-${process.pid}`, limits);
    await removeCgroups(made ?? []);
    return judgeCgroups({ roots, writable: made !== null, isRoot: process.getuid?.() === 0, allowUnlimited });
  } catch (thrown) {
    return problem(`a group could not be made: ${reasonOf(thrown)}`, delegate);
  }
}
