/** What runs of a stand-in leave in the cache of this host: the templates of its repositories, which nobody will ever ask for again. */
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandInGitHub } from './github/stand-in.ts';

export async function removeLayers(cacheDir: string, standIn: Pick<StandInGitHub, 'webUrl'>): Promise<void> {
  for (const folder of await findLayers(cacheDir, standIn)) await rm(folder, { recursive: true, force: true });
}

/** Their folders. */
export async function findLayers(cacheDir: string, { webUrl }: Pick<StandInGitHub, 'webUrl'>): Promise<readonly string[]> {
  const directory = join(cacheDir, 'layers');
  const server = JSON.stringify(new URL(webUrl).origin);
  const folders = (await readdir(directory).catch(() => [])).map((name) => join(directory, name));
  const manifests = await Promise.all(folders.map((folder) => readFile(join(folder, 'manifest.json'), 'utf8').catch(() => '')));
  return folders.filter((_, index) => manifests[index]?.includes(server));
}
