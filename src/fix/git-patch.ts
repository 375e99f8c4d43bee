/**
 * A patch as the text that `git apply` takes, written by the host from data: no git runs over what a VM wrote.
 * Format: https://git-scm.com/docs/diff-generate-patch ; binary files as `GIT binary patch` literals.
 */
import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { structuredPatch } from 'diff';
import type { PatchFile } from '../job.ts';

/** What a path held at base; null when it did not exist. */
export interface Before {
  readonly mode: string;
  readonly content: Buffer;
}

/** The whole patch; `before` answers for each path at the base commit. */
export async function writeGitPatch(files: readonly PatchFile[], before: (path: string) => Promise<Before | null>): Promise<string> {
  const parts: string[] = [];
  for (const file of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) parts.push(fileDiff(file, await before(file.path)));
  return parts.join('');
}

function fileDiff(file: PatchFile, before: Before | null): string {
  const after = file.change.kind === 'write' ? { mode: file.change.mode, content: Buffer.from(file.change.content) } : null;
  const header = [`diff --git ${quote(`a/${file.path}`)} ${quote(`b/${file.path}`)}`];
  if (!before && after) header.push(`new file mode ${after.mode}`);
  else if (before && !after) header.push(`deleted file mode ${before.mode}`);
  else if (before && after && before.mode !== after.mode) header.push(`old mode ${before.mode}`, `new mode ${after.mode}`);
  const from = before?.content ?? Buffer.alloc(0);
  const to = after?.content ?? Buffer.alloc(0);
  const sameMode = before && after && before.mode === after.mode ? ` ${after.mode}` : '';
  if (!before || !after || !from.equals(to)) header.push(`index ${before ? blobId(from) : zeroId}..${after ? blobId(to) : zeroId}${sameMode}`);
  return `${header.join('\n')}\n${body(file.path, before && from, after && to)}`;
}

const zeroId = '0'.repeat(40);
const blobId = (content: Buffer): string => createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

function body(path: string, from: Buffer | null, to: Buffer | null): string {
  const a = from ?? Buffer.alloc(0);
  const b = to ?? Buffer.alloc(0);
  if (a.equals(b)) return '';
  if (!isText(a) || !isText(b)) return `GIT binary patch\n${literal(b)}\n${literal(a)}\n`;
  const { hunks } = structuredPatch('', '', a.toString('utf8'), b.toString('utf8'), '', '', { context: 3 });
  const lines = [`--- ${from ? quote(`a/${path}`) : '/dev/null'}`, `+++ ${to ? quote(`b/${path}`) : '/dev/null'}`];
  for (const hunk of hunks) {
    lines.push(`@@ -${range(hunk.oldStart, hunk.oldLines)} +${range(hunk.newStart, hunk.newLines)} @@`, ...hunk.lines);
  }
  return `${lines.join('\n')}\n`;
}

const range = (start: number, count: number): string => (count === 1 ? `${start}` : `${start},${count}`);

/** UTF-8 that survives decoding, without NUL: anything else goes as binary, so that not one byte is changed. */
function isText(content: Buffer): boolean {
  return !content.includes(0) && Buffer.from(content.toString('utf8'), 'utf8').equals(content);
}

/** Git's C-style quoting of a path that has more than plain characters. */
function quote(path: string): string {
  if (/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(path)) return path;
  const bytes = [...Buffer.from(path, 'utf8')].map((byte) => {
    if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `"${bytes.join('')}"`;
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';

/** `literal <size>` and the deflated bytes in git's base85, 52 bytes a line (https://github.com/git/git/blob/master/base85.c). */
function literal(content: Buffer): string {
  const deflated = deflateSync(content);
  const lines = [`literal ${content.length}`];
  for (let at = 0; at < deflated.length; at += 52) {
    const piece = deflated.subarray(at, at + 52);
    const length = piece.length <= 26 ? String.fromCharCode(64 + piece.length) : String.fromCharCode(96 + piece.length - 26);
    lines.push(length + base85(piece));
  }
  return `${lines.join('\n')}\n`;
}

function base85(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0;
    for (let index = 0; index < 4; index++) word = word * 256 + (bytes[at + index] ?? 0);
    let group = '';
    for (let digit = 0; digit < 5; digit++) {
      group = alphabet.charAt(word % 85) + group;
      word = Math.floor(word / 85);
    }
    text += group;
  }
  return text;
}
