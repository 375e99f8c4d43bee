/** What the benchmarks do with VMs: boot one, use it once, throw it away, ask what it takes of the host. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findCgroups } from '../../src/sandbox/cgroup.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import type { Provider, Sandbox } from '../../src/sandbox/sandbox.ts';

/** Of this process alone: somebody else may measure on this machine, too. */
export const idPrefix = `bench-${process.pid.toString(36)}-`;

export async function bootOne(provider: Provider, { signal }: { readonly signal: AbortSignal }): Promise<Sandbox> {
  return provider.boot({ id: `${idPrefix}${randomBytes(6).toString('hex')}`, signal });
}

export async function disposeOf(sandbox: Sandbox): Promise<void> {
  const left = await sandbox.dispose();
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
}

export async function runTrue(sandbox: Sandbox): Promise<void> {
  const { exitCode, ended } = await sandbox.exec(['/bin/true'], { cwd: '/' });
  if (exitCode !== 0) throw new Error(`/bin/true: ${ended} with ${exitCode}`);
}

/** Memory that several VMs share counts in parts, so the sum over VMs is what the host has given. */
export async function proportionalMib(id: string): Promise<number> {
  const pids = await findProcesses(id);
  const sizes = await Promise.all(pids.map(async (pid) => /^Pss:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]));
  return sizes.reduce((sum, kib) => sum + Number(kib ?? 0), 0) / 1024;
}

/** What the kernel counts against the limit of a VM: its processes, and the files that it was the first to read or that it wrote. */
export async function countedMib(id: string): Promise<number> {
  const files = (await findCgroups(id)).flatMap((directory) => ['memory.current', 'memory.usage_in_bytes'].map((name) => join(directory, name)));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '0')));
  return Math.max(0, ...texts.map(Number)) / 2 ** 20;
}
