/** The machine that the figures are from: without it they mean nothing. */
import { readFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { execa } from 'execa';

export interface HostFacts {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly system: string;
  /** Load of the last minute, when the measurement began: figures from a busy machine say little. */
  readonly load: number;
  /** First line of each program's version; null where it is not installed. */
  readonly versions: Readonly<Record<string, string | null>>;
}

export async function describeHost(): Promise<HostFacts> {
  const programs = ['qemu-system-x86_64', 'runsc', 'bwrap', 'podman', 'redis-server'];
  const versions = await Promise.all(programs.map(async (program): Promise<[string, string | null]> => [program, await readVersion(program)]));
  const system = /^PRETTY_NAME="(.*)"$/m.exec(await readFile('/etc/os-release', 'utf8').catch(() => ''))?.[1];
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: system ?? 'unknown',
    load: Number((await readFile('/proc/loadavg', 'utf8')).split(' ', 1)[0]),
    versions: { node: process.version, ...Object.fromEntries(versions) },
  };
}

export async function readVersion(program: string): Promise<string | null> {
  const asked = await execa(program, ['--version'], { reject: false, stdin: 'ignore' });
  return asked.failed ? null : (asked.stdout.split('\n', 1)[0] ?? '');
}

export function formatHost(host: HostFacts): string {
  const versions = Object.entries(host.versions).map(([program, version]) => `  ${program}: ${version ?? 'not installed'}`);
  const machine = `${host.processor}, ${host.cores} cores, ${host.memoryGib} GiB, ${host.system}, Linux ${host.kernel}, load ${host.load}`;
  return [machine, ...versions, ''].join('\n');
}
