/** The host's runsc (gVisor): whether it is new enough, which flags it has, the command line that runs one container. */
import { execa } from 'execa';
import { FixError } from '../errors.ts';

export const runscProgram = 'runsc';

/** Older ones cannot run coreutils' `ls` (`statx` fails), or have no systrap. Debian 12 has 20221219; its backports are new enough. */
export const oldestRunsc = 20240729;

/** What a sandbox cannot do without. */
const neededFlags = ['root', 'platform', 'network', 'overlay2'] as const;

/** Flags that close or bound something. They come and go between versions, so each is given where it is known. */
const wantedFlags: readonly (readonly [name: string, value: string])[] = [
  // The sandbox process has no user, no capability and no file of the host; a small process beside it opens files for it.
  ['directfs', 'false'],
  ['host-uds', 'none'],
  ['host-fifo', 'none'],
  ['oci-seccomp', 'false'],
  // The guest sees as many processors as its control group has, not all of the host.
  ['cpu-num-from-quota', 'true'],
  // A guest that hangs its kernel ends; the host learns it from the exit.
  ['watchdog-action', 'panic'],
];

export interface Runsc {
  /** As it names itself, for example `0.0~20240729.0`. */
  readonly version: string;
  readonly flags: ReadonlySet<string>;
}

export interface RunscVersion {
  /** As it names itself: upstream `release-20240729.0`, Debian `0.0~20240729.0`. */
  readonly name: string;
  /** The release as a number, 20240729; 0 when the name has none. */
  readonly date: number;
}

/** Null when there is no runsc, or it does not tell its version. */
export async function readRunscVersion(signal?: AbortSignal): Promise<RunscVersion | null> {
  const asked = await execa(runscProgram, ['--version'], {
    reject: false,
    stdin: 'ignore',
    forceKillAfterDelay: 1000,
    ...(signal && { cancelSignal: signal }),
  });
  return parseRunscVersion(asked.stdout ?? '');
}

/** Of what `runsc --version` prints. */
export function parseRunscVersion(printed: string): RunscVersion | null {
  const name = /^runsc version (\S+)/m.exec(printed)?.[1];
  return name === undefined ? null : { name, date: Number(/(?:^|\D)(20\d{6})(?:\D|$)/.exec(name)?.[1] ?? 0) };
}

/** Throws `host_incomplete` when there is none, it is too old, or lacks a flag that is needed. */
export async function findRunsc(): Promise<Runsc> {
  const [found, listed] = await Promise.all([readRunscVersion(), execa(runscProgram, ['flags'], { reject: false, stdin: 'ignore', all: true })]);
  if (found === null) throw new FixError('host_incomplete', { details: { missing: runscProgram } });
  const version = found.name;
  if (found.date < oldestRunsc) throw new FixError('host_incomplete', { details: { missing: `runsc ${oldestRunsc} or newer`, found: version } });
  const flags = new Set([...(listed.all ?? '').matchAll(/^\s+-([\w-]+)/gm)].map(([, name = '']) => name));
  const lacking = neededFlags.filter((name) => !flags.has(name));
  if (lacking.length > 0) throw new FixError('host_incomplete', { details: { missing: `runsc with the flags ${lacking.join(', ')}`, found: version } });
  return { version, flags };
}

/** Whether user namespaces can be made here, which runsc does; in a chroot nobody can: https://man7.org/linux/man-pages/man2/unshare.2.html */
export async function canMakeUserNamespaces(): Promise<boolean> {
  return !(await execa('unshare', ['--user', 'true'], { reject: false, stdin: 'ignore' })).failed;
}

export interface ContainerPlan {
  /** Its name, by which its processes are found. */
  readonly name: string;
  /** Holds `config.json`. */
  readonly bundle: string;
  /** What runsc itself notes down. */
  readonly state: string;
  /** Everything that the container writes goes into one file here; null: into its root filesystem. */
  readonly layer: string | null;
}

/** The argument vector that runs a container until it ends. */
export function runscArguments({ flags }: Runsc, plan: ContainerPlan): string[] {
  const given = wantedFlags.filter(([name]) => flags.has(name)).map(([name, value]) => `--${name}=${value}`);
  const always = [
    `--root=${plan.state}`,
    '--platform=systrap',
    '--network=none',
    plan.layer === null ? '--overlay2=none' : `--overlay2=root:dir=${plan.layer}`,
  ];
  return [runscProgram, ...always, ...given, 'run', `--bundle=${plan.bundle}`, plan.name];
}
