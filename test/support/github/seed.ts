/** Puts a repository into the stand-in: its git, its collaborators, its place in the emulator. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createGitStore, type GitStore, type TreeInput } from './git-store.ts';
import { iso, type Role, type StoredRepository, type World } from './world.ts';

/** Null deletes a file that an earlier commit had. A mode defaults to 100644; 120000 is a symlink with its target as content. */
export type SeedFiles = Readonly<
  Record<string, string | Uint8Array | null | { readonly content: string | Uint8Array; readonly mode: '100644' | '100755' | '120000' }>
>;

export interface SeedRepository {
  readonly owner?: string;
  readonly name?: string;
  readonly private?: boolean;
  /** The first commit on `main`. No file at all leaves the repository empty, without any commit. */
  readonly files?: SeedFiles;
  /** Further commits on top of it. */
  readonly history?: readonly { readonly message: string; readonly files: SeedFiles; readonly by?: string }[];
  readonly collaborators?: readonly { readonly login: string; readonly permission: Role }[];
  readonly protectedBranches?: readonly string[];
  /** False: the App was not given this repository. */
  readonly installed?: boolean;
}

const grants: Readonly<Record<Role, string>> = { read: 'pull', triage: 'triage', write: 'push', maintain: 'maintain', admin: 'admin' };

export async function seedRepository(world: World, directory: string, seed: SeedRepository): Promise<StoredRepository> {
  const { emulator, app } = world;
  const owner = seed.owner ?? app.account;
  const name = seed.name ?? `repository-${randomUUID().slice(0, 8)}`;
  const boss = emulator.ownerOf(owner);
  for (const login of [boss, ...(seed.collaborators ?? []).map((one) => one.login)]) {
    if (!emulator.knows(login)) throw new Error(`nobody is called ${login} here: name them in the option \`users\` or \`organizations\``);
  }
  const target = emulator.isOrganization(owner) ? `/orgs/${owner}/repos` : '/user/repos';
  const created = await emulator.call('POST', target, { as: boss, body: { name, private: seed.private ?? false, auto_init: true } });
  if (created.status !== 201) throw new Error(`cannot seed ${owner}/${name}: ${JSON.stringify(created.body)}`);
  const stored: StoredRepository = {
    id: created.body.id,
    owner,
    name,
    fullName: `${owner}/${name}`,
    private: seed.private ?? false,
    git: await createGitStore(join(directory, `${randomUUID()}.git`)),
    roles: new Map([[boss, 'admin'], ...(seed.collaborators ?? []).map((one) => [one.login, one.permission] as const)]),
    protectedBranches: new Set(seed.protectedBranches),
    installed: seed.installed ?? true,
    pulls: new Map(),
    suites: [],
    reviews: new Map(),
    reviewComments: new Map(),
    resolved: new Set(),
    outdated: new Set(),
    reactions: new Map(),
    statuses: new Map(),
    checks: new Map(),
    verified: new Set(),
    told: { heads: new Map(), last: Promise.resolve() },
  };
  for (const { login, permission } of seed.collaborators ?? []) {
    await emulator.call('PUT', `/repos/${stored.fullName}/collaborators/${login}`, { as: boss, body: { permission: grants[permission] } });
  }
  await wakeBot(world, stored);
  await writeHistory(world, stored, seed, boss);
  stored.told.heads = new Map((await stored.git.refs('refs/heads')).map(({ ref, sha }) => [ref, sha]));
  world.repositories.set(stored.fullName, stored);
  return stored;
}

/** The emulator makes the App's bot account at its first write; GitHub has it from the start. */
async function wakeBot({ emulator, app }: World, stored: StoredRepository): Promise<void> {
  if (stored.owner !== app.account) return;
  const as = `${app.slug}[bot]`;
  await emulator.call('POST', `/repos/${stored.fullName}/labels`, { as, body: { name: 'stand-in', color: 'ededed' } });
  await emulator.call('DELETE', `/repos/${stored.fullName}/labels/stand-in`, { as });
}

async function writeHistory(world: World, stored: StoredRepository, seed: SeedRepository, boss: string): Promise<void> {
  const first = Object.keys(seed.files ?? {}).length > 0 ? [{ message: 'Initial commit', files: seed.files ?? {}, by: boss }] : [];
  const commits = [...first, ...(seed.history ?? [])];
  for (const [index, { message, files, by = boss }] of commits.entries()) {
    const atMs = world.now() - (commits.length - index) * 60_000;
    await writeFiles(stored.git, { branch: 'main', message, files, by, atMs });
  }
}

/** One commit on top of a branch, which is made when it does not exist. Resolves with its SHA. */
export async function writeFiles(git: GitStore, commit: { branch: string; message: string; files: SeedFiles; by: string; atMs: number }): Promise<string> {
  const ref = `refs/heads/${commit.branch}`;
  const parent = (await git.resolve(ref)) ?? (await git.resolve('refs/heads/main'));
  const entries: TreeInput[] = [];
  for (const [path, file] of Object.entries(commit.files)) {
    const { content, mode } = file === null || typeof file === 'string' || file instanceof Uint8Array ? { content: file, mode: '100644' } : file;
    entries.push({ path, mode, sha: content === null ? null : await git.writeBlob(Buffer.from(content)) });
  }
  const tree = await git.writeTree(parent, entries);
  const person = { name: commit.by, email: `${commit.by}@users.noreply.github.com`, date: iso(commit.atMs) };
  const sha = await git.writeCommit({ tree, parents: parent === null ? [] : [parent], message: commit.message, author: person, committer: person });
  await git.setRef(ref, sha);
  return sha;
}
