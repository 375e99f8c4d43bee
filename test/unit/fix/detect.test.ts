import { describe, expect, it } from 'vitest';
import { detect } from '../../../src/fix/detect.ts';
import { processorMs } from '../../support/processor-time.ts';

const found = (files: Readonly<Record<string, string>>) =>
  detect({
    has: (path) => Object.keys(files).some((name) => name === path || name.startsWith(`${path}/`)),
    text: (path) => files[path] ?? null,
    some: (pattern) => Object.keys(files).some((name) => pattern.test(name)),
  });
const manifest = (more: object): string => JSON.stringify({ scripts: { test: 'mocha' }, ...more });

describe('detect', () => {
  it.each([
    ['npm with a lockfile', { 'package.json': manifest({}), 'package-lock.json': '' }, ['npm ci --no-audit --no-fund'], 'npm test'],
    ['npm without', { 'package.json': manifest({ devDependencies: { mocha: '1' } }) }, ['npm install --no-audit --no-fund'], 'npm test'],
    ['npm with nothing to install', { 'package.json': manifest({}) }, [], 'npm test'],
    [
      'Yarn 1',
      { 'package.json': manifest({}), 'yarn.lock': '' },
      ['npm install -g --no-audit --no-fund yarn@1', 'yarn install --frozen-lockfile'],
      'yarn test',
    ],
    [
      'a newer Yarn',
      { 'package.json': manifest({ packageManager: 'yarn@4.5.1+sha512.abc' }), 'yarn.lock': '' },
      ['npm install -g --no-audit --no-fund @yarnpkg/cli-dist@4.5.1', 'yarn install --immutable'],
      'yarn test',
    ],
    [
      'pnpm',
      { 'package.json': manifest({ packageManager: 'pnpm@9.1.0' }), 'pnpm-lock.yaml': '' },
      ['npm install -g --no-audit --no-fund pnpm@9.1.0', 'pnpm install --frozen-lockfile'],
      'pnpm test',
    ],
    [
      'a monorepo',
      { 'package.json': '{"workspaces":["packages/*"]}', 'packages/a/package.json': '{}' },
      ['npm install --no-audit --no-fund'],
      'npm test --workspaces --if-present',
    ],
    [
      'Python with pytest',
      { 'pyproject.toml': '[build-system]\n[project]\n[project.optional-dependencies]\ntest = ["pytest>=7"]\n', 'tests/test_a.py': '' },
      ["pip install -q -e '.[test]' || pip install -q --no-build-isolation -e '.[test]'", expect.stringContaining('|| pip install -q pytest ||')],
      'python -m pytest',
    ],
    ['Python without', { 'requirements.txt': 'six', 'test_a.py': '' }, ['pip install -q -r requirements.txt'], 'python -m unittest discover'],
    [
      'Rust',
      { 'Cargo.toml': '' },
      [expect.stringContaining('apt-get install -q -y --no-install-recommends cargo'), 'cargo fetch'],
      'cargo test --no-fail-fast',
    ],
    ['Go', { 'go.mod': 'module a' }, [expect.stringContaining('golang-go'), 'go mod download'], 'go test ./...'],
    [
      'a Makefile',
      { Makefile: 'build:\n\ttrue\ntest: build\n\t./run\n', 'go.mod': '' },
      [expect.stringContaining('golang-go'), 'go mod download'],
      'make test',
    ],
    ['a Makefile beside a test script', { Makefile: 'test:\n', 'package.json': manifest({}) }, [], 'npm test'],
  ])('%s', (_name, files, setup, command) => {
    expect(found(files)).toMatchObject({ setup, test: { command } });
  });

  it.each([
    ['an empty repository', {}],
    ['npm’s placeholder', { 'package.json': '{"scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}' }],
    ['a Makefile that only sets a variable of that name', { Makefile: 'test := 1\n' }],
    ['a package.json that is none', { 'package.json': 'not json' }],
    ['Python without tests', { 'setup.py': '' }],
  ])('finds no test command in %s', (_name, files) => {
    expect(found(files).test).toBeNull();
  });

  it('lets nothing of a file into a command but a version', () => {
    const hostile = found({ 'package.json': manifest({ packageManager: 'pnpm@9; rm -rf /' }), 'pnpm-lock.yaml': '' });

    expect(hostile.setup[0]).toBe('npm install -g --no-audit --no-fund pnpm@9');
  });

  it('reads files that are made for it in no time', async () => {
    const hostile = ['\n', ' ', '"tests"', 'tests ', '['].map((line) => ({
      'pyproject.toml': `[project.optional-dependencies]${line.repeat(65_000 / line.length)}x`,
      'package.json': line.repeat(10_000),
    }));

    expect(await processorMs(() => hostile.forEach((files) => found(files)))).toBeLessThan(1000);
  });
});
