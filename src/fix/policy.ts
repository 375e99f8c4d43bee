/**
 * The patch policy: what may leave a VM. Default deny by mode, path, size and content; it judges the same manifest
 * that is published, so there is no second parser that could disagree (research: gh-aw's patch-parser bypass).
 */
import type { TreeEntry } from '../git/mirror.ts';
import type { Patch, RefusalReason } from '../job.ts';
import type { PatchEntry } from './patch.ts';
import { createProtection } from './protect.ts';
import type { Protection } from './protect.ts';

export interface PatchLimits {
  readonly maxFiles: number;
  readonly maxBytes: number;
}

export type Judgement = { readonly ok: true } | { readonly ok: false; readonly reason: RefusalReason; readonly detail: string };

const fine: Judgement = { ok: true };
const refuse = (reason: RefusalReason, detail: string): Judgement => ({ ok: false, reason, detail });

/** `GIT~1`, `GITATT~1`: on NTFS and FAT another name of `.git`, `.gitattributes` and whatever else begins so. */
const shortName = /^[^.~]{1,6}~\d+(\.[^.]{0,3})?$/;

/** What actually differs from the base commit: the guest's idea of base is not trusted. */
export function dropUnchanged(entries: readonly PatchEntry[], base: ReadonlyMap<string, TreeEntry>): readonly PatchEntry[] {
  return entries.filter((entry) => {
    const before = base.get(entry.path);
    return entry.mode === '000000' ? before !== undefined : before?.sha !== entry.sha || before.mode !== entry.mode;
  });
}

/** What tools leave beside their work where nothing ignores it. Nobody means to publish it. */
const debris =
  /(?:^|\/)(?:__pycache__|\.pytest_cache|\.mypy_cache|\.ruff_cache|\.hypothesis|\.tox|\.nox|\.nyc_output|node_modules|[^/]+\.egg-info)\/|\.py[co]$|(?:^|\/)(?:\.coverage|\.DS_Store|nohup\.out)$/;

/** Without new files that only tools made; a file that the base has stays, whatever it is called. */
export function dropDebris(entries: readonly PatchEntry[], base: ReadonlyMap<string, TreeEntry>): readonly PatchEntry[] {
  return entries.filter(({ path }) => base.has(path) || !debris.test(path));
}

/** Judges the list of changes, before any content is fetched. Of a renamed file both names are in it. */
export function judgeEntries(
  entries: readonly PatchEntry[],
  base: ReadonlyMap<string, TreeEntry>,
  limits: PatchLimits,
  protection = createProtection(),
): Judgement {
  if (entries.length > limits.maxFiles) return refuse('patch_too_large', `${entries.length} files, at most ${limits.maxFiles} are allowed`);
  for (const entry of entries) {
    const judgement = judgePath(entry.path, protection);
    if (!judgement.ok) return judgement;
    if (!['100644', '100755', '000000'].includes(entry.mode)) return refuse('patch_mode', `${shown(entry.path)} is a ${modeName(entry.mode)}`);
    const before = base.get(entry.path)?.mode;
    if (before === '160000' || (before === '120000' && entry.mode !== '000000')) return refuse('patch_mode', `${shown(entry.path)} was a ${modeName(before)}`);
  }
  return judgeTogether(entries, base);
}

/** Paths that only together are a problem: equal but for case, or a file where another needs a folder. */
function judgeTogether(entries: readonly PatchEntry[], base: ReadonlyMap<string, TreeEntry>): Judgement {
  const result = new Map(base);
  for (const entry of entries) {
    if (entry.mode === '000000') result.delete(entry.path);
    else result.set(entry.path, { mode: entry.mode, sha: entry.sha, size: null });
  }
  const folded = new Map<string, string>();
  for (const path of result.keys()) folded.set(fold(path), (folded.has(fold(path)) ? '\0' : '') + path);
  for (const { path, mode } of entries) {
    if (mode === '000000') continue;
    if (folded.get(fold(path))?.startsWith('\0')) return refuse('patch_path', `${shown(path)} differs from another path only by case`);
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      if (result.has(path.slice(0, cut))) return refuse('patch_path', `${shown(path)} lies below something that is not a folder`);
    }
  }
  return fine;
}

/** Judges one path: its own form, then whether it is protected. */
export function judgePath(path: string, protection: Protection = createProtection()): Judgement {
  const segments = path.split('/');
  if (path.length === 0 || Buffer.byteLength(path) > 512 || segments.length > 20) return refuse('patch_path', `${shown(path)} is too long or too deep`);
  if (/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\\]/u.test(path) || path !== path.normalize('NFC'))
    return refuse('patch_path', `${shown(path)} has characters that are not allowed`);
  for (const segment of segments) {
    const plain = fold(segment).replace(/[. ]+$/, '');
    if (plain === '' || segment !== segment.trim() || segment.endsWith('.') || plain === '.git' || shortName.test(plain) || plain.startsWith('.git:')) {
      return refuse('patch_path', `${shown(path)} is not a path that a repository should hold`);
    }
  }
  if (protection.decide(path).verdict === 'refuse') return refuse('patch_protected_path', `${shown(path)} is protected: change it by hand`);
  return fine;
}

/** Judges the content: nothing that this process must keep secret may leave through a patch. */
export function judgeContent(patch: Patch, leaks: (text: string) => boolean): Judgement {
  for (const file of patch.files) {
    if (leaks(file.path)) return refuse('patch_secret', 'a path holds a secret of this installation');
    if (file.change.kind !== 'write') continue;
    const text = Buffer.from(file.change.content).toString('utf8');
    if (text.startsWith('version https://git-lfs.github.com/spec/')) return refuse('patch_mode', `${shown(file.path)} is a Git LFS pointer`);
    if (leaks(text)) return refuse('patch_secret', `${shown(file.path)} holds a secret of this installation`);
  }
  return fine;
}

const fold = (path: string): string => path.normalize('NFKC').toLowerCase();

/** A path from a VM in a form that can be shown: one line, no controls, bounded. */
export function shown(path: string): string {
  return JSON.stringify(path.slice(0, 200)).replace(/[^\x20-\x7e]/g, '?');
}

const modeName = (mode: string): string => ({ '120000': 'symbolic link', '160000': 'submodule' })[mode] ?? `file of mode ${mode}`;
