/** Fetching one commit into a bare mirror, under the mirror's lock. */
import { access, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import { runGit } from './git-process.ts';
import type { GitCommand } from './git-process.ts';
import { removeLeftovers, roomForFetch } from './mirror-disk.ts';
import type { DiskLimits } from './mirror-disk.ts';
import { failureOf } from './source.ts';
import type { Remote } from './source.ts';

export interface CommitFetch {
  readonly mirror: string;
  readonly remote: Remote;
  readonly sha: string;
  readonly disk: DiskLimits;
}

/**
 * Object checks on everything that comes in, except for the blemishes that old, honest histories have. Those harm
 * nobody here: the host never checks a tree out.
 */
const toleratedBlemishes = `
  zeroPaddedFilemode badFilemode nulInCommit badTagName missingTaggerEntry gitmodulesParse gitmodulesBlob
  missingEmail badEmail missingNameBeforeEmail badName missingSpaceBeforeEmail missingSpaceBeforeDate
  badDate badDateOverflow zeroPaddedDate badTimezone`;
const incoming: Readonly<Record<string, string>> = {
  'transfer.fsckObjects': 'true',
  // Packs are kept as they come: thousands of loose objects would be slower to read and to measure.
  'fetch.unpackLimit': '1',
  ...Object.fromEntries(
    toleratedBlemishes
      .trim()
      .split(/\s+/)
      .map((id) => [`fetch.fsck.${id}`, 'ignore']),
  ),
};
const fetchFlags = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance', '--no-recurse-submodules', '--update-shallow', '--refmap='];

/** Afterwards the mirror has the commit and its history. Throws what Mirrors.fetch throws. */
export async function fetchCommit({ mirror, remote, sha, disk }: CommitFetch, signal: AbortSignal): Promise<void> {
  const git = async (...rest: string[]) => await runGit({ arguments: ['--git-dir', mirror, ...rest], environment: remote.environment, signal });
  if (!(await exists(join(mirror, 'HEAD')))) await initialise(mirror, { environment: remote.environment, signal });
  // One ref per commit that a run asked for: it keeps the commit when its branch is moved away by force.
  const ref = `refs/mayfly/${sha}`;
  if ((await git('rev-parse', '--verify', '--quiet', ref)).exitCode === 0) return;
  await removeLeftovers(mirror);
  await download({ mirror, remote, sha, disk }, ref, signal);
  if ((await git('rev-parse', '--verify', '--quiet', `${ref}^{commit}`)).exitCode !== 0) {
    await git('update-ref', '-d', ref);
    throw new FixError('base_unknown', { details: { reason: 'not a commit' } });
  }
  await foldPacks({ arguments: ['--git-dir', mirror, 'gc', '--auto', '--quiet'], environment: remote.environment, signal });
}

async function download({ mirror, remote, sha, disk }: CommitFetch, ref: string, signal: AbortSignal): Promise<void> {
  const maxFileBytes = await roomForFetch(mirror, disk);
  const fetched = await runGit({
    ...remote,
    arguments: ['--git-dir', mirror, 'fetch', ...fetchFlags, '--end-of-options', remote.url, `+${sha}:${ref}`],
    config: { ...remote.config, ...incoming },
    maxFileBytes,
    signal,
  });
  if (fetched.exitCode === 0) return;
  const { largestBytes } = await removeLeftovers(mirror);
  if (largestBytes < maxFileBytes) throw failureOf(remote, fetched);
  throw new FixError(maxFileBytes < disk.maxBytes ? 'disk_full' : 'repository_too_large', { details: { maxFileBytes } });
}

/** Every fetch adds a pack; git folds them into one when there are many. A failure costs speed only. */
async function foldPacks(command: GitCommand): Promise<void> {
  await runGit({ ...command, config: { 'gc.auto': '6700', 'gc.autoPackLimit': '30', 'gc.autoDetach': 'false' } });
}

/** Made aside and renamed, so that a mirror is there whole or not at all. No template: it could bring hooks. */
async function initialise(mirror: string, { environment, signal }: { environment: Remote['environment']; signal: AbortSignal }): Promise<void> {
  const aside = mirror.replace(/\.git$/, '.new');
  await rm(aside, { recursive: true, force: true });
  const made = await runGit({ arguments: ['init', '--quiet', '--bare', '--template=', aside], environment, signal });
  if (made.exitCode !== 0) throw new FixError(/No space left/.test(made.stderr) ? 'disk_full' : 'internal', { details: { stderr: made.stderr } });
  await rename(aside, mirror);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
