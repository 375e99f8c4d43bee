import { describe, expect, it } from 'vitest';
import { findGaps, readBaseFiles } from '../../../src/fix/gaps.ts';
import type { Snapshot } from '../../../src/git/mirror.ts';

const gapsOf = (texts: Readonly<Record<string, string>>, links: readonly string[] = []): readonly string[] =>
  findGaps({ tree: new Map(links.map((path) => [path, { mode: '160000' }])), texts: new Map(Object.entries(texts)) });

const withDependency = (wanted: string): Readonly<Record<string, string>> => ({ 'package.json': JSON.stringify({ devDependencies: { x: wanted } }) });

describe('findGaps', () => {
  it('finds nothing in a plain repository', () => {
    expect(
      gapsOf({
        'package.json': '{"dependencies":{"a":"^1.0.0"}}',
        'Cargo.toml': '[package]\nrepository = "https://github.com/a/b.git"\n# x = { git = "y" }\n',
        'requirements.txt': 'flask==3\n# git+https://x\n',
        '.gitattributes': '* text=auto\n# *.bin filter=lfs\n',
        '.github/workflows/ci.yml': 'jobs:\n  test:\n    steps: []\n',
      }),
    ).toEqual([]);
  });

  it('names submodules and files in LFS', () => {
    expect(gapsOf({}, ['vendor/lib'])).toEqual([expect.stringMatching(/^The repository has submodules\..+ cannot run there\.$/)]);
    expect(gapsOf({ 'assets/.gitattributes': '*.png filter=lfs diff=lfs merge=lfs -text\n' })).toEqual([expect.stringContaining('Git LFS')]);
  });

  it.each([
    'git+https://github.com/a/b.git#v1',
    'git+ssh://git@github.com/a/b.git',
    'git://github.com/a/b',
    'git@github.com:a/b.git',
    'github:a/b',
    'a/b',
    'a/b#semver:^1',
    'https://example.org/a.git',
  ])('takes %s for git', (wanted) => {
    expect(gapsOf(withDependency(wanted))).toEqual([expect.stringMatching(/^Dependencies come straight from git \(npm\)/)]);
  });

  it.each(['^1.0.0', 'npm:other@1', 'file:../b', '../b', './b/c', '~/b', 'workspace:*', 'https://example.org/b.tgz', 'latest', '@a/b', '>=1 <2'])(
    'does not take %s for git',
    (wanted) => {
      expect(gapsOf(withDependency(wanted))).toEqual([]);
    },
  );

  it('names each ecosystem once', () => {
    const texts = {
      ...withDependency('a/b'),
      'packages/one/package.json': JSON.stringify({ dependencies: { y: 'a/b' } }),
      'requirements.txt': 'x @ git+https://example.org/x\n',
      'pyproject.toml': '[tool.poetry.dependencies]\nx = { git = "https://example.org/x.git" }\n',
      'Cargo.toml': '[dependencies]\nx = { git = "https://example.org/x" }\n',
    };

    expect(gapsOf(texts)).toEqual([expect.stringContaining('(npm, Python, Cargo)')]);
  });

  it('names service containers of compose files and workflows', () => {
    const compose = 'services:\n  db:\n    image: postgres\n';
    const workflow = 'jobs:\n  test:\n    services:\n      redis:\n        image: redis\n';

    expect(gapsOf({ 'compose.yaml': compose, '.github/workflows/ci.yml': workflow })).toEqual([expect.stringContaining('(a compose file, workflows)')]);
  });

  it('survives what is no JSON, and objects where lists should be', () => {
    expect(gapsOf({ 'package.json': '{"dependencies":[null,1],"devDependencies":7}' })).toEqual([]);
    expect(gapsOf({ 'package.json': '{' })).toEqual([]);
  });
});

describe('readBaseFiles', () => {
  it('reads few files of each kind, the ones nearest to the root, and none of installed packages', async () => {
    const paths = [...Array.from({ length: 100 }, (_, index) => `packages/p${index}/package.json`), 'package.json', 'node_modules/a/package.json', 'a.js'];
    const asked: string[] = [];
    const snapshot: Snapshot = {
      parent: () => Promise.resolve(null),
      ancestor: () => Promise.resolve(null),
      sha: 'a'.repeat(40),
      tree: () => Promise.resolve(new Map(paths.map((path) => [path, { mode: '100644', sha: 'b'.repeat(40), size: 2 }]))),
      readFile: (path) => {
        asked.push(path);
        return Promise.resolve(path === 'packages/p0/package.json' ? null : Buffer.from('{}'));
      },
      subjects: () => Promise.resolve([]),
      pack: () => Promise.reject(new Error('not here')),
    };

    const { texts } = await readBaseFiles(snapshot, new AbortController().signal);

    expect(asked).toHaveLength(15);
    expect(asked[0]).toBe('package.json');
    expect(asked).not.toContain('a.js');
    expect(asked.filter((path) => path.startsWith('node_modules/'))).toEqual([]);
    expect(texts.has('packages/p0/package.json')).toBe(false);
  });
});
