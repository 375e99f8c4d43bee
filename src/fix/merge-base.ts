/**
 * Puts the changes of a branch onto the tip of its base, in the guest: the host only compares ids and hands bytes over.
 * What one side changed is taken as it is; what both changed is merged by lines, with what is left between markers.
 */
import { FixError } from '../errors.ts';
import type { Snapshot, TreeEntry } from '../git/mirror.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { isSame } from './held.ts';

export interface MergeRequest {
  /** What the workspace holds: the tip of the base. */
  readonly base: Snapshot;
  readonly head: Snapshot;
  /** Where the two parted. */
  readonly fork: Snapshot;
  readonly limits: { readonly maxFiles: number; readonly maxBytes: number };
  /** Of this run: its markers are told from those that a file may hold anyway. */
  readonly label: string;
  readonly signal: AbortSignal;
}

export interface Merged {
  /** Taken over, or merged without a conflict. */
  readonly clean: readonly string[];
  /** Left between markers. */
  readonly marked: readonly string[];
  /** Not mergeable by lines: the base's version stands. */
  readonly standing: readonly string[];
}

/** Markers with names of this run. */
const labels = (label: string): readonly [string, string, string] => [`pull request ${label}`, `where they parted ${label}`, `base ${label}`];

/** Whether a text still holds a marker of this run. */
export function hasMarkers(text: string, label: string): boolean {
  const [ours, fork, base] = labels(label);
  const markers = [`<<<<<<< ${ours}`, `||||||| ${fork}`, `>>>>>>> ${base}`];
  return text.split('\n').some((line) => markers.includes(line.trimEnd()));
}

/** Null when the branch changes more than a patch may. */
export async function mergeOntoBase(sandbox: Sandbox, request: MergeRequest): Promise<Merged | null> {
  const { base, head, fork, limits, signal } = request;
  const [atBase, atHead, atFork] = [await base.tree(signal), await head.tree(signal), await fork.tree(signal)];
  const paths = [...new Set([...atHead.keys(), ...atFork.keys()])].filter((path) => !isSame(atHead.get(path), atFork.get(path)));
  const bytes = paths.reduce((sum, path) => sum + (atHead.get(path)?.size ?? 0), 0);
  if (paths.length > limits.maxFiles || bytes > limits.maxBytes) return null;
  const merged = { clean: [] as string[], marked: [] as string[], standing: [] as string[] };
  for (const path of paths) {
    const [ours, theirs, before] = [atHead.get(path), atBase.get(path), atFork.get(path)];
    if (isSame(ours, theirs)) continue;
    merged[await mergeOne(sandbox, request, { path, ours, theirs, before })].push(path);
  }
  return merged;
}

const isPlain = (entry: TreeEntry | undefined): entry is TreeEntry => entry !== undefined && entry.mode.startsWith('100');

interface Versions {
  readonly path: string;
  readonly ours: TreeEntry | undefined;
  readonly theirs: TreeEntry | undefined;
  readonly before: TreeEntry | undefined;
}

async function mergeOne(sandbox: Sandbox, request: MergeRequest, { path, ours, theirs, before }: Versions): Promise<keyof Merged> {
  const { head, signal } = request;
  const target = `/workspace/${path}`;
  if (isSame(theirs, before)) {
    if (ours === undefined) await run(sandbox, ['rm', '-f', '--', path], signal);
    else if (isPlain(ours)) await sandbox.put(target, await readWhole(head, path, request), { mode: modeOf(ours), signal });
    else return 'standing';
    return 'clean';
  }
  if (!isPlain(ours) || !isPlain(theirs) || (before !== undefined && !isPlain(before))) return 'standing';
  return await mergeLines(sandbox, request, { path, mode: modeOf(ours), isNew: before === undefined });
}

const modeOf = ({ mode }: TreeEntry): number => (mode === '100755' ? 0o755 : 0o644);

/** $1 folder of the three versions, $2 to $4 labels. Its exit code is the number of conflicts, or above 127. */
const mergeScript = `cd "$1" && exec git -c core.attributesFile=/dev/null merge-file --diff3 -L "$2" -L "$3" -L "$4" ours before theirs`;
const placeScript = `cat < "$1/ours" > "$2" && chmod "$3" -- "$2"`;

async function mergeLines(
  sandbox: Sandbox,
  request: MergeRequest,
  { path, mode, isNew }: { path: string; mode: number; isNew: boolean },
): Promise<keyof Merged> {
  const { base, head, fork, label, signal } = request;
  const folder = `/tmp/mayfly-merge-${crypto.randomUUID().slice(0, 8)}`;
  const versions = [
    ['ours', await readWhole(head, path, request)],
    ['before', isNew ? Buffer.alloc(0) : await readWhole(fork, path, request)],
    ['theirs', await readWhole(base, path, request)],
  ] as const;
  for (const [name, content] of versions) await sandbox.put(`${folder}/${name}`, content, { signal });
  const { exitCode } = await sandbox.exec(['sh', '-c', mergeScript, 'sh', folder, ...labels(label)], { signal, timeoutMs: 60_000 });
  signal.throwIfAborted();
  const fits = exitCode !== null && exitCode <= 127;
  if (fits) await run(sandbox, ['sh', '-c', placeScript, 'sh', folder, path, mode.toString(8)], signal);
  await run(sandbox, ['rm', '-rf', '--', folder], signal);
  return !fits ? 'standing' : exitCode === 0 ? 'clean' : 'marked';
}

async function readWhole(snapshot: Snapshot, path: string, { limits, signal }: MergeRequest): Promise<Buffer> {
  const content = await snapshot.readFile(path, limits.maxBytes, signal);
  if (content === null) throw new FixError('repository_too_large', { details: { path: path.slice(0, 200) } });
  return content;
}

async function run(sandbox: Sandbox, argv: readonly string[], signal: AbortSignal): Promise<void> {
  const result = await sandbox.exec(argv, { signal, timeoutMs: 60_000 });
  if (result.exitCode === 0) return;
  signal.throwIfAborted();
  throw new FixError('guest_file_failed', { details: { command: argv[0], stderr: result.stderr.slice(0, 500) } });
}
