/**
 * A case without its future: the tree of the buggy commit becomes the only commit of a new repository. What its fix
 * brought is read from the clone apart, and stays on the host.
 */
import { access, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FixError } from '../../src/errors.ts';
import { runGit } from '../../src/git/git-process.ts';
import type { Snapshot } from '../../src/git/mirror.ts';
import { createSnapshot } from '../../src/git/snapshot.ts';
import type { Patch, PatchFile } from '../../src/job.ts';
import type { Case } from './case.ts';

export interface PreparedCase {
  readonly of: Case;
  /** The only commit of the new repository. */
  readonly snapshot: Snapshot;
  /** Laid over the work tree to judge it. */
  readonly hiddenTests: Patch;
  /** The known fix, without its tests: what shows that the case can be solved. */
  readonly fix: Patch;
}

interface Place {
  /** Folder of clones: `<owner>+<name>/repo` or `<owner>/<name>`, a git directory or a work tree. */
  readonly repos: string;
  /** New repositories go here. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

const maxFileBytes = 4 * 2 ** 20;
/** Always the same commit for the same tree. */
const author = Object.fromEntries(
  ['AUTHOR', 'COMMITTER'].flatMap((who) => [
    [`GIT_${who}_NAME`, 'eval'] as const,
    [`GIT_${who}_EMAIL`, 'eval@localhost'] as const,
    [`GIT_${who}_DATE`, '2000-01-01T00:00:00Z'] as const,
  ]),
);

/** Throws `repository_unreachable`, `base_unknown`, `usage`, `cancelled`. */
export async function prepareCase(one: Case, place: Place): Promise<PreparedCase> {
  const clone = await findClone(one.repository, place.repos);
  for (const sha of [one.buggyCommit, one.fixCommit]) {
    const found = await runGit({ arguments: ['--git-dir', clone, 'cat-file', '-e', `${sha}^{tree}`], ...place });
    if (found.exitCode !== 0) throw new FixError('base_unknown', { details: { reason: `the clone of ${one.repository} has no commit ${sha}` } });
  }
  const directory = join(place.directory, `${one.id}.git`);
  const sha = await copyTree({ clone, commit: one.buggyCommit, directory }, place);
  const snapshot = createSnapshot({ directory, sha, environment: place.environment });
  const known = createSnapshot({ directory: clone, sha: one.fixCommit, environment: place.environment });
  const read = async (paths: readonly string[]): Promise<Patch> => ({ baseSha: sha, files: await readFiles(known, paths, place.signal) });
  const [hiddenTests, fix] = [await read(one.hiddenTests), await read(one.fixTouches)];
  const missing = hiddenTests.files.find(({ change }) => change.kind === 'delete');
  if (missing) throw new FixError('usage', { details: { reason: `${one.id}: the hidden test ${missing.path} is no file of ${one.fixCommit}` } });
  return { of: one, snapshot, hiddenTests, fix };
}

async function findClone(repository: string, repos: string): Promise<string> {
  const [owner = '', name = ''] = repository.split('/');
  const layouts = [`${owner}+${name}/repo`, `${owner}/${name}`];
  for (const layout of layouts.flatMap((path) => [path, `${path}/.git`])) {
    const directory = resolve(repos, layout);
    if (await isGitDirectory(directory)) return directory;
  }
  throw new FixError('repository_unreachable', { details: { reason: `no clone of ${repository}: --repos has neither ${layouts.join(' nor ')}` } });
}

async function isGitDirectory(directory: string): Promise<boolean> {
  return await Promise.all(['HEAD', 'objects'].map((name) => access(join(directory, name)))).then(
    () => true,
    () => false,
  );
}

/** Not `git archive`: attributes of the repository can leave files out of that. Returns the new commit. */
async function copyTree(from: { clone: string; commit: string; directory: string }, { environment, signal }: Place): Promise<string> {
  const git = async (...rest: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await runGit({ arguments: rest, environment: { ...environment, ...author }, signal });
    if (exitCode !== 0) throw new FixError('repository_unreachable', { details: { reason: 'its tree could not be copied', stderr } });
    return stdout.trim();
  };
  const within = ['--git-dir', from.directory];
  await git('init', '--quiet', '--bare', '--template=', '--initial-branch=main', from.directory);
  // Borrows the clone's objects until its own are packed; of those it has only what the one commit needs.
  const borrowed = join(from.directory, 'objects/info/alternates');
  await writeFile(borrowed, `${join(from.clone, 'objects')}\n`);
  const sha = await git(...within, 'commit-tree', '-m', 'Everything so far', `${from.commit}^{tree}`);
  await git(...within, 'update-ref', 'refs/heads/main', sha);
  await git(...within, 'repack', '-a', '-d', '-q');
  await rm(borrowed);
  return sha;
}

/** A file that is not there is one that the fix deleted. */
async function readFiles(snapshot: Snapshot, paths: readonly string[], signal: AbortSignal): Promise<readonly PatchFile[]> {
  const tree = await snapshot.tree(signal);
  return await Promise.all(
    paths.map(async (path): Promise<PatchFile> => {
      const content = await snapshot.readFile(path, maxFileBytes, signal);
      const mode = tree.get(path)?.mode === '100755' ? '100755' : '100644';
      return { path, change: content === null ? { kind: 'delete' } : { kind: 'write', mode, content } };
    }),
  );
}
