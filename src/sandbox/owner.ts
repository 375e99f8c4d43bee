/**
 * Who owns a VM: a process, told apart from a later one with the same number by when it started, in which boot, and in
 * which container, for only there its number means it.
 */
import { readFile, readlink } from 'node:fs/promises';
import { z } from 'zod';

export const Owner = z.object({ pid: z.number().int(), startTicks: z.string(), bootId: z.string(), pidNamespace: z.string().optional() });
export type Owner = z.infer<typeof Owner>;

export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

export async function ourselves(): Promise<Owner> {
  const [startTicks, bootId, pidNamespace] = await Promise.all([startTicksOf(process.pid), readBootId(), readlink(ourNamespace)]);
  return { pid: process.pid, startTicks: startTicks ?? '', bootId, pidNamespace };
}

/** Of a process in another container it says no, whatever that does. */
export async function isAlive(owner: Owner): Promise<boolean> {
  if (owner.pidNamespace !== undefined && owner.pidNamespace !== (await readlink(ourNamespace))) return false;
  return owner.bootId === (await readBootId()) && owner.startTicks === (await startTicksOf(owner.pid));
}

const ourNamespace = '/proc/self/ns/pid';

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold anything, so fields are counted from its end. Null for the dead. */
async function startTicksOf(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return !fields || fields[0] === 'Z' ? null : (fields[19] ?? null);
}
