/** One commit of a mirror, read with plumbing commands that run no hook, no filter and no program of the repository. */
import { readFile as readHostFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { FixError } from '../errors.ts';
import { runGit, startGit } from './git-process.ts';
import type { GitCommand } from './git-process.ts';
import type { Snapshot, TreeEntry } from './mirror.ts';

/** The listing of a tree is streamed into memory: a tree of few bytes can name a billion paths. */
const maxTreeBytes = 64 * 2 ** 20;
/** Of a larger one, what a run asks for again is listed again. */
const maxKeptPaths = 50_000;

export interface SnapshotOptions {
  /** The bare repository. */
  readonly directory: string;
  readonly sha: string;
  readonly environment: Readonly<Record<string, string>>;
}

export function createSnapshot({ directory, sha, environment }: SnapshotOptions): Snapshot {
  const command = (signal: AbortSignal, ...rest: string[]): GitCommand => ({ arguments: ['--git-dir', directory, ...rest], environment, signal });
  const { all, find } = createListing(sha, command);
  return {
    sha,
    async parent(signal) {
      const listed = await runGit(command(signal, 'rev-list', '--parents', '--max-count=1', '--end-of-options', sha));
      if (listed.exitCode !== 0) throw new FixError('clone_failed', { details: { stderr: listed.stderr } });
      const [, first, ...others] = listed.stdout.trim().split(' ');
      return first === undefined || others.length > 0 ? null : createSnapshot({ directory, sha: first, environment });
    },
    tree: all,
    async readFile(path, maxBytes, signal) {
      const entry = isStoredPath(path) ? await find(path, signal) : null;
      if (!entry || !entry.mode.startsWith('100') || entry.size === null || entry.size > maxBytes) return null;
      const read = await runGit({ ...command(signal, 'cat-file', 'blob', entry.sha), maxOutputBytes: maxBytes });
      if (read.exitCode !== 0) throw new FixError('clone_failed', { details: { stderr: read.stderr } });
      return Buffer.from(read.stdout, 'latin1');
    },
    async subjects(count, signal) {
      const log = command(
        signal,
        'log',
        '-z',
        '--no-merges',
        '--no-show-signature',
        `--max-count=${count}`,
        '--format=%<(300,trunc)%s',
        '--end-of-options',
        sha,
      );
      const listed = await runGit({ ...log, maxOutputBytes: 2 ** 20 });
      if (listed.exitCode !== 0) throw new FixError('clone_failed', { details: { stderr: listed.stderr } });
      const text = Buffer.from(listed.stdout, 'latin1').toString('utf8');
      return text.split('\0').flatMap((subject) => (subject.trim() === '' ? [] : [subject.trim()]));
    },
    async ancestor(other, signal) {
      if (other === sha) return createSnapshot({ directory, sha, environment });
      if (!/^[0-9a-f]{40}$/.test(other)) return null;
      const asked = await runGit(command(signal, 'merge-base', '--is-ancestor', other, sha));
      return asked.exitCode === 0 ? createSnapshot({ directory, sha: other, environment }) : null;
    },
    async pack(ancestors, signal, have) {
      const boundaryOf = async (tip: string): Promise<readonly string[]> =>
        await findBoundary(command(signal, 'rev-list', '--parents', `--max-count=${ancestors + 1}`, '--end-of-options', tip), { directory, sha: tip });
      // What lies behind the boundary of the earlier pack is not there either.
      const shallow = [...new Set([...(await boundaryOf(sha)), ...(have === undefined ? [] : await boundaryOf(have))])];
      // As git's own upload-pack does it: the boundary as `--shallow` lines before the tip, and no shallow file of ours.
      const packed: GitCommand = {
        ...command(signal, '--shallow-file', '', 'pack-objects', '--revs', '--stdout', '--shallow', '--delta-base-offset', '-q'),
        input: [...shallow.map((oid) => `--shallow ${oid}`), sha, ...(have === undefined ? [] : [`^${have}`]), ''].join('\n'),
      };
      return { stream: Readable.from(streamPack(packed), { objectMode: false }), shallow };
    },
  };
}

interface Listing {
  all(signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry>>;
  find(path: string, signal: AbortSignal): Promise<TreeEntry | null>;
}

/** A commit stays as it is, and a run asks for dozens of its paths, most of which are not there: a process for each is too much. */
function createListing(sha: string, command: (signal: AbortSignal, ...rest: string[]) => GitCommand): Listing {
  let kept: ReadonlyMap<string, TreeEntry> | null = null;
  const list = async (signal: AbortSignal, ...rest: string[]): Promise<ReadonlyMap<string, TreeEntry>> => {
    const listed = await runGit({ ...command(signal, 'ls-tree', '-z', '-l', '--full-tree', ...rest), maxOutputBytes: maxTreeBytes });
    if (listed.clipped) throw new FixError('repository_too_large', { details: { maxTreeBytes } });
    if (listed.exitCode !== 0) throw new FixError('clone_failed', { details: { stderr: listed.stderr } });
    return new Map(listed.stdout.split('\0').filter(Boolean).map(parseEntry));
  };
  return {
    async all(signal) {
      if (kept !== null) return kept;
      const tree = await list(signal, '-r', sha);
      if (tree.size <= maxKeptPaths) kept = tree;
      return tree;
    },
    find: async (path, signal) => (kept ?? (await list(signal, sha, '--', path))).get(path) ?? null,
  };
}

/** A path as git stores it; ls-tree fails on others instead of finding nothing. */
const isStoredPath = (path: string): boolean => !path.includes('\0') && path.split('/').every((part) => !['', '.', '..'].includes(part));

/** `<mode> <type> <sha> <size>\t<path>`; the size of a gitlink is `-`. */
function parseEntry(line: string): readonly [string, TreeEntry] {
  const tab = line.indexOf('\t');
  const [mode = '', , sha = '', size = '-'] = line.slice(0, tab).split(/ +/);
  const path = Buffer.from(line.slice(tab + 1), 'latin1').toString('utf8');
  return [path, { mode, sha, size: size === '-' ? null : Number(size) }];
}

/**
 * The commits whose parents the guest does not get. A commit is cut from all of its parents or from none, so where only
 * one parent of a merge is within the limit, the merge is cut too, and the guest gets fewer commits, never more.
 */
async function findBoundary(revisions: GitCommand, { directory, sha }: { directory: string; sha: string }): Promise<readonly string[]> {
  const listed = await runGit({ ...revisions, maxOutputBytes: 2 ** 24 });
  if (listed.exitCode !== 0 || listed.clipped) throw new FixError('clone_failed', { details: { stderr: listed.stderr } });
  const parents = new Map<string, readonly string[]>();
  for (const line of listed.stdout.split('\n').filter(Boolean)) {
    const [commit = '', ...rest] = line.split(' ');
    parents.set(commit, rest);
  }
  const cutAtSource = await readShallowFile(directory);
  const boundary: string[] = [];
  const seen = new Set([sha]);
  for (const commit of seen) {
    const next = parents.get(commit) ?? [];
    if (cutAtSource.has(commit) || next.some((parent) => !parents.has(parent))) boundary.push(commit);
    else for (const parent of next) seen.add(parent);
  }
  return boundary;
}

/** A source may itself be a shallow clone; git keeps its boundary in the mirror. */
async function readShallowFile(directory: string): Promise<ReadonlySet<string>> {
  try {
    return new Set((await readHostFile(join(directory, 'shallow'), 'utf8')).split('\n').filter(Boolean));
  } catch {
    return new Set();
  }
}

/** A pack that git could not finish must not look like a short one, so the stream fails when git does. */
async function* streamPack(command: GitCommand): AsyncGenerator<Buffer> {
  const { stdout, ending, stop } = startGit(command);
  try {
    yield* stdout as AsyncIterable<Buffer>;
    const { exitCode, stderr } = await ending;
    if (exitCode !== 0) throw new FixError('clone_failed', { details: { stderr } });
  } finally {
    stop();
  }
}
