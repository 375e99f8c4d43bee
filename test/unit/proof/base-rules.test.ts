import { describe, expect, it } from 'vitest';
import type { Patch, PatchFile } from '../../../src/job.ts';
import { withBaseRules } from '../../../src/proof/base-rules.ts';
import { findWeakenedTests } from '../../../src/proof/findings.ts';
import { isTestFile } from '../../../src/proof/paths.ts';

const write = (path: string, text: string): PatchFile => ({ path, change: { kind: 'write', mode: '100644', content: Buffer.from(text) } });
const patchOf = (...files: PatchFile[]): Patch => ({ baseSha: 'a'.repeat(40), files });
const base = (files: Readonly<Record<string, string>>) => (path: string) => Promise.resolve(files[path] ?? null);
const textOf = (patch: Patch, path: string): string | null => {
  const change = patch.files.find((file) => file.path === path)?.change;
  return change?.kind === 'write' ? Buffer.from(change.content).toString() : null;
};

describe('withBaseRules', () => {
  it('lets a patch change anything of package.json but what the test command stands for', async () => {
    const given = patchOf(write('src/a.js', '1'), write('package.json', '{"scripts":{"test":"true"},"jest":{"a":1},"dependencies":{"b":"2"}}'));

    const { patch, touched } = await withBaseRules(given, 'npm test', base({ 'package.json': '{"scripts":{"test":"node --test"},"dependencies":{}}' }));

    expect(JSON.parse(textOf(patch, 'package.json') ?? '')).toEqual({ scripts: { test: 'node --test' }, dependencies: { b: '2' } });
    expect(touched).toEqual(['scripts, jest of package.json']);
  });

  it.each([
    ['the same scripts', '{"scripts":{"test":"x"},"version":"2"}', '{"scripts":{"test":"x"}}'],
    ['no package.json on base', '{"scripts":{"test":"x"}}', null],
  ])('leaves a patch with %s as it is', async (_name, after, before) => {
    const patch = patchOf(write('package.json', after));

    expect(await withBaseRules(patch, 'npm test', base(before === null ? {} : { 'package.json': before }))).toEqual({ patch, touched: [] });
  });

  it('reads what npm reads, and names what it cannot', async () => {
    const rules = async (after: PatchFile) => await withBaseRules(patchOf(after), 'npm test', base({ 'package.json': '{"scripts":{"test":"node --test"}}' }));
    const marked = await rules(write('package.json', '\uFEFF{"scripts":{"test":"exit 0"}}'));

    expect(JSON.parse(textOf(marked.patch, 'package.json') ?? '')).toEqual({ scripts: { test: 'node --test' } });
    expect((await rules(write('package.json', 'not json'))).touched).toEqual(['all of package.json']);
    expect((await rules({ path: 'package.json', change: { kind: 'delete' } })).touched).toEqual(['all of package.json']);
    expect((await rules(write('pyproject.toml', '[tool.pytest.ini_options]\naddopts = "-k x"\n'))).touched).toHaveLength(1);
    expect((await rules(write('Cargo.toml', '[lib]\ntest = false\n'))).touched).toHaveLength(1);
  });

  it('keeps test configuration out, also when it is new or deleted', async () => {
    const given = patchOf(
      write('jest.config.js', 'x'),
      { path: 'pytest.ini', change: { kind: 'delete' } },
      write('packages/a/.mocharc.yml', 'x'),
      write('a.js', '1'),
    );

    const { patch, touched } = await withBaseRules(given, 'npm test', base({}));

    expect(patch.files.map(({ path }) => path)).toEqual(['a.js']);
    expect(touched).toEqual(['jest.config.js', 'pytest.ini', 'packages/a/.mocharc.yml']);
  });

  it('names what may decide beside its own work, and the script that the command calls, but applies it', async () => {
    const given = patchOf(write('tests/conftest.py', 'x'), write('Makefile', 'x'), write('scripts/check.js', 'x'), write('test/all.js', 'x'));

    const { patch, touched } = await withBaseRules(
      given,
      'npm test',
      base({ 'package.json': '{"scripts":{"test":"node scripts/check.js && node test/all.js"}}' }),
    );

    expect(patch.files).toHaveLength(4);
    expect(touched).toEqual(['tests/conftest.py', 'Makefile', 'scripts/check.js']);
  });

  it('sees the tables of the runner in pyproject.toml, and nothing else', async () => {
    const before = '[project]\nname = "a"\n[tool.pytest.ini_options]\naddopts = "-q"\n';
    const touched = async (after: string): Promise<readonly string[]> =>
      (await withBaseRules(patchOf(write('pyproject.toml', after)), 'python -m pytest', base({ 'pyproject.toml': before }))).touched;

    expect(await touched(before.replace('"a"', '"b"'))).toEqual([]);
    expect(await touched(before.replace('-q', '--collect-only'))).toEqual(['what is said about tests of pyproject.toml']);
  });
});

describe('findWeakenedTests', () => {
  it('points out tests that are deleted, skipped, narrowed down or taken out', async () => {
    const files = {
      'test/a.test.js': 'it("a", f); it("b", f);',
      'test/b.test.js': 'it("a", f)',
      'tests/test_c.py': 'def test_a():\n  pass\ndef test_b():\n  pass\n',
    };
    const patch = patchOf(
      { path: 'test/old.test.js', change: { kind: 'delete' } },
      write('test/a.test.js', 'it.skip("a", f); it("b", f);'),
      write('test/b.test.js', 'it.only("a", f)'),
      write('tests/test_c.py', 'def test_a():\n  pass\n'),
    );

    expect(await findWeakenedTests(patch, base(files))).toEqual([
      'The patch deletes the test file test/old.test.js.',
      'The patch skips tests in test/a.test.js (1 more than before).',
      'The patch makes only some tests of test/b.test.js run.',
      'The patch takes tests out of tests/test_c.py (1 fewer than before).',
    ]);
  });

  it('ends also in a file of empty lines', async () => {
    expect(await findWeakenedTests(patchOf(write('test_a.py', '\n'.repeat(500_000))), base({}))).toEqual([]);
  });

  it('says nothing of tests that are added, or of code that has nothing to do with tests', async () => {
    const patch = patchOf(write('test/a.test.js', 'it("a", f); it("b", f)'), write('src/skip.js', 'it.skip()'));

    expect(await findWeakenedTests(patch, base({ 'test/a.test.js': 'it("a", f)' }))).toEqual([]);
  });
});

describe('isTestFile', () => {
  it.each([
    'test/app.js',
    'src/__tests__/a.ts',
    'src/a.test.ts',
    'pkg/add_test.go',
    'tests/test_a.py',
    'test_a.py',
    'src/test/java/AddTest.java',
    'spec/a_spec.rb',
    'test.js',
    'a/__snapshots__/b.snap',
  ])('takes %s for one', (path) => expect(isTestFile(path)).toBe(true));
  it.each(['src/app.js', 'src/testing.ts', 'contest.py', 'latest/a.js', 'test/jest.config.js', 'src/attest.go'])('does not take %s for one', (path) =>
    expect(isTestFile(path)).toBe(false),
  );
});
