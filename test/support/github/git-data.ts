/** The Git Data API over the bare repository: blobs, trees, commits, refs. What it makes, real git can fetch. */
import { granted } from './access.ts';
import type { Person, TreeInput } from './git-store.ts';
import { actorLogin, iso, notAccessible, notFound, paginate, Refusal, type Call, type Json, type Reply, type StoredRepository } from './world.ts';

const apiUrl = (call: Call): string => `${call.world.url}/repos/${call.repository.fullName}`;
const nodeId = (kind: string, sha: string): string => Buffer.from(`${kind}:${sha}`).toString('base64url');

export async function createBlob(call: Call): Promise<Reply> {
  const { content, encoding = 'utf-8' } = call.body;
  const sha = await call.repository.git.writeBlob(Buffer.from(content, encoding === 'base64' ? 'base64' : 'utf8'));
  return { status: 201, body: { sha, url: `${apiUrl(call)}/git/blobs/${sha}` } };
}

export async function readBlob(call: Call): Promise<Reply> {
  const sha = call.params['file_sha'] ?? '';
  const { git } = call.repository;
  if ((await git.type(sha)) !== 'blob') throw notFound();
  const bytes = (await git.bytes('cat-file', 'blob', sha)) ?? Buffer.alloc(0);
  if (call.accept.includes('raw')) return { status: 200, headers: { 'content-type': 'application/vnd.github.raw+json; charset=utf-8' }, body: bytes };
  const url = `${apiUrl(call)}/git/blobs/${sha}`;
  return { status: 200, body: { sha, node_id: nodeId('Blob', sha), size: bytes.length, url, content: bytes.toString('base64'), encoding: 'base64' } };
}

const typeOfMode: Readonly<Record<string, string>> = { '100644': 'blob', '100755': 'blob', '120000': 'blob', '040000': 'tree', '160000': 'commit' };

export async function createTree(call: Call): Promise<Reply> {
  const { git } = call.repository;
  const base: string | null = call.body.base_tree ?? null;
  if (base !== null && !['tree', 'commit'].includes((await git.type(base)) ?? '')) throw new Refusal(404, 'Not Found');
  const before = new Map((base === null ? [] : await git.tree(base, true)).map((entry) => [entry.path, entry.sha]));
  const entries: TreeInput[] = [];
  for (const item of call.body.tree as Json[]) entries.push(await treeEntry(call, item, before));
  const touched = entries.filter((entry) => entry.path.startsWith('.github/workflows/') && entry.sha !== (before.get(entry.path) ?? null));
  if (touched.length > 0 && !granted(call.caller, 'workflows', 'write')) throw notAccessible();
  const sha = await git.writeTree(base, entries).catch(() => {
    throw new Refusal(422, 'GitRPC::BadObjectState');
  });
  return { status: 201, body: await treeBody(call, sha, false) };
}

async function treeEntry(call: Call, item: Json, before: ReadonlyMap<string, string>): Promise<TreeInput> {
  const path: string = item.path ?? '';
  const parts = path.split('/');
  if (path === '' || path.includes('\0') || parts.some((part) => ['', '.', '..'].includes(part) || part.toLowerCase() === '.git')) {
    throw new Refusal(422, 'tree.path contains a malformed path component');
  }
  if (item.sha === null) {
    if (!before.has(path)) throw new Refusal(422, 'GitRPC::BadObjectState');
    return { path, mode: '100644', sha: null };
  }
  const expected = typeOfMode[item.mode];
  if (expected === undefined) throw new Refusal(422, 'tree.mode is not a valid file mode');
  if (item.sha !== undefined && item.content !== undefined) throw new Refusal(422, 'Must supply either tree.sha or tree.content');
  if (item.sha === undefined) {
    if (typeof item.content !== 'string') throw new Refusal(422, 'Must supply tree.sha or tree.content');
    return { path, mode: item.mode, sha: await call.repository.git.writeBlob(Buffer.from(item.content)) };
  }
  if (expected !== 'commit' && (await call.repository.git.type(item.sha)) !== expected)
    throw new Refusal(422, `tree.sha ${item.sha} is not a valid ${expected}`);
  return { path, mode: item.mode, sha: item.sha };
}

export async function readTree(call: Call): Promise<Reply> {
  const { git } = call.repository;
  const name = call.params['tree_sha'] ?? '';
  const sha = (await git.read('rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{tree}`))?.trim();
  if (sha === undefined) throw notFound();
  return { status: 200, body: await treeBody(call, sha, call.query.has('recursive')) };
}

async function treeBody(call: Call, sha: string, recursive: boolean): Promise<Json> {
  const entries = await call.repository.git.tree(sha, recursive);
  const tree = entries.map(({ path, mode, type, sha: id, size }) => ({
    path,
    mode,
    type,
    sha: id,
    ...(size === null ? {} : { size }),
    ...(type === 'commit' ? {} : { url: `${apiUrl(call)}/git/${type}s/${id}` }),
  }));
  return { sha, url: `${apiUrl(call)}/git/trees/${sha}`, tree, truncated: false };
}

export async function createCommit(call: Call): Promise<Reply> {
  const { git, verified } = call.repository;
  const { message, tree, parents = [], author, committer } = call.body;
  if ((await git.type(tree)) !== 'tree') throw new Refusal(422, 'Tree SHA does not exist');
  for (const parent of parents) if ((await git.type(parent)) !== 'commit') throw new Refusal(422, `Parent SHA does not exist or is not a commit object`);
  const self = await callerAsPerson(call);
  const given = (person: Json, fallback: Person): Person => (person ? { name: person.name, email: person.email, date: person.date ?? self.date } : fallback);
  // GitHub signs what an App commits in its own name, and nothing that names another author or committer.
  const signed = call.caller.kind === 'installation' && !author && !committer;
  const writer = given(author, self);
  const web: Person = { name: 'GitHub', email: 'noreply@github.com', date: self.date };
  const sha = await git.writeCommit({ tree, parents, message, author: writer, committer: signed ? web : given(committer, writer) });
  if (signed) verified.add(sha);
  return { status: 201, body: await commitBody(call.repository, sha, call.world.url) };
}

async function callerAsPerson(call: Call): Promise<Person> {
  const login = actorLogin(call.world, call.caller);
  const user = await call.world.emulator.call('GET', `/users/${encodeURIComponent(login)}`, { as: call.world.emulator.ownerOf(call.repository.owner) });
  return { name: login, email: `${user.body.id}+${login}@users.noreply.github.com`, date: iso(call.world.now()) };
}

export async function readCommit(call: Call): Promise<Reply> {
  const sha = call.params['commit_sha'] ?? '';
  if ((await call.repository.git.type(sha)) !== 'commit') throw notFound();
  return { status: 200, body: await commitBody(call.repository, sha, call.world.url) };
}

/** A commit in the short form of the Git Data API; `commits/{ref}` wraps it. */
export async function commitBody(repository: StoredRepository, sha: string, url: string): Promise<Json> {
  const format = ['%T', '%P', '%an', '%ae', '%aI', '%cn', '%ce', '%cI', '%B'].join('%x00');
  const [tree = '', parents = '', an, ae, ad = '', cn, ce, cd = '', message = ''] = (
    (await repository.git.read('show', '-s', `--format=${format}`, sha)) ?? ''
  ).split('\0');
  const api = `${url}/repos/${repository.fullName}`;
  const link = (id: string): Json => ({ sha: id, url: `${api}/git/commits/${id}`, html_url: `${url}/${repository.fullName}/commit/${id}` });
  const signed = repository.verified.has(sha);
  return {
    ...link(sha),
    node_id: nodeId('Commit', sha),
    author: { name: an, email: ae, date: iso(Date.parse(ad)) },
    committer: { name: cn, email: ce, date: iso(Date.parse(cd)) },
    message: message.trimEnd(),
    tree: { sha: tree, url: `${api}/git/trees/${tree}` },
    parents: parents.split(' ').filter(Boolean).map(link),
    // The stand-in has no key of GitHub's: it states the verdict, there is no signature in the object.
    verification: { verified: signed, reason: signed ? 'valid' : 'unsigned', signature: null, payload: null, verified_at: signed ? iso(Date.parse(cd)) : null },
  };
}

function refBody(call: Call, ref: string, sha: string, type = 'commit'): Json {
  return { ref, node_id: nodeId('Ref', ref), url: `${apiUrl(call)}/git/${ref}`, object: { sha, type, url: `${apiUrl(call)}/git/${type}s/${sha}` } };
}

export async function createRef(call: Call): Promise<Reply> {
  const { git } = call.repository;
  const { ref, sha } = call.body;
  if (!/^refs\/[^/]+\/./.test(ref) || (await git.read('check-ref-format', ref)) === null) throw new Refusal(422, 'Reference name is not valid');
  if ((await git.type(sha)) !== 'commit') throw new Refusal(422, 'Object does not exist');
  if ((await git.refs(ref)).some((known) => known.ref === ref)) throw new Refusal(422, 'Reference already exists');
  await refuseWorkflows(call, sha);
  await git.setRef(ref, sha);
  return { status: 201, body: refBody(call, ref, sha) };
}

async function refuseWorkflows(call: Call, sha: string): Promise<void> {
  if (granted(call.caller, 'workflows', 'write')) return;
  if ((await call.repository.git.newWorkflows(sha)).length > 0) throw notAccessible();
}

export async function readRef(call: Call): Promise<Reply> {
  const ref = `refs/${call.params['ref'] ?? ''}`;
  const found = (await call.repository.git.refs(ref)).find((known) => known.ref === ref);
  if (!found) throw notFound();
  return { status: 200, body: refBody(call, ref, found.sha, found.type) };
}

export async function matchingRefs(call: Call): Promise<Reply> {
  const prefix = `refs/${call.params['ref'] ?? ''}`;
  const found = (await call.repository.git.refs('refs')).filter((known) => known.ref.startsWith(prefix));
  return { status: 200, body: found.map((known) => refBody(call, known.ref, known.sha, known.type)) };
}

export async function updateRef(call: Call): Promise<Reply> {
  const { git, protectedBranches } = call.repository;
  const ref = `refs/${call.params['ref'] ?? ''}`;
  const { sha, force = false } = call.body;
  const current = (await git.refs(ref)).find((known) => known.ref === ref);
  if (!current) throw new Refusal(422, 'Reference does not exist');
  if ((await git.type(sha)) !== 'commit') throw new Refusal(422, 'Object does not exist');
  if (protectedBranches.has(ref.replace('refs/heads/', ''))) throw new Refusal(422, `Protected branch update failed for ${ref}.`);
  const forward = (await git.read('merge-base', '--is-ancestor', current.sha, sha)) !== null;
  if (!forward && !force) throw new Refusal(422, 'Update is not a fast forward');
  await refuseWorkflows(call, sha);
  await git.setRef(ref, sha);
  return { status: 200, body: refBody(call, ref, sha) };
}

export async function deleteRef(call: Call): Promise<Reply> {
  const { git, protectedBranches } = call.repository;
  const ref = `refs/${call.params['ref'] ?? ''}`;
  if (!(await git.refs(ref)).some((known) => known.ref === ref)) throw new Refusal(422, 'Reference does not exist');
  if (protectedBranches.has(ref.replace('refs/heads/', ''))) throw new Refusal(422, 'Cannot delete a protected branch');
  await git.deleteRef(ref);
  return { status: 204 };
}

export async function listBranches(call: Call): Promise<Reply> {
  const branches = await call.repository.git.refs('refs/heads');
  return paginate(
    branches.map(({ ref, sha }) => {
      const name = ref.replace('refs/heads/', '');
      return { name, commit: { sha, url: `${apiUrl(call)}/commits/${sha}` }, protected: call.repository.protectedBranches.has(name) };
    }),
    call,
  );
}
