/** Decides, from facts alone, what setup has to do. Nothing here touches the host. */
import type { HostFacts } from './facts.ts';
import { backportPackages, isAtLeast, requirements } from './requirements.ts';
import type { Requirement } from './requirements.ts';
import { backportsFile, backportsText, defaultSource } from './sources.ts';

export interface Step {
  /** What it is for, in the words that are shown before it is done. */
  readonly title: string;
  readonly argv: readonly string[];
  readonly stdin?: string;
  /** A step that tidies up: it is done even when an earlier one failed, and its own failure is not the end. */
  readonly isTidying?: boolean;
}

export interface Missing {
  readonly program: string;
  readonly packageName: string;
  /** `not found`, or `7.2.0 found, 8.2 needed`. */
  readonly what: string;
  readonly why: string;
}

export type Plan =
  | { readonly kind: 'ready' }
  | { readonly kind: 'install'; readonly missing: readonly Missing[]; readonly steps: readonly Step[] }
  /** Not a system that setup knows how to install on. */
  | { readonly kind: 'by_hand'; readonly missing: readonly Missing[]; readonly reason: string };

// Releases whose own archive has a QEMU that is too old, but whose backports have a newer one.
const releasesWithBackports = new Set(['bookworm']);
const systemsWithApt = new Set(['debian', 'ubuntu']);

function lookAt(need: Requirement, facts: HostFacts): Missing | null {
  const version = facts.programs[need.program] ?? null;
  const said = { program: need.program, packageName: need.packageName, why: need.why };
  if (version === null) return { ...said, what: need.atLeast === null ? 'not found' : `not found, ${need.atLeast} or newer is needed` };
  if (need.atLeast === null || isAtLeast(version, need.atLeast)) return null;
  return { ...said, what: `${version} found, ${need.atLeast} or newer is needed` };
}

const aptGet = (argument: string, ...more: string[]) => [
  'env',
  'DEBIAN_FRONTEND=noninteractive',
  // Keeps the init script of redis-server from starting it where there is no systemd.
  'RUNLEVEL=1',
  'apt-get',
  '-o',
  'DPkg::Lock::Timeout=120',
  argument,
  ...more,
];
const install = (...more: string[]) => aptGet('install', '--yes', '--no-install-recommends', ...more);

/** Redis is only started by Mayfly, per run or by the operator: the package must not leave a server behind. */
function keepServiceOff(steps: readonly Step[], facts: HostFacts): Step[] {
  const unit = 'redis-server.service';
  const tidy = (title: string, ...argv: string[]): Step => ({ title, argv, isTidying: true });
  if (!facts.hasSystemd) {
    return [
      ...steps,
      tidy('leave the Redis service off', 'update-rc.d', 'redis-server', 'disable'),
      tidy('stop the Redis service', 'service', 'redis-server', 'stop'),
    ];
  }
  // A masked unit is not started by the package; `disable` then takes away what the package enabled.
  return [
    tidy('keep the Redis service from starting', 'systemctl', 'mask', unit),
    ...steps,
    tidy('unmask the Redis service', 'systemctl', 'unmask', unit),
    tidy('leave the Redis service off', 'systemctl', 'disable', unit),
  ];
}

function planApt(missing: readonly Missing[], facts: HostFacts): Step[] {
  const packages = [...new Set(missing.map((item) => item.packageName))];
  const newer = releasesWithBackports.has(facts.codename) ? packages.flatMap((name) => backportPackages[name] ?? []) : [];
  const plain = packages.filter((name) => !newer.includes(name));
  const suite = `${facts.codename}-backports`;
  const steps: Step[] = [];
  if (newer.length > 0 && !facts.hasBackports) {
    const stdin = backportsText(facts.debianSource ?? defaultSource, facts.codename);
    steps.push({ title: `add ${suite} to the sources of apt: ${backportsFile}`, argv: ['tee', backportsFile], stdin });
  }
  steps.push({ title: 'read the package lists', argv: aptGet('update') });
  if (plain.length > 0) steps.push({ title: `install ${plain.join(', ')}`, argv: install(...plain) });
  if (newer.length > 0) steps.push({ title: `install ${newer.join(', ')} from ${suite}`, argv: install('-t', suite, ...newer) });
  return packages.includes('redis-server') && facts.programs['redis-server'] === null ? keepServiceOff(steps, facts) : steps;
}

/** What is missing, and how it comes onto this host. `wantsImages`: repositories may name images of registries. */
export function planSetup(facts: HostFacts, { wantsImages = false }: { readonly wantsImages?: boolean } = {}): Plan {
  const needed = requirements.filter(({ onlyOn, isForImages }) => (onlyOn === null || onlyOn === facts.system) && (wantsImages || !isForImages));
  const missing = needed.map((need) => lookAt(need, facts)).filter((item) => item !== null);
  if (facts.architecture !== 'x64') return { kind: 'by_hand', missing, reason: `The micro-VMs need an x86-64 host; this one is ${facts.architecture}.` };
  if (missing.length === 0) return { kind: 'ready' };
  if (!facts.hasApt || !systemsWithApt.has(facts.system)) {
    return { kind: 'by_hand', missing, reason: `Setup installs packages on Debian and Ubuntu only; this is ${facts.systemName}.` };
  }
  return { kind: 'install', missing, steps: planApt(missing, facts) };
}
