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

/** Release date in a version (`release-20240729.0`, `0.0~20240729.0`) as a number, or 0. */
export function releaseDateOf(version: string): number {
  return Number(/(?:^|\D)(20\d{6})(?:\D|$)/.exec(version)?.[1] ?? 0);
}

/** Throws `host_incomplete` when there is none, it is too old, or lacks a flag that is needed. */
export async function findRunsc(): Promise<Runsc> {
  const [said, listed] = await Promise.all([
    execa(runscProgram, ['--version'], { reject: false, stdin: 'ignore' }),
    execa(runscProgram, ['flags'], { reject: false, stdin: 'ignore', all: true }),
  ]);
  const version = /^runsc version (\S+)/m.exec(said.stdout)?.[1];
  if (version === undefined) throw new FixError('host_incomplete', { cause: said, details: { missing: runscProgram } });
  if (releaseDateOf(version) < oldestRunsc) throw new FixError('host_incomplete', { details: { missing: `runsc ${oldestRunsc} or newer`, found: version } });
  const flags = new Set([...listed.all.matchAll(/^\s+-([\w-]+)/gm)].map(([, name = '']) => name));
  const lacking = neededFlags.filter((name) => !flags.has(name));
  if (lacking.length > 0) throw new FixError('host_incomplete', { details: { missing: `runsc with the flags ${lacking.join(', ')}`, found: version } });
  return { version, flags };
}

export interface ContainerPlan {
  /** Its name, by which its processes are found. */
  readonly name: string;
  /** Holds `config.json`. */
  readonly bundle: string;
  /** What runsc itself notes down. */
  readonly state: string;
  /** Everything that the container writes goes into one file here. */
  readonly layer: string;
}

/** The argument vector that runs a container until it ends. */
export function runscArguments({ flags }: Runsc, plan: ContainerPlan): string[] {
  const given = wantedFlags.filter(([name]) => flags.has(name)).map(([name, value]) => `--${name}=${value}`);
  const always = [`--root=${plan.state}`, '--platform=systrap', '--network=none', `--overlay2=root:dir=${plan.layer}`];
  return [runscProgram, ...always, ...given, 'run', `--bundle=${plan.bundle}`, plan.name];
}
