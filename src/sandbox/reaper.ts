/** Removes what dead workers left on this host. A VM of a living process, ours or another's, is never touched. */
import { readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { claimsOf, discardVm } from './claim.ts';
import type { HostOptions } from './claim.ts';
import { lockFile } from './lock.ts';
import type { Lock } from './lock.ts';
import { isAlive, Owner } from './owner.ts';

/** A claim is made a moment before its owner is written into it, and a directory is emptied a moment before it goes. */
const unownedForMs = 60_000;

/** The ids of what was removed completely. What could not be removed is in the log and is tried again next time. */
export async function sweep(host: HostOptions): Promise<string[]> {
  const vms = join(host.stateDir, 'vms');
  const removed: string[] = [];
  for (const id of await readdir(vms).catch(() => [])) {
    const lock = await takeOver(join(vms, id));
    if (lock === null) continue;
    const left = await discardVm(host, id);
    await lock.release();
    if (left.length > 0) continue;
    removed.push(id);
    host.log.warn({ sandboxId: id }, 'removed a VM whose worker is gone');
  }
  await sweepClaims(host);
  return removed;
}

/** No VM came of these. */
async function sweepClaims({ stateDir, log }: HostOptions): Promise<void> {
  const claims = claimsOf(stateDir);
  for (const name of await readdir(claims).catch(() => [])) {
    const lock = await takeOver(join(claims, name));
    if (lock === null) continue;
    await rm(join(claims, name), { recursive: true, force: true }).catch((err: unknown) => log.warn({ err, name }, 'a claim could not be removed'));
    await lock.release();
  }
}

/**
 * Null for what somebody has: its worker, or another one that sweeps it. A process in another container, which is not to be
 * seen from here, holds the file as long as it lives.
 */
async function takeOver(directory: string): Promise<Lock | null> {
  const file = join(directory, 'owner.json');
  const owner = Owner.safeParse(parse(await readFile(file, 'utf8').catch(() => '')));
  if (owner.success) return (await isAlive(owner.data)) ? null : await lockFile(file);
  const entry = await stat(directory).catch(() => null);
  return entry !== null && Date.now() - entry.mtimeMs > unownedForMs ? nobodys : null;
}

/** There is no file that could be held. */
const nobodys: Lock = { release: () => Promise.resolve() };

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
