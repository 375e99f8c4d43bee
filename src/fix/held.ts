/** Unfinished work on a held branch: one commit of ours, taken apart again into its base and what it changes. */
import { FixError } from '../errors.ts';
import type { Snapshot, TreeEntry } from '../git/mirror.ts';
import type { PatchFile } from '../job.ts';
import type { PatchLimits } from './policy.ts';

export interface HeldWork {
  readonly base: Snapshot;
  readonly files: readonly PatchFile[];
}

/** Null when it is not such a commit: our own have one parent, and were within the limits of a patch. */
export async function openHeld(tip: Snapshot, limits: PatchLimits, signal: AbortSignal): Promise<HeldWork | null> {
  const base = await tip.parent(signal);
  if (base === null) return null;
  const [before, after] = [await base.tree(signal), await tip.tree(signal)];
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter((path) => !isSame(before.get(path), after.get(path)));
  if (changed.length > limits.maxFiles) return null;
  const files: PatchFile[] = [];
  let leftBytes = limits.maxBytes;
  for (const path of changed) {
    const file = await readChange(tip, path, { entry: after.get(path), maxBytes: leftBytes, signal });
    if (file === null) return null;
    if (file.change.kind === 'write') leftBytes -= file.change.content.length;
    files.push(file);
  }
  return { base, files };
}

/** In two trees, or in neither. */
export const isSame = (one: TreeEntry | undefined, other: TreeEntry | undefined): boolean => one?.sha === other?.sha && one?.mode === other?.mode;

async function readChange(
  tip: Snapshot,
  path: string,
  { entry, maxBytes, signal }: { entry: TreeEntry | undefined; maxBytes: number; signal: AbortSignal },
): Promise<PatchFile | null> {
  if (entry === undefined) return { path, change: { kind: 'delete' } };
  if (entry.mode !== '100644' && entry.mode !== '100755') return null;
  if (entry.size === null || entry.size > maxBytes) return null;
  const content = await tip.readFile(path, maxBytes, signal);
  if (content === null) throw new FixError('clone_failed', { details: { step: 'held' } });
  return { path, change: { kind: 'write', mode: entry.mode, content } };
}
