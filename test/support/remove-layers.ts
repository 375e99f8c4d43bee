/** What runs of a stand-in leave in the cache of this host: the templates of its repositories, which nobody will ever ask for again. */
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandInGitHub } from './github/stand-in.ts';

export async function removeLayers(cacheDir: string, { webUrl }: Pick<StandInGitHub, 'webUrl'>): Promise<void> {
  const directory = join(cacheDir, 'layers');
  const server = JSON.stringify(new URL(webUrl).origin);
  for (const name of await readdir(directory).catch(() => [])) {
    const manifest = await readFile(join(directory, name, 'manifest.json'), 'utf8').catch(() => '');
    if (manifest.includes(server)) await rm(join(directory, name), { recursive: true, force: true });
  }
}
