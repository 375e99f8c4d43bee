/**
 * Takes the patch out of a VM as plain data: a list of changed paths against the baseline, then the bytes that git
 * would store (filters run in the guest). The guest is hostile, so both answers are parsed under limits, and no git
 * runs on the host over them.
 */
import { createHash } from 'node:crypto';
import { FixError } from '../errors.ts';
import type { Patch, PatchFile } from '../job.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { collect } from './collect.ts';

/** One line of `git diff-index --raw`: what the VM says has changed. Unchecked. */
export interface PatchEntry {
  readonly path: string;
  /** `000000` when deleted. */
  readonly mode: string;
  readonly sha: string;
}

/** 10,000 entries of 512-byte paths: far above any patch that the policy lets through. */
const maxListBytes = 6 * 2 ** 20;

/** The guest's settings that could hide a change, run something or point elsewhere. Paths are those of the work tree, whatever its configuration says. */
const pinned = `
export GIT_DIR=.git GIT_WORK_TREE=. GIT_NO_REPLACE_OBJECTS=1
pinned() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.fileMode=true -c core.sparseCheckout=false "$@"; }
`;

// A copy of the agent's index says what it tracks and spares hashing unchanged files; `-p`, because git takes a file as
// new as the index for one that may have changed. An index that cannot be read is made anew.
const listScript = `${pinned}
set -e
GIT_INDEX_FILE=$(mktemp)
export GIT_INDEX_FILE
trap 'rm -f "$GIT_INDEX_FILE"' EXIT
add() { pinned -c advice.addEmbeddedRepo=false add -A >/dev/null; }
cp -p .git/index "$GIT_INDEX_FILE" 2>/dev/null && add 2>/dev/null || { rm -f "$GIT_INDEX_FILE"; pinned read-tree "$1"; add; }
pinned diff-index --cached --raw --no-renames --no-abbrev --ignore-submodules=none -z "$1" --
`;

const baselineScript = `${pinned}
set -e
pinned add -A
pinned -c commit.gpgsign=false commit -q --allow-empty --no-verify -m 'The tree after setup'
git rev-parse HEAD
`;

/** The tree after setup, committed in the guest; what the agent changes is measured against it. Returns the commit's id. */
export async function commitBaseline(sandbox: Sandbox, signal: AbortSignal): Promise<string> {
  const result = await sandbox.exec(['sh', '-c', baselineScript], { signal, timeoutMs: 600_000 });
  const sha = result.stdout.trim();
  if (result.exitCode !== 0 || !/^[0-9a-f]{40}$/.test(sha)) {
    throw new FixError('clone_failed', { details: { step: 'baseline', ended: result.ended, stderr: result.stderr.slice(-2000) } });
  }
  return sha;
}

/** Lists what differs from the baseline: tracked changes and new unignored files. Throws `patch_unreadable`. */
export async function listChanges(sandbox: Sandbox, baselineSha: string, signal: AbortSignal): Promise<readonly PatchEntry[] | 'too_large'> {
  const sink = collect(maxListBytes);
  const result = await sandbox.exec(['sh', '-c', listScript, 'sh', baselineSha], { stdout: sink, signal, timeoutMs: 300_000 });
  if (result.ended === 'output_sink') return 'too_large';
  if (result.exitCode !== 0) throw new FixError('patch_unreadable', { details: { step: 'list', ended: result.ended, stderr: result.stderr.slice(-2000) } });
  return parseRaw(sink.bytes());
}

/** Parses `:oldmode newmode oldsha newsha S\0path\0`, strictly. */
export function parseRaw(raw: Buffer): readonly PatchEntry[] {
  const entries = new Map<string, PatchEntry>();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let at = 0; at < raw.length;) {
    const headerEnd = raw.indexOf(0, at);
    const pathEnd = headerEnd < 0 ? -1 : raw.indexOf(0, headerEnd + 1);
    if (pathEnd < 0) throw new FixError('patch_unreadable', { details: { step: 'parse' } });
    const header = /^:(\d{6}) (\d{6}) [0-9a-f]{40} ([0-9a-f]{40}) [AMDT]$/.exec(raw.toString('latin1', at, headerEnd));
    if (!header) throw new FixError('patch_unreadable', { details: { step: 'parse' } });
    const path = decodePath(decoder, raw.subarray(headerEnd + 1, pathEnd));
    if (entries.has(path)) throw new FixError('patch_unreadable', { details: { step: 'parse', reason: 'a path twice' } });
    entries.set(path, { mode: header[2] ?? '', sha: header[3] ?? '', path });
    at = pathEnd + 1;
  }
  return [...entries.values()];
}

/** A path that is not UTF-8 becomes one that the policy refuses, and still can be named. */
function decodePath(decoder: TextDecoder, bytes: Buffer): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return `${bytes.toString('latin1').replaceAll('\\', '/')}\\not-utf-8`;
  }
}

/** Fetches the bytes of the entries and makes the patch. `too_large` past `maxBytes` in all. */
export async function fetchPatch(
  sandbox: Sandbox,
  entries: readonly PatchEntry[],
  options: { baseSha: string; maxBytes: number; signal: AbortSignal },
): Promise<Patch | 'too_large'> {
  const written = entries.filter((entry) => entry.mode !== '000000');
  const blobs = await fetchBlobs(sandbox, [...new Set(written.map((entry) => entry.sha))], options);
  if (blobs === 'too_large') return blobs;
  // Files with the same bytes are fetched once, but published each.
  const total = written.reduce((sum, entry) => sum + (blobs.get(entry.sha)?.length ?? 0), 0);
  if (total > options.maxBytes) return 'too_large';
  const files = entries.map((entry): PatchFile => {
    if (entry.mode === '000000') return { path: entry.path, change: { kind: 'delete' } };
    const content = blobs.get(entry.sha);
    if (content === undefined) throw new FixError('patch_unreadable', { details: { step: 'blob' } });
    return { path: entry.path, change: { kind: 'write', mode: entry.mode === '100755' ? '100755' : '100644', content } };
  });
  return { baseSha: options.baseSha, files };
}

async function fetchBlobs(
  sandbox: Sandbox,
  shas: readonly string[],
  options: { maxBytes: number; signal: AbortSignal },
): Promise<ReadonlyMap<string, Buffer> | 'too_large'> {
  if (shas.length === 0) return new Map();
  const sink = collect(options.maxBytes + shas.length * 64);
  const result = await sandbox.exec(['sh', '-c', `${pinned} pinned cat-file --batch`], {
    stdin: shas.map((sha) => `${sha}\n`).join(''),
    stdout: sink,
    signal: options.signal,
    timeoutMs: 300_000,
  });
  if (result.ended === 'output_sink') return 'too_large';
  if (result.exitCode !== 0) throw new FixError('patch_unreadable', { details: { step: 'blobs', stderr: result.stderr.slice(-2000) } });
  return parseBatch(sink.bytes());
}

/** Parses `sha blob size\n<bytes>\n`; each blob has to hash to its name, so that a lying guest cannot shift the frames. */
export function parseBatch(bytes: Buffer): ReadonlyMap<string, Buffer> {
  const blobs = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf(0x0a, at);
    const line = /^([0-9a-f]{40}) blob (\d{1,10})$/.exec(bytes.toString('latin1', at, Math.max(lineEnd, at)));
    const start = lineEnd + 1;
    const end = start + Number(line?.[2] ?? Number.NaN);
    if (!line || end >= bytes.length) throw new FixError('patch_unreadable', { details: { step: 'batch' } });
    const content = bytes.subarray(start, end);
    if (createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex') !== line[1]) {
      throw new FixError('patch_unreadable', { details: { step: 'hash' } });
    }
    blobs.set(line[1] ?? '', content);
    at = end + 1;
  }
  return blobs;
}
