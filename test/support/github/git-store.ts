/** One bare repository and the git commands over it: the only truth about objects and refs that the stand-in has. */
import { createHash, randomUUID } from 'node:crypto';
import { appendFile, chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { execa } from 'execa';
import { readBranches } from './branches.ts';
import { Refusal } from './world.ts';

export interface TreeInput {
  readonly path: string;
  readonly mode: string;
  /** Null removes the path. */
  readonly sha: string | null;
}

export interface TreeEntry {
  readonly mode: string;
  readonly type: string;
  readonly sha: string;
  readonly size: number | null;
  readonly path: string;
}

export interface Person {
  readonly name: string;
  readonly email: string;
  readonly date: string;
}

export interface CommitInput {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
  readonly author: Person;
  readonly committer: Person;
}

export interface GitStore {
  readonly directory: string;
  /** Standard output as text, null when git failed. */
  read(...args: string[]): Promise<string | null>;
  bytes(...args: string[]): Promise<Buffer | null>;
  type(sha: string): Promise<string | null>;
  writeBlob(content: Buffer): Promise<string>;
  writeTree(base: string | null, entries: readonly TreeInput[]): Promise<string>;
  writeCommit(commit: CommitInput): Promise<string>;
  tree(treeish: string, recursive: boolean): Promise<readonly TreeEntry[]>;
  resolve(ref: string): Promise<string | null>;
  refs(prefix: string): Promise<readonly { ref: string; sha: string; type: string }[]>;
  setRef(ref: string, sha: string): Promise<void>;
  deleteRef(ref: string): Promise<void>;
  /** Workflow files that commits introduce which no ref has yet. */
  newWorkflows(sha: string): Promise<readonly string[]>;
}

/** Options, but for those that stand for whatever refs there are, and objects by their ids: `a`, `a..b`, `a:path`, `a^{commit}`. */
const isFixed = (argument: string): boolean =>
  /^-(?!-(?:all|branches|not)$)/.test(argument) || /^[0-9a-f]{40}(?:$|\.\.[0-9a-f]{40}$|:|\^\{commit\}$)/.test(argument);

const quietEnvironment = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0' };

export async function createGitStore(directory: string): Promise<GitStore> {
  const run = async (command: readonly string[], options: { input?: string | Buffer; env?: Record<string, string> } = {}): Promise<Buffer | null> => {
    const [program = '', ...args] = command;
    const result = await execa(program, args, {
      encoding: 'buffer',
      reject: false,
      stripFinalNewline: false,
      env: { ...quietEnvironment, GIT_DIR: directory, ...options.env },
      ...(options.input === undefined ? {} : { input: options.input }),
    });
    return result.failed ? null : Buffer.from(result.stdout);
  };
  const git = (args: readonly string[], options?: Parameters<typeof run>[1]): Promise<Buffer | null> => run(['git', ...args], options);
  const known = new Map<string, Buffer>();
  // What git finds of objects named by their ids stays so, and GitHub is asked the same all the time: a process for each
  // of these questions would be most of what a test of a whole run waits for. What is missing may still come.
  const ask = async (args: readonly string[]): Promise<Buffer | null> => {
    const key = args.join('\0');
    const found = known.get(key) ?? (await git(args));
    if (found !== null && args.slice(1).every(isFixed)) known.set(key, found);
    return found;
  };
  const askText = async (...args: string[]): Promise<string | null> => (await ask(args))?.toString() ?? null;
  const text = async (...args: Parameters<typeof git>): Promise<string | null> => (await git(...args))?.toString() ?? null;
  const orRefuse = async (output: Promise<Buffer | null>): Promise<string> => {
    const bytes = await output;
    if (bytes === null) throw new Refusal(422, 'Object does not exist');
    return bytes.toString().trim();
  };
  const must = (...args: Parameters<typeof git>): Promise<string> => orRefuse(git(...args));
  /** What was written need not be asked for. */
  const remember = (sha: string, type: string, content?: Buffer): string => {
    known.set(`cat-file\0-t\0${sha}`, Buffer.from(`${type}\n`));
    if (content !== undefined) known.set(`cat-file\0blob\0${sha}`, content);
    return sha;
  };
  await initialise(directory);
  return {
    directory,
    read: askText,
    bytes: (...args) => ask(args),
    type: async (sha) => (/^[0-9a-f]{40}$/.test(sha) ? ((await askText('cat-file', '-t', sha))?.trim() ?? null) : null),
    writeBlob: async (content) => remember(await writeLoose(directory, 'blob', content), 'blob', content),
    async writeTree(base, entries) {
      const index = join(directory, `index-${randomUUID()}`);
      const env = { GIT_INDEX_FILE: index };
      try {
        const lines = entries.map((entry) => `${entry.sha === null ? '0' : entry.mode} ${entry.sha ?? '0'.repeat(40)}\t${entry.path}\0`);
        return remember(await orRefuse(run(['sh', '-c', treeScript, 'sh', base ?? '--empty'], { env, input: lines.join('') })), 'tree');
      } finally {
        await rm(index, { force: true });
      }
    },
    async writeCommit({ tree, parents, message, author, committer }) {
      const env = { ...personEnvironment('AUTHOR', author), ...personEnvironment('COMMITTER', committer) };
      return remember(await must(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-F', '-'], { input: message, env }), 'commit');
    },
    tree: async (treeish, recursive) => parseTree((await askText('ls-tree', '-z', '-l', ...(recursive ? ['-r', '-t'] : []), treeish)) ?? ''),
    async resolve(ref) {
      const branches = await readBranches(directory, ref);
      if (branches !== null) return branches.get(ref) ?? null;
      return (await askText('rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`))?.trim() ?? null;
    },
    async refs(prefix) {
      const branches = await readBranches(directory, prefix);
      if (branches !== null) return [...branches].map(([ref, sha]) => ({ ref, sha, type: 'commit' }));
      const lines = ((await text(['for-each-ref', '--format=%(refname) %(objectname) %(objecttype)', '--', prefix])) ?? '').trim().split('\n');
      return lines.filter(Boolean).map((line) => {
        const [ref = '', sha = '', type = ''] = line.split(' ');
        return { ref, sha, type };
      });
    },
    setRef: async (ref, sha) => void (await must(['update-ref', ref, sha])),
    deleteRef: async (ref) => void (await must(['update-ref', '-d', ref])),
    async newWorkflows(sha) {
      const commits = ((await text(['rev-list', sha, '--not', '--branches'])) ?? '').trim();
      if (commits === '') return [];
      const paths = await text(['diff-tree', '--stdin', '-r', '-m', '--root', '--no-commit-id', '--name-only', '--', '.github/workflows'], {
        input: `${commits}\n`,
      });
      return [...new Set((paths ?? '').split('\n').filter(Boolean))];
    },
  };
}

/** From a process as large as a test's, starting another costs more than what git does: one for the three steps of a tree. */
const treeScript = 'git read-tree "$1" && git update-index -z --index-info && exec git write-tree';

/** As git does it, without a git: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects#_object_storage */
async function writeLoose(directory: string, type: string, content: Buffer): Promise<string> {
  const bytes = Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content]);
  const sha = createHash('sha1').update(bytes).digest('hex');
  const folder = join(directory, 'objects', sha.slice(0, 2));
  const unfinished = join(folder, `tmp_obj_${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  await writeFile(unfinished, await promisify(deflate)(bytes), { mode: 0o444 });
  await rename(unfinished, join(folder, sha.slice(2)));
  return sha;
}

function personEnvironment(role: string, person: Person): Record<string, string> {
  return { [`GIT_${role}_NAME`]: person.name, [`GIT_${role}_EMAIL`]: person.email, [`GIT_${role}_DATE`]: person.date };
}

function parseTree(output: string): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (const line of output.split('\0').filter(Boolean)) {
    const match = /^(\d+) (\w+) ([0-9a-f]+) +(\S+)\t([^]*)$/.exec(line);
    if (!match) continue;
    const [, mode = '', type = '', sha = '', size = '-', path = ''] = match;
    entries.push({ mode, type, sha, size: size === '-' ? null : Number(size), path });
  }
  return entries;
}

/** GitHub's refusals of a push, per ref. Who pushes comes from git-http.ts by environment. */
const updateHook = `#!/bin/sh
for ref in $STAND_IN_PROTECTED; do
  if [ "$ref" = "$1" ]; then
    echo "error: GH006: Protected branch update failed for $1." >&2
    exit 1
  fi
done
[ "$STAND_IN_WORKFLOWS" = yes ] && exit 0
case "$3" in *[!0]*) ;; *) exit 0 ;; esac
path=$(git rev-list "$3" --not --branches | git diff-tree --stdin -r -m --root --no-commit-id --name-only -- .github/workflows | head -n 1)
[ -z "$path" ] && exit 0
echo "refusing to allow a GitHub App to create or update workflow \\\`$path\\\` without \\\`workflows\\\` permission" >&2
exit 1
`;

async function initialise(directory: string): Promise<void> {
  await execa('git', ['init', '--quiet', '--bare', '--initial-branch=main', directory], { env: quietEnvironment });
  // GitHub gives any commit by its id, takes partial clones, and serves pushes over HTTP.
  await appendFile(join(directory, 'config'), '[http]\nreceivepack = true\n[uploadpack]\nallowAnySHA1InWant = true\nallowFilter = true\n[gc]\nauto = 0\n');
  const hook = join(directory, 'hooks', 'update');
  await writeFile(hook, updateHook);
  await chmod(hook, 0o755);
}
