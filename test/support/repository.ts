/** The repository as its own tests read it. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export const root = new URL('../..', import.meta.url).pathname;

export const readText = (path: string) => readFile(join(root, path), 'utf8');

/** Every file below a folder, as paths from the root of the repository. */
export async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(root.length));
}
