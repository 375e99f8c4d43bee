import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { dropDebris, dropUnchanged, judgeContent, judgeEntries, judgePath } from '../../../src/fix/policy.ts';
import type { TreeEntry } from '../../../src/git/mirror.ts';

const sha = (text: string): string => createHash('sha1').update(text).digest('hex');
const limits = { maxFiles: 100, maxBytes: 4 * 2 ** 20 };
const base = new Map<string, TreeEntry>([
  ['src/add.js', { mode: '100644', sha: sha('add'), size: 3 }],
  ['bin/run', { mode: '100755', sha: sha('run'), size: 3 }],
  ['link', { mode: '120000', sha: sha('link'), size: 4 }],
  ['vendored', { mode: '160000', sha: sha('vendored'), size: null }],
]);
const entry = (path: string, mode = '100644') => ({ path, mode, sha: sha(`new ${path}`) });

describe('dropDebris', () => {
  it('leaves out what tools made, unless the base has it', () => {
    const made = ['src/__pycache__/a.cpython-311.pyc', '.pytest_cache/v/x', 'a.egg-info/PKG-INFO', 'node_modules/a/index.js', '.coverage', 'a.pyc'];
    const meant = ['src/add.js', 'src/pycache.py', 'docs/node_modules.md'];
    const had = new Map([...base, ['kept.pyc', { mode: '100644', sha: sha('x'), size: 1 }] as const]);

    const kept = dropDebris(
      [...made, ...meant, 'kept.pyc'].map((path) => entry(path)),
      had,
    );

    expect(kept.map(({ path }) => path)).toEqual([...meant, 'kept.pyc']);
  });
});

describe('judgePath', () => {
  it.each(['src/add.js', 'a', 'docs/über.md', 'package.json', '.eslintrc.json', 'a/.gitignore', 'a.git/x', 'src/git/x', 'notes~', 'a.js.~1~'])(
    'lets %s through',
    (path) => {
      expect(judgePath(path)).toEqual({ ok: true });
    },
  );

  it.each([
    '.github/workflows/x.yml',
    '.GitHub/Workflows/x.yml',
    '.github/actions/a/action.yml',
    '.gitmodules',
    '.gitattributes',
    'sub/.gitattributes',
    'CODEOWNERS',
    'docs/CODEOWNERS',
    '.husky/pre-commit',
    '.vscode/tasks.json',
    '.claude/settings.json',
    '.mcp.json',
    'CLAUDE.md',
    'AGENTS.md',
    '.npmrc',
    'sub/.npmrc',
    '.yarnrc.yml',
    '.npmrc::$DATA',
    '.github:x/workflows/y.yml',
    '.devcontainer.json',
    '.pre-commit-config.yaml',
    '.yarn/releases/yarn-4.cjs',
  ])('protects %s', (path) => {
    expect(judgePath(path)).toMatchObject({ ok: false, reason: 'patch_protected_path' });
  });

  it.each([
    '',
    '/etc/passwd',
    '../x',
    'a/../b',
    './a',
    'a//b',
    'a/',
    '.git/hooks/post-checkout',
    '.GIT/config',
    'git~1/config',
    'GITHUB~1/workflows/x.yml',
    'sub/GITATT~2',
    'npmrc~1.rc',
    'sub/.git/config',
    '.git./x',
    '.git /x',
    '.g\u200bit/x',
    'a\\b',
    '.github\\workflows\\x.yml',
    'a\u0000b',
    'a\nb',
    'a\u202eb',
    'e\u0301.txt',
    'trailing.',
    'trailing ',
    `${'a/'.repeat(21)}b`,
    'x'.repeat(513),
    '.ｇit/config',
    '.git::$INDEX_ALLOCATION/x',
  ])('refuses %j as a path', (path) => {
    expect(judgePath(path)).toMatchObject({ ok: false, reason: 'patch_path' });
  });
});

describe('judgeEntries', () => {
  it('accepts changed, new, executable and deleted files', () => {
    const entries = [entry('src/add.js'), entry('test/new.js'), entry('bin/new', '100755'), entry('link', '000000')];

    expect(judgeEntries(entries, base, limits)).toEqual({ ok: true });
  });

  it.each([
    ['a new symbolic link', entry('escape', '120000')],
    ['a submodule', entry('module', '160000')],
    ['a group-writable file', entry('odd', '100664')],
    ['a write over a symbolic link', entry('link')],
    ['a write over a submodule', entry('vendored')],
    ['a deleted submodule', entry('vendored', '000000')],
  ])('refuses %s', (_name, hostile) => {
    expect(judgeEntries([hostile], base, limits)).toMatchObject({ ok: false, reason: 'patch_mode' });
  });

  it('refuses a file below a symbolic link or below another file', () => {
    expect(judgeEntries([entry('link/passwd')], base, limits)).toMatchObject({ reason: 'patch_path' });
    expect(judgeEntries([entry('src/add.js/deeper')], base, limits)).toMatchObject({ reason: 'patch_path' });
    expect(judgeEntries([entry('new'), entry('new/deeper')], base, limits)).toMatchObject({ reason: 'patch_path' });
  });

  it('lets a folder take the place of a deleted file', () => {
    expect(judgeEntries([entry('src/add.js', '000000'), entry('src/add.js/index.js')], base, limits)).toEqual({ ok: true });
  });

  it('refuses two paths that differ only by case, in the patch or against base', () => {
    expect(judgeEntries([entry('A.txt'), entry('a.txt')], base, limits)).toMatchObject({ reason: 'patch_path' });
    expect(judgeEntries([entry('SRC/add.js')], base, limits)).toMatchObject({ reason: 'patch_path' });
  });

  it('refuses more files than allowed', () => {
    const many = Array.from({ length: 101 }, (_, index) => entry(`f${index}`));

    expect(judgeEntries(many, base, limits)).toMatchObject({ reason: 'patch_too_large' });
  });

  it('shows a hostile path as one plain line', () => {
    const judgement = judgeEntries([entry('a\nb\u001b[31m`@all`')], base, limits);

    expect(judgement.ok ? '' : judgement.detail).toMatch(/^[\x20-\x7e]+$/);
  });
});

describe('dropUnchanged', () => {
  it('keeps only what differs from the base commit, whatever the guest calls changed', () => {
    const same = { path: 'src/add.js', mode: '100644', sha: sha('add') };
    const modeOnly = { path: 'src/add.js', mode: '100755', sha: sha('add') };
    const goneAnyway = { path: 'never-there', mode: '000000', sha: '0'.repeat(40) };

    expect(dropUnchanged([same, goneAnyway], base)).toEqual([]);
    expect(dropUnchanged([modeOnly], base)).toEqual([modeOnly]);
  });
});

describe('judgeContent', () => {
  const patch = (content: string) => ({
    baseSha: sha('base'),
    files: [{ path: 'a', change: { kind: 'write' as const, mode: '100644' as const, content: Buffer.from(content) } }],
  });
  const leaks = (text: string): boolean => text.includes('ghs_live');

  it('refuses a live secret and a Git LFS pointer', () => {
    expect(judgeContent(patch('token = "ghs_live"'), leaks)).toMatchObject({ reason: 'patch_secret' });
    expect(judgeContent(patch('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'), leaks)).toMatchObject({ reason: 'patch_mode' });
    expect(judgeContent(patch('plain'), leaks)).toEqual({ ok: true });
    const named = { baseSha: sha('base'), files: [{ path: 'a/ghs_live', change: { kind: 'delete' as const } }] };
    expect(judgeContent(named, leaks)).toMatchObject({ reason: 'patch_secret' });
  });
});
