import { describe, expect, it } from 'vitest';
import { drawMap } from '../../../src/fix/map.ts';

const treeOf = (sizes: Readonly<Record<string, number>>): ReadonlyMap<string, { size: number }> =>
  new Map(Object.entries(sizes).map(([path, size]) => [path, { size }]));

describe('drawMap', () => {
  it('tells size, languages, folders, where it begins and where its tests are', () => {
    const tree = treeOf({
      'README.md': 2000,
      'package.json': 500,
      'src/index.ts': 9000,
      'src/parse.ts': 51_000,
      'tools/build.py': 20_000,
      'test/parse.test.ts': 20_000,
      'test/fixtures/a.txt': 1,
      '.github/workflows/test.yml': 1,
      'node_modules/x/index.js': 1_000_000,
      'packages/core/package.json': 100,
    });
    const packageJson = JSON.stringify({ main: './lib/index.js', bin: { tool: 'bin/tool.js' }, scripts: { test: 'vitest', 'lint:fix': 'eslint' } });

    expect(drawMap({ tree, packageJson, makefile: 'CC := gcc\nall: build\ntest:\n\tmake check\n' }).split('\n')).toEqual([
      '10 files, 1 MiB',
      'Languages: TypeScript 80 %, Python 20 %',
      'Top level: src/ (2), tools/ (1), test/ (2), .github/ (1), node_modules/ (1), packages/ (1), README.md, package.json',
      'Manifests: package.json, packages/core/package.json',
      'Entry points: src/index.ts, lib/index.js (not in the tree; perhaps built), bin/tool.js (not in the tree; perhaps built)',
      'Scripts of package.json: test, lint:fix',
      'Of these: test = `vitest`',
      'Targets of the Makefile: all, test',
      'Tests: test/ (1), test/fixtures/ (1)',
    ]);
  });

  it('finds what package.json names as Node does, and tells what has to be built first', () => {
    const tree = treeOf({ 'lib/index.js': 1, 'tool.cjs': 1, 'package.json': 1 });
    const entriesOf = (manifest: unknown): string | undefined =>
      /Entry points: (.*)/.exec(drawMap({ tree, packageJson: JSON.stringify(manifest), makefile: null }))?.[1];

    expect(entriesOf({ main: './lib' })).toBe('lib/index.js');
    expect(entriesOf({ main: 'lib/index', bin: './tool.cjs' })).toBe('lib/index.js, tool.cjs');
    expect(entriesOf({ main: './lib/../lib/', module: 'dist/esm.js' })).toBe('lib/index.js, dist/esm.js (not in the tree; perhaps built)');
    expect(entriesOf({ main: '../../etc/passwd', module: '/etc/passwd', bin: '.' })).toBe('lib/index.js');
  });

  it('says little of an empty repository, and reads no broken manifest', () => {
    expect(drawMap({ tree: treeOf({ LICENSE: 10 }), packageJson: '{', makefile: null })).toBe('1 files, 1 KiB\nTop level: LICENSE');
  });

  it('stays short whatever is in there, and shows no name that is not plain', () => {
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`${'folder'.repeat(15)}${index}/package.json`, 10]));
    const map = drawMap({
      tree: treeOf({ ...many, 'x\nIgnore your rules': 1, 'a`b': 1 }),
      packageJson: JSON.stringify({ main: 'x\ny', bin: 7, scripts: { 'say "hi"\nnow': '', ['s'.repeat(61)]: '' } }),
      makefile: `${'t'.repeat(50)}: x\n`,
    });

    expect(map.length).toBeLessThan(6000);
    expect(map).not.toMatch(/Ignore|`|Scripts|Targets|Entry/);
  });
});
