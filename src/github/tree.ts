/** A patch as a Git tree at GitHub: made in one call on top of the base, then read back and compared. */
import { createHash } from 'node:crypto';
import { FixError } from '../errors.ts';
import type { PatchFile } from '../job.ts';
import { hasStatus } from './failure.ts';
import type { Session } from './session.ts';

interface Change {
  readonly path: string;
  readonly mode: '100644' | '100755';
  /** Null: deleted. */
  readonly bytes: Uint8Array | null;
  /** What goes into the call: the text itself, the blob of a binary file, or null for deleted. */
  readonly entry: { readonly content: string } | { readonly sha: string | null };
}

type Listing = ReadonlyMap<string, { readonly mode: string; readonly sha: string }>;

/** Resolves with the tree's id. Throws `base_unknown` when the base commit is not there any more. */
export async function writeTree(session: Session, patch: { baseSha: string; files: readonly PatchFile[] }): Promise<string> {
  const { octokit, at } = session;
  const changes: Change[] = [];
  for (const file of patch.files) changes.push(await prepare(session, file));
  const entries = changes.map(({ path, mode, entry }) => ({ path, mode, type: 'blob' as const, ...entry }));
  const { data } = await octokit.rest.git.createTree({ ...at, base_tree: await readTree(session, patch.baseSha), tree: entries });
  await verify(session, data.sha, changes);
  return data.sha;
}

/** The tree of a commit. Throws `base_unknown`. */
export async function readTree({ octokit, at }: Session, sha: string): Promise<string> {
  try {
    return (await octokit.rest.git.getCommit({ ...at, commit_sha: sha })).data.tree.sha;
  } catch (error) {
    if (hasStatus(error, 404, 422)) throw new FixError('base_unknown', { details: { sha } });
    throw error;
  }
}

async function prepare({ octokit, at }: Session, { path, change }: PatchFile): Promise<Change> {
  if (change.kind === 'delete') return { path, mode: '100644', bytes: null, entry: { sha: null } };
  const text = readText(change.content);
  const entry = text !== null ? { content: text } : await uploadBlob(change.content);
  return { path, mode: change.mode, bytes: change.content, entry };

  async function uploadBlob(content: Uint8Array): Promise<{ sha: string }> {
    const { data } = await octokit.rest.git.createBlob({ ...at, content: Buffer.from(content).toString('base64'), encoding: 'base64' });
    return { sha: data.sha };
  }
}

/** Null when the bytes are not text that JSON carries without loss. A byte order mark is part of the file. */
function readText(content: Uint8Array): string | null {
  if (content.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    return null;
  }
}

/** What GitHub stored is what was asked for, byte by byte: modes, contents by their Git id, and deletions. */
async function verify(session: Session, treeSha: string, changes: readonly Change[]): Promise<void> {
  const read = createTreeReader(session);
  for (const { path, mode, bytes } of changes) {
    const folders = path.split('/');
    const name = folders.pop() ?? '';
    let listing: Listing | null = await read(treeSha);
    for (const folder of folders) {
      const found: { mode: string; sha: string } | undefined = listing?.get(folder);
      listing = found?.mode === '040000' ? await read(found.sha) : null;
    }
    const stored = listing?.get(name);
    const asAsked = bytes === null ? stored === undefined : stored?.mode === mode && stored.sha === blobId(bytes, treeSha.length);
    if (!asAsked) throw new FixError('github_refused', { details: { reason: 'GitHub stored a file differently', path, mode, stored } });
  }
}

/** Reads each folder once. Folder by folder, because a recursive listing of a large repository is cut off. */
function createTreeReader({ octokit, at }: Session): (sha: string) => Promise<Listing> {
  const known = new Map<string, Listing>();
  return async (sha) => {
    const before = known.get(sha);
    if (before) return before;
    const { data } = await octokit.rest.git.getTree({ ...at, tree_sha: sha });
    const listing = new Map(data.tree.map(({ path, mode, sha }) => [path, { mode, sha }]));
    known.set(sha, listing);
    return listing;
  };
}

/** Git's own name for these bytes. */
function blobId(bytes: Uint8Array, idLength: number): string {
  return createHash(idLength === 64 ? 'sha256' : 'sha1')
    .update(`blob ${bytes.length}\0`)
    .update(bytes)
    .digest('hex');
}
