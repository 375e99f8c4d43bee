/** Mirrors on disk: one bare repository per address, fetched into incrementally, one fetch at a time per mirror. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { fetchCommit } from './fetch.ts';
import type { Mirrors, MirrorSource } from './mirror.ts';
import { evictMirrors, lockMirror, markUsed } from './mirror-disk.ts';
import { createSnapshot } from './snapshot.ts';
import { openRemote, resolveReference } from './source.ts';

export interface MirrorsOptions {
  readonly directory: string;
  readonly log: Log;
  /** What git may see of the host: certificates, proxy, PATH. Default nothing. */
  readonly environment?: Readonly<Record<string, string>>;
  /** All mirrors together; the least recently used go first. No single fetch may write more. Default 20 GiB. */
  readonly maxBytes?: number;
  /** What a fetch leaves free on the disk. Default 1 GiB. */
  readonly reserveBytes?: number;
  /** A mirror used within this time is not removed: a run may still read from it. Default two hours. */
  readonly keepMs?: number;
}

export function createMirrors({ directory, log, environment = {}, ...limits }: MirrorsOptions): Mirrors {
  const disk = { maxBytes: limits.maxBytes ?? 20 * 2 ** 30, reserveBytes: limits.reserveBytes ?? 2 ** 30, keepMs: limits.keepMs ?? 2 * 3_600_000 };
  const safeDirectoryFile = join(directory, 'any-owner.gitconfig');
  return {
    async fetch(source, signal) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(safeDirectoryFile, '[safe]\n\tdirectory = *\n', { mode: 0o600 });
      const remote = await openRemote(source, { environment, safeDirectoryFile });
      const sha = await resolveReference(remote, source.ref, signal);
      const name = nameOf(source);
      const mirror = join(directory, name);
      {
        await using _lock = await lockMirror(directory, name, signal);
        await fetchCommit({ mirror, remote, sha, disk }, signal);
        await markUsed(mirror);
      }
      log.debug({ sha, mirror: name }, 'mirror is up to date');
      await evictMirrors(directory, disk, { log, signal });
      return createSnapshot({ directory: mirror, sha, environment });
    },
  };
}

const nameOf = ({ url }: MirrorSource): string => `${createHash('sha256').update(url).digest('hex').slice(0, 32)}.git`;
