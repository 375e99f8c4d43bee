import { describe, expect, it } from 'vitest';
import { createProtection } from '../../../src/fix/protect.ts';
import type { ProtectedPaths } from '../../../src/fix/protect.ts';
import { findSensitive } from '../../../src/fix/sensitive.ts';
import { processorMs } from '../../support/processor-time.ts';

type Files = Readonly<Record<string, string>>;

async function look(patch: Files, base: Files = {}, protect: Partial<ProtectedPaths> = {}) {
  const files = Object.entries(patch).map(([path, text]) => ({
    path,
    change: { kind: 'write' as const, mode: '100644' as const, content: Buffer.from(text) },
  }));
  const tree = new Map(Object.entries(base).map(([path, text]) => [path, { mode: '100644', sha: 'a'.repeat(40), size: text.length }]));
  const read = (path: string): Promise<string | null> => Promise.resolve(base[path] ?? null);
  return await findSensitive({ baseSha: 'a'.repeat(40), files }, { tree, read }, createProtection({ refuse: [], ask: [], allow: [], ...protect }));
}

const lock = (...hosts: readonly string[]): string => JSON.stringify(hosts.map((host) => ({ resolved: `https://${host}/a/-/a-1.0.0.tgz` })));

describe('findSensitive', () => {
  it('names hosts of a lockfile that were not in it', async () => {
    const base = { 'package-lock.json': lock('registry.npmjs.org', 'npm.corp.example') };

    expect(await look({ 'package-lock.json': lock('npm.corp.example') }, base)).toEqual([{ path: 'package-lock.json', why: 'it decides what is installed' }]);
    expect(await look({ 'package-lock.json': lock('npm.corp.example', 'EVIL.example', 'evil.example') }, base)).toEqual([
      { path: 'package-lock.json', why: 'packages come from hosts that were not in it before: evil.example' },
    ]);
  });

  it.each([
    ['in capitals', 'HTTPS://evil.example/a.tgz'],
    ['with escapes of JSON', String.raw`https:\/\/evil.example\/a.tgz`],
    ['in characters by number', String.raw`\u0068ttps:\u002F\u002fevil.example/a.tgz`],
    ['behind a name that looks like one', 'https://registry.npmjs.org@evil.example/a.tgz'],
    ['behind two names', 'https://a@registry.npmjs.org@evil.example/a.tgz'],
    ['behind a long password', `https://registry.npmjs.org:${'x'.repeat(300)}@evil.example/a.tgz`],
    ['with a port', 'https://evil.example:8443/a.tgz'],
    ['with a protocol of git', 'git+ssh://git@evil.example/a.git'],
  ])('is not deceived by a host %s', async (_how, address) => {
    expect(await look({ 'package-lock.json': `{"resolved": "${address}"}` })).toEqual([
      { path: 'package-lock.json', why: 'packages come from hosts that were not in it before: evil.example' },
    ]);
  });

  it('names hosts that are not written in ASCII, and addresses', async () => {
    const [one] = await look({ 'package-lock.json': '{"a": "https://évil.example/a", "b": "http://[2001:db8::1]:80/a"}' });

    expect(one?.why).toBe('packages come from hosts that were not in it before: évil.example, [2001:db8::1]');
  });

  it('takes the registries that are open anyway for known in a new lockfile', async () => {
    expect(await look({ 'yarn.lock': 'resolved "https://registry.npmjs.org/a"\nresolved "git+ssh://git@evil.example/a.git"' })).toEqual([
      { path: 'yarn.lock', why: 'packages come from hosts that were not in it before: evil.example' },
    ]);
  });

  it('names a package.json whose scripts change, and no other', async () => {
    const base = { 'package.json': '{"scripts":{"test":"a"},"version":"1"}' };
    const why = 'its scripts change, which run by themselves';

    expect(await look({ 'package.json': '{"scripts":{"test":"a"},"version":"2"}' }, base)).toEqual([]);
    expect(await look({ 'package.json': '{"scripts":{"test":"b"},"version":"1"}' }, base)).toEqual([{ path: 'package.json', why }]);
    expect(await look({ 'sub/package.json': '{"scripts":{"postinstall":"x"}}' })).toEqual([{ path: 'sub/package.json', why }]);
    expect(await look({ 'sub/package.json': '{}' })).toEqual([]);
    expect(await look({ 'package.json': '{' }, base)).toEqual([{ path: 'package.json', why }]);
  });

  it('names what a workflow runs', async () => {
    const base = {
      '.github/workflows/ci.yml': 'steps:\n  - run: ./tools/check.sh --all\n  - run: node scripts/a.js\n  - run: make test\n',
      '.github/actions/set-up/action.yml': 'run: bash tools/install.sh',
    };
    const patch = { 'tools/check.sh': '', 'scripts/a.js': '', 'tools/install.sh': '', Makefile: '', 'a.js': '', 'tools/check': '', 'cripts/a.js': '' };

    expect((await look(patch, base)).map(({ path }) => path)).toEqual(['tools/check.sh', 'scripts/a.js', 'tools/install.sh', 'Makefile']);
  });

  it('says nothing of what the settings allow, and says so where they ask', async () => {
    expect(await look({ Dockerfile: 'FROM x', 'src/auth/a.ts': '' }, {}, { allow: ['Dockerfile'], ask: ['src/auth/**'] })).toEqual([
      { path: 'src/auth/a.ts', why: 'the settings of this repository ask for a look' },
    ]);
    expect(await look({ Dockerfile: 'FROM x' })).toEqual([{ path: 'Dockerfile', why: 'it decides what is built and shipped' }]);
  });

  it.each([
    ['behind a variable and a folder above', 'run: $HOME/../tools/check.sh', 'tools/check.sh', true],
    ['at the end of a sentence', '# See tools/check.sh.', 'tools/check.sh', true],
    ['in quotes', `run: "./tools/check.sh"`, 'tools/check.sh', true],
    ['as a value', 'run: sh --file=tools/check.sh', 'tools/check.sh', true],
    ['with a space in its name', `run: sh 'my tools/check it.sh'`, 'my tools/check it.sh', true],
    ['in other letters', 'run: sh prüfe.sh', 'prüfe.sh', true],
    ['as a part of another', 'run: sh tools/check.sh.old', 'tools/check.sh', false],
    ['by a full path that is not of the repository', 'run: sh /opt/tools/check.sh', 'tools/check.sh', false],
    ['beyond what is read', `${'#'.repeat(70_000)} tools/check.sh`, 'tools/check.sh', false],
  ])('finds a file in a workflow, or not: %s', async (_how, text, path, isNamed) => {
    expect(await look({ [path]: '' }, { '.github/workflows/ci.yml': text })).toHaveLength(isNamed ? 1 : 0);
  });

  it('looks for a hundred short names in thirty long workflows in no time', async () => {
    const workflows = Object.fromEntries(Array.from({ length: 30 }, (_none, index) => [`.github/workflows/${index}.yml`, 'b.'.repeat(2 ** 20)]));
    const patch = Object.fromEntries(Array.from({ length: 100 }, (_none, index) => [index === 0 ? 'b' : `b${'.b'.repeat(index)}`, '']));

    expect(await processorMs(() => look(patch, workflows))).toBeLessThan(3000);
  });

  it('reads a lockfile that is made for it in no time', async () => {
    const files = {
      'yarn.lock': `https://${'a'.repeat(2_000_000)}`,
      'go.sum': 'http://'.repeat(300_000),
      'bun.lock': `https://${'x'.repeat(99)}@`.repeat(20_000),
    };

    expect(await processorMs(() => look(files))).toBeLessThan(3000);
  });
});
