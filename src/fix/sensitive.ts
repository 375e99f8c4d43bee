/** What a patch changes that a person should look at before anything else: it decides what is installed, shipped or run. */
import { usualRegistries } from '../settings/presets.ts';
import type { TreeEntry } from '../git/mirror.ts';
import type { Patch, PatchFile } from '../job.ts';
import type { ReadBase } from '../proof/base-rules.ts';
import { isLockfile } from './protect.ts';
import type { Protection } from './protect.ts';

export interface SensitivePath {
  /** Hostile text. */
  readonly path: string;
  /** What about it, as the rest of a sentence; may hold names of hosts. */
  readonly why: string;
}

export interface BaseCommit {
  readonly tree: ReadonlyMap<string, TreeEntry>;
  readonly read: ReadBase;
}

const maxWorkflows = 30;
/** Of each; a longer one is looked at in its beginning. */
const maxWorkflowCharacters = 65_536;
const maxHosts = 20;

/** In the order of the patch. */
export async function findSensitive(patch: Patch, base: BaseCommit, protection: Protection): Promise<readonly SensitivePath[]> {
  const run = await readWhatCiRuns(base);
  const found: SensitivePath[] = [];
  for (const file of patch.files) {
    const { verdict, named } = protection.decide(file.path);
    if (verdict === 'allow' && named) continue;
    const reasons = await findReasons(file, base, { run, isAsked: verdict === 'ask', named });
    if (reasons.length > 0) found.push({ path: file.path, why: reasons.join('; ') });
  }
  return found;
}

async function findReasons(file: PatchFile, base: BaseCommit, about: { run: CiWords; isAsked: boolean; named: boolean }): Promise<readonly string[]> {
  const { path } = file;
  if (isLockfile(path)) {
    const hosts = await findNewHosts(file, base);
    return [hosts.length === 0 ? 'it decides what is installed' : `packages come from hosts that were not in it before: ${hosts.join(', ')}`];
  }
  return [
    ...(about.isAsked ? [about.named ? 'the settings of this repository ask for a look' : 'it decides what is built and shipped'] : []),
    ...((await changesScripts(file, base)) ? ['its scripts change, which run by themselves'] : []),
    ...(isNamedIn(about.run, path) ? ['a workflow runs it'] : []),
  ];
}

const textOf = ({ change }: PatchFile): string => (change.kind === 'write' ? Buffer.from(change.content).toString('utf8') : '');

/** Hosts in addresses of a lockfile that were not in it; of a new one, those that are no package registry that is open anyway. */
async function findNewHosts(file: PatchFile, base: BaseCommit): Promise<readonly string[]> {
  const before = await base.read(file.path);
  const known = new Set(before === null ? usualRegistries : hostsIn(before));
  return hostsIn(textOf(file))
    .filter((host) => !known.has(host))
    .slice(0, maxHosts);
}

/** What installers would connect to, however it is written: any case, with the escapes of JSON, behind names and passwords. Linear. */
function hostsIn(text: string): readonly string[] {
  const plain = text.replace(/\\u([\da-f]{4})|\\\//gi, (_whole, code?: string) => (code === undefined ? '/' : String.fromCodePoint(Number.parseInt(code, 16))));
  const matches = plain.matchAll(/(?:https?|ssh|git):\/\/([^\s/?#"'<>\\]+)/gi);
  return [...new Set([...matches].map(([, authority = '']) => hostOf(authority)))].filter((host) => host !== '');
}

/** Whatever stands before the last `@` is no host, though it may look like one. */
function hostOf(authority: string): string {
  const host = authority.slice(authority.lastIndexOf('@') + 1).slice(0, 253);
  return host
    .replace(/[,;)]+$/, '')
    .replace(/:\d*$/, '')
    .toLowerCase();
}

async function changesScripts(file: PatchFile, base: BaseCommit): Promise<boolean> {
  if (!/(?:^|\/)package\.json$/i.test(file.path)) return false;
  return scriptsOf(textOf(file)) !== scriptsOf((await base.read(file.path)) ?? '{}');
}

/** What npm would run; of what cannot be read, the whole text. */
function scriptsOf(text: string): string {
  try {
    const { scripts } = JSON.parse(text) as { scripts?: unknown };
    return JSON.stringify(scripts ?? {});
  } catch {
    return text;
  }
}

/** What the workflows and actions of a repository name. */
interface CiWords {
  readonly words: ReadonlySet<string>;
  /** Stands for the Makefile. */
  readonly make: boolean;
}

async function readWhatCiRuns({ tree, read }: BaseCommit): Promise<CiWords> {
  const paths = [...tree.keys()].filter((path) => /^\.github\/(?:workflows\/[^/]+|actions\/.+\/action)\.ya?ml$/.test(path)).slice(0, maxWorkflows);
  const words = new Set<string>();
  let make = false;
  for (const path of paths) {
    const text = ((await read(path)) ?? '').slice(0, maxWorkflowCharacters);
    make ||= /(?:^|[^\w.-])make(?:$|[^\w.-])/m.test(text);
    for (const [word] of text.matchAll(wordPattern)) for (const form of formsOf(word)) words.add(form);
  }
  return { words, make };
}

/** Of a path; what stands between two of them ends one. */
const wordPattern = /[\p{L}\p{N}_./-]+/gu;

/** As it is written, and without what stands around a path: `./tools/check.sh`, `$HOME/../check.sh`, a full stop. */
function formsOf(word: string): readonly string[] {
  let end = word.length;
  while (word[end - 1] === '.') end--;
  const plain = word.slice(0, end);
  const at = plain.lastIndexOf('./');
  return [word, plain, at < 0 ? plain : plain.slice(at + 2)];
}

/** Whether the workflows name that file. One with a space in its name is looked for in its pieces: rather one look too many. */
function isNamedIn({ words, make }: CiWords, path: string): boolean {
  if (/^(?:GNU)?makefile$/i.test(path)) return make;
  const pieces = path.match(wordPattern) ?? [];
  return pieces.length > 0 && pieces.every((piece) => words.has(piece));
}
