import { describe, expect, test } from 'vitest';
import { lockfilesOf, mustSetUpAgain } from '../../../src/fix/setup-inputs.ts';

const treeOf = (files: Readonly<Record<string, string>>) => new Map(Object.entries(files).map(([path, sha]) => [path, { mode: '100644', sha, size: 1 }]));
const all = { 'package.json': 'm', 'package-lock.json': 'l', 'lib/a.ts': 'a', '.npmrc': 'n', 'README.md': 'r' };

interface Case {
  readonly setup?: readonly string[];
  readonly changed?: Readonly<Record<string, string>>;
  readonly before?: Readonly<Record<string, string>>;
  readonly packageJson?: string | null;
}

const again = ({ setup = ['npm ci --no-audit --no-fund'], before = all, changed = {}, packageJson = '{"scripts":{"test":"vitest"}}' }: Case): boolean =>
  mustSetUpAgain({ setup, before: treeOf(before), after: treeOf({ ...before, ...changed }), packageJson });

describe('setup on a newer commit', () => {
  test.each([
    'npm ci --no-audit --no-fund',
    'npm install --ignore-scripts --legacy-peer-deps --no-audit --no-fund',
    'npm install -g --no-audit --no-fund pnpm@9.1.0',
    'npm install -g --no-audit --no-fund @yarnpkg/cli-dist@4.0.0',
    'pnpm install --frozen-lockfile',
    'yarn install --immutable',
    'pip install -q -r requirements/dev.txt',
    'cargo fetch',
    'go mod download',
    'command -v go >/dev/null || { sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends golang-go; }',
  ])('is not run again for sources where it only installs: %s', (command) => {
    expect(again({ setup: [command], changed: { 'lib/a.ts': 'b', 'lib/new.ts': 'c', '.github/workflows/ci.yml': 'd' } })).toBe(false);
  });

  test.each([
    'npm ci && npm run build',
    'npm ci; make',
    'npm run build',
    'npm install --prefix "$(pwd)"',
    './setup.sh',
    'pip install -q -e .',
    'pip install -q -r requirements.txt --target=$X',
    'npm ci\nmake',
    'npm ci --no-audit | tee log',
    './gradlew testClasses',
    'bundle install',
  ])('is run again where it may build: %s', (command) => {
    expect(again({ setup: [command], changed: { 'lib/a.ts': 'b' } })).toBe(true);
  });

  test.each([
    'package.json',
    'package-lock.json',
    '.npmrc',
    'deep/er/package.json',
    'patches/left-pad.patch',
    'patches/anything',
    '.yarn/releases/yarn.cjs',
    'requirements.txt',
    'prisma/schema.prisma',
    'vite.config.ts',
  ])('is run again when %s is another, new, or gone', (path) => {
    expect(again({ before: { ...all, [path]: 'x' }, changed: { [path]: 'y' } })).toBe(true);
    expect(again({ before: { 'lib/a.ts': 'a' }, changed: { [path]: 'y' } })).toBe(true);
    expect(mustSetUpAgain({ setup: ['npm ci'], before: treeOf({ [path]: 'x' }), after: treeOf({}), packageJson: null })).toBe(true);
  });

  test.each([
    '{"scripts":{"postinstall":"node build.js"}}',
    '{"scripts":{"prepare":"tsc"}}',
    '{"workspaces":["packages/*"]}',
    '{"dependencies":{"x":"file:./x"}}',
    '{"dependencies":{"x":"workspace:*"}}',
    'no JSON',
  ])('is run again where installing builds the repository itself: %s', (packageJson) => {
    expect(again({ packageJson, changed: { 'lib/a.ts': 'b' } })).toBe(true);
  });

  test.each(['binding.gyp', 'pnpm-workspace.yaml'])('is run again where there is a %s', (path) => {
    expect(again({ before: { ...all, [path]: 'x' }, changed: { 'lib/a.ts': 'b' } })).toBe(true);
  });

  test('is not run again where there is none', () => {
    expect(again({ setup: [], changed: { 'package.json': 'other' } })).toBe(false);
  });
});

test('lockfiles are found in every folder, in one order, with what is in them', () => {
  const one = lockfilesOf(treeOf({ 'b/yarn.lock': '2', 'package-lock.json': '1', 'requirements-dev.txt': '3', 'lock.txt': '4', 'src/a.ts': '5' }));

  expect(one).toEqual([
    ['b/yarn.lock', '2'],
    ['package-lock.json', '1'],
    ['requirements-dev.txt', '3'],
  ]);
});
