/** What GitHub tells about commits and files: contents, comparisons, diffs, archives. All read from the bare repository. */
import { randomUUID } from 'node:crypto';
import { commitBody } from './git-data.ts';
import { notFound, paginate, type Call, type Json, type Reply, type StoredRepository, type World } from './world.ts';

const statusWords: Readonly<Record<string, string>> = { A: 'added', M: 'modified', D: 'removed', R: 'renamed', C: 'copied', T: 'changed' };

/** The files between two commits, as `pulls/{n}/files` and `compare` list them. */
export async function changedFiles(repository: StoredRepository, base: string, head: string, url: string): Promise<Json[]> {
  const { git } = repository;
  const raw = ((await git.read('diff-tree', '-r', '-M', '-z', '--raw', '--abbrev=40', base, head)) ?? '').split('\0');
  const numbers = ((await git.read('diff-tree', '-r', '-M', '--numstat', base, head)) ?? '').trim().split('\n');
  const patches = ((await git.read('diff-tree', '-r', '-M', '-p', base, head)) ?? '').split(/^diff --git .*\n/m).slice(1);
  const files: Json[] = [];
  for (let at = 0; at + 1 < raw.length;) {
    const [, , , sha = '', letter = ''] = (raw[at] ?? '').split(' ');
    const moved = letter.startsWith('R') || letter.startsWith('C');
    const [additions, deletions] = (numbers[files.length] ?? '').split('\t').map((value) => Number(value) || 0);
    const patch = /^@@[^]*/m.exec(patches[files.length] ?? '')?.[0].trimEnd();
    const filename = raw[at + (moved ? 2 : 1)] ?? '';
    const path = encodeURIComponent(filename).replaceAll('%2F', '/');
    files.push({
      sha: /^0+$/.test(sha) ? null : sha,
      filename,
      status: statusWords[letter[0] ?? ''] ?? 'changed',
      additions: additions ?? 0,
      deletions: deletions ?? 0,
      changes: (additions ?? 0) + (deletions ?? 0),
      blob_url: `${url}/${repository.fullName}/blob/${head}/${path}`,
      raw_url: `${url}/${repository.fullName}/raw/${head}/${path}`,
      contents_url: `${url}/repos/${repository.fullName}/contents/${path}?ref=${head}`,
      ...(patch === undefined ? {} : { patch }),
      ...(moved ? { previous_filename: raw[at + 1] } : {}),
    });
    at += moved ? 3 : 2;
  }
  return files;
}

/** GitHub knows its accounts by the addresses that it gave them. */
function accountOf(email: string): Json {
  const [, id, login] = /^(\d+)\+(.+)@users\.noreply\.github\.com$/.exec(email) ?? [];
  return login === undefined ? null : { login, id: Number(id), type: login.endsWith('[bot]') ? 'Bot' : 'User' };
}

/** The commit in the long form of `commits/{ref}`. */
export async function longCommit(repository: StoredRepository, sha: string, url: string): Promise<Json> {
  const { sha: id, node_id, html_url, author, committer, message, tree, parents, verification, url: gitUrl } = await commitBody(repository, sha, url);
  const api = `${url}/repos/${repository.fullName}/commits/${id}`;
  const commit = { url: gitUrl, author, committer, message, tree, comment_count: 0, verification };
  return { sha: id, node_id, url: api, html_url, comments_url: `${api}/comments`, commit, author: accountOf(author.email), committer: null, parents };
}

export async function readLongCommit(call: Call): Promise<Reply> {
  const { repository, world } = call;
  const sha = await repository.git.resolve(call.params['ref'] ?? '');
  if (sha === null) throw notFound();
  if (call.accept.includes('sha')) return text('application/vnd.github.sha', sha);
  const parent = (await repository.git.resolve(`${sha}^`)) ?? '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
  const body = await longCommit(repository, sha, world.url);
  return { status: 200, body: { ...body, files: await changedFiles(repository, parent, sha, world.url) } };
}

export async function listCommits(call: Call): Promise<Reply> {
  const { repository, world } = call;
  const start = await repository.git.resolve(call.query.get('sha') ?? 'main');
  if (start === null) throw notFound();
  const path = call.query.get('path');
  const shas = ((await repository.git.read('rev-list', start, ...(path === null ? [] : ['--', path]))) ?? '').split('\n').filter(Boolean);
  const page = paginate(shas, call);
  return { ...page, body: await Promise.all(page.body.map((sha: string) => longCommit(repository, sha, world.url))) };
}

export async function commitsBetween(repository: StoredRepository, base: string, head: string): Promise<string[]> {
  return ((await repository.git.read('rev-list', '--reverse', `${base}..${head}`)) ?? '').split('\n').filter(Boolean);
}

export async function mergeBase(repository: StoredRepository, base: string, head: string): Promise<string> {
  return (await repository.git.read('merge-base', base, head))?.trim() ?? base;
}

export async function compare(call: Call): Promise<Reply> {
  const { repository, world, params } = call;
  const [from = '', to = ''] = params['basehead']?.split('...') ?? [params['base'] ?? '', params['head'] ?? ''];
  const own = (name: string): string => name.replace(`${repository.owner}:`, '');
  const base = await repository.git.resolve(own(from));
  const head = await repository.git.resolve(own(to));
  if (base === null || head === null) throw notFound();
  const fork = await mergeBase(repository, base, head);
  const media = await diffMedia(call, fork, head);
  if (media) return media;
  const ahead = await commitsBetween(repository, base, head);
  const behind = await commitsBetween(repository, head, base);
  const status = ahead.length > 0 ? (behind.length > 0 ? 'diverged' : 'ahead') : behind.length > 0 ? 'behind' : 'identical';
  const body = {
    url: `${world.url}${call.target}`,
    html_url: `${world.url}/${repository.fullName}/compare/${from}...${to}`,
    base_commit: await longCommit(repository, base, world.url),
    merge_base_commit: await longCommit(repository, fork, world.url),
    status,
    ahead_by: ahead.length,
    behind_by: behind.length,
    total_commits: ahead.length,
    commits: await Promise.all(ahead.map((sha) => longCommit(repository, sha, world.url))),
    // GitHub lists no more: https://docs.github.com/en/rest/commits/commits#compare-two-commits
    files: (await changedFiles(repository, fork, head, world.url)).slice(0, 300),
  };
  return { status: 200, body };
}

/** The diff or patch as text when the media type asks for it, else null. */
export async function diffMedia(call: Call, base: string, head: string): Promise<Reply | null> {
  const kind = /application\/vnd\.github\.(?:v3\.)?(diff|patch)/.exec(call.accept)?.[1];
  if (kind === undefined) return null;
  const { git } = call.repository;
  const output = kind === 'diff' ? await git.read('diff', '-M', base, head) : await git.read('format-patch', '--stdout', '--no-signature', `${base}..${head}`);
  return text(`application/vnd.github.${kind}; charset=utf-8`, output ?? '');
}

function text(type: string, body: string): Reply {
  return { status: 200, headers: { 'content-type': type }, body: Buffer.from(body) };
}

export async function readContents(call: Call): Promise<Reply> {
  const { repository } = call;
  const commit = await repository.git.resolve(call.query.get('ref') ?? 'main');
  const path = (call.params['path'] ?? '').replace(/^\.$|^\/+|\/+$/g, '');
  if (commit === null) throw notFound();
  const directory = path === '' ? commit : `${commit}:${path}`;
  const parent = path.includes('/') ? `${commit}:${path.slice(0, path.lastIndexOf('/'))}` : commit;
  const entry = path === '' ? undefined : (await repository.git.tree(parent, false)).find((item) => item.path === path.slice(path.lastIndexOf('/') + 1));
  if (path !== '' && !entry) throw notFound();
  if (entry && entry.type !== 'tree') return fileContents(call, path, entry, commit);
  const entries = await repository.git.tree(directory, false);
  return { status: 200, body: entries.map((item) => contentsItem(call, path === '' ? item.path : `${path}/${item.path}`, item, commit)) };
}

async function fileContents(call: Call, path: string, entry: Json, commit: string): Promise<Reply> {
  const item = contentsItem(call, path, entry, commit);
  if (entry.type === 'commit') return { status: 200, body: item };
  const bytes = (await call.repository.git.bytes('cat-file', 'blob', entry.sha)) ?? Buffer.alloc(0);
  if (call.accept.includes('raw')) return { status: 200, headers: { 'content-type': 'application/vnd.github.raw+json; charset=utf-8' }, body: bytes };
  if (entry.mode === '120000') return { status: 200, body: { ...item, target: bytes.toString() } };
  // Above 1 MB GitHub gives no content in JSON: the caller has to ask for the raw media type.
  const large = bytes.length > 1_048_576;
  return { status: 200, body: { ...item, encoding: large ? 'none' : 'base64', content: large ? '' : bytes.toString('base64').replace(/.{60}/g, '$&\n') } };
}

function contentsItem(call: Call, path: string, entry: Json, commit: string): Json {
  const { repository, world } = call;
  const escaped = encodeURIComponent(path).replaceAll('%2F', '/');
  const type = entry.type === 'tree' ? 'dir' : entry.type === 'commit' ? 'submodule' : entry.mode === '120000' ? 'symlink' : 'file';
  const url = `${world.url}/repos/${repository.fullName}/contents/${escaped}?ref=${commit}`;
  const git = `${world.url}/repos/${repository.fullName}/git/${entry.type === 'tree' ? 'trees' : 'blobs'}/${entry.sha}`;
  const html = `${world.url}/${repository.fullName}/blob/${commit}/${escaped}`;
  const name = path.slice(path.lastIndexOf('/') + 1);
  return { name, path, sha: entry.sha, size: entry.size ?? 0, url, html_url: html, git_url: git, download_url: null, type, _links: { self: url, git, html } };
}

/** GitHub answers with a short-lived address on another host, which needs no token. */
export async function redirectArchive(call: Call): Promise<Reply> {
  const { repository, world } = call;
  const sha = await repository.git.resolve(call.params['ref'] ?? 'main');
  if (sha === null) throw notFound();
  const key = randomUUID();
  world.archives.set(key, { repository, sha, format: call.target.includes('/zipball') ? 'zip' : 'tar.gz' });
  return { status: 302, headers: { location: `${world.url}/codeload/${key}` } };
}

export async function readArchive(world: World, key: string): Promise<Reply> {
  const archive = world.archives.get(key);
  if (!archive) throw notFound();
  const { repository, sha, format } = archive;
  const prefix = `${repository.owner}-${repository.name}-${sha.slice(0, 7)}/`;
  const body = await repository.git.bytes('archive', `--format=${format}`, `--prefix=${prefix}`, sha);
  return { status: 200, headers: { 'content-type': format === 'zip' ? 'application/zip' : 'application/x-gzip' }, body: body ?? Buffer.alloc(0) };
}
