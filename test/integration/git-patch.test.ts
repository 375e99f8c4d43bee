import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeGitPatch } from '../../src/fix/git-patch.ts';
import type { Before } from '../../src/fix/git-patch.ts';
import type { PatchFile } from '../../src/job.ts';

type Tree = Record<string, { mode: '100644' | '100755'; content: Buffer }>;
const text = (content: string, mode: '100644' | '100755' = '100644') => ({ mode, content: Buffer.from(content) });

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mayfly-git-patch-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Writes the patch from before to after, lets real git apply it, and returns the tree that git then has. */
async function roundTrip(before: Tree, after: Tree): Promise<{ patch: string; applied: string; wanted: string }> {
  const git = (...argv: string[]) => execa('git', argv, { cwd: directory, env: { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' } });
  const writeTree = async (tree: Tree): Promise<string> => {
    await git('read-tree', '--empty');
    for (const [path, { mode, content }] of Object.entries(tree)) {
      const { stdout } = await execa('git', ['hash-object', '-w', '--stdin'], { cwd: directory, input: content });
      await git('update-index', '--add', '--cacheinfo', `${mode},${stdout},${path}`);
    }
    return (await git('write-tree')).stdout;
  };
  await git('init', '-q');
  const wanted = await writeTree(after);
  await writeTree(before);
  await git('checkout-index', '-a', '-f', '-u');
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const files = paths.map((path): PatchFile => {
    const to = after[path];
    return { path, change: to ? { kind: 'write', ...to } : { kind: 'delete' } };
  });
  const changed = files.filter(
    ({ path }) => !before[path] || !after[path] || before[path].mode !== after[path].mode || !before[path].content.equals(after[path].content),
  );
  const patch = await writeGitPatch(changed, async (path): Promise<Before | null> => before[path] ?? null);
  await execa('git', ['apply', '--index', '--whitespace=nowarn', '-'], { cwd: directory, input: patch });
  return { patch, applied: (await git('write-tree')).stdout, wanted };
}

describe('writeGitPatch', () => {
  it.each<[string, Tree, Tree]>([
    ['a changed line', { 'a.txt': text('one\ntwo\nthree\n') }, { 'a.txt': text('one\n2\nthree\n') }],
    [
      'new, deleted and executable files',
      { 'old.txt': text('x\n'), run: text('#!/bin/sh\n') },
      { 'new/deep.txt': text('y\n'), run: text('#!/bin/sh\n', '100755') },
    ],
    ['a missing newline at the end, on either side', { a: text('one'), b: text('one\n') }, { a: text('one\n'), b: text('one') }],
    ['empty files', { gone: text('') }, { made: text('') }],
    ['a file that becomes empty, and one that was', { a: text('x\n'), b: text('') }, { a: text(''), b: text('x\n') }],
    ['carriage returns and trailing spaces', { a: text('one\r\ntwo\r\n') }, { a: text('one\r\n2 \r\n\t\n') }],
    ['names with spaces, quotes and letters beyond ASCII', {}, { 'a b.txt': text('1\n'), 'q"uote\\.txt': text('2\n'), 'über/ß.txt': text('3\n') }],
    [
      'binary content',
      { 'a.bin': { mode: '100644', content: Buffer.from([0, 1, 2]) } },
      { 'a.bin': { mode: '100644', content: Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) % 256)) } },
    ],
    [
      'a new and a deleted binary',
      { gone: { mode: '100644', content: Buffer.from([255, 0]) } },
      { made: { mode: '100755', content: Buffer.from([0, 255, 254]) } },
    ],
    [
      'text that is not UTF-8',
      { a: { mode: '100644', content: Buffer.from('caf\xe9\n', 'latin1') } },
      { a: { mode: '100644', content: Buffer.from('caf\xe8\n', 'latin1') } },
    ],
    [
      'many hunks',
      { a: text(Array.from({ length: 400 }, (_, i) => `line ${i}\n`).join('')) },
      { a: text(Array.from({ length: 400 }, (_, i) => (i % 50 === 0 ? `changed ${i}\n` : `line ${i}\n`)).join('')) },
    ],
    ['a line that looks like a header', { a: text('-- a\n++ b\n') }, { a: text('-- b\n++ a\n@@ -1 +1 @@\n') }],
    ['a mode and its content together', { a: text('x\n') }, { a: text('y\n', '100755') }],
  ])('writes what git apply takes: %s', async (_name, before, after) => {
    const { applied, wanted } = await roundTrip(before, after);

    expect(applied).toBe(wanted);
  });

  it('is a patch that a person can read', async () => {
    const { patch } = await roundTrip({ 'a.js': text('return a - b;\n') }, { 'a.js': text('return a + b;\n') });

    expect(patch.replace(/^index .*$/m, 'index')).toBe(
      ['diff --git a/a.js b/a.js', 'index', '--- a/a.js', '+++ b/a.js', '@@ -1 +1 @@', '-return a - b;', '+return a + b;', ''].join('\n'),
    );
    await expect(readFile(join(directory, 'a.js'), 'utf8')).resolves.toBe('return a + b;\n');
  });
});
