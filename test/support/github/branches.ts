/**
 * Branches of a bare repository, read from the files that git keeps them in: every answer of the stand-in needs some, and
 * a process for each was a quarter of what a test of a whole run took. https://git-scm.com/docs/gitrepository-layout
 */
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** No way out of the folder. */
const isBranch = (ref: string): boolean => /^refs\/heads(?:\/[\w-][\w.-]*)*$/.test(ref);

/** Null when only git can say: other refs, some that were packed, none that is there, or a folder that went away meanwhile. */
export async function readBranches(directory: string, ref: string): Promise<ReadonlyMap<string, string> | null> {
  if (!isBranch(ref) || (await stat(join(directory, 'packed-refs')).catch(() => null)) !== null) return null;
  const names = await readdir(join(directory, ref), { recursive: true }).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOTDIR' ? [''] : null));
  if (names === null) return null;
  const found = await Promise.all(names.map((name) => join(ref, name)).map(async (name) => [name, await readSha(join(directory, name))] as const));
  const branches = found.filter((entry): entry is [string, string] => entry[1] !== null && !entry[0].endsWith('.lock'));
  return new Map(branches.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

/** Null for a folder, and for what went away. */
async function readSha(file: string): Promise<string | null> {
  const text = await readFile(file, 'latin1').catch(() => '');
  return /^[0-9a-f]{40}\n$/.test(text) ? text.trim() : null;
}
