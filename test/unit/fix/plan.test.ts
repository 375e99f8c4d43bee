import { describe, expect, it } from 'vitest';
import { findForbiddenHost, findUnreadableHost, makePlan } from '../../../src/fix/plan.ts';
import type { Snapshot } from '../../../src/git/mirror.ts';
import { readBaseSettings } from '../../../src/fix/base-settings.ts';
import type { Operator } from '../../../src/settings/operator.ts';
import { silentOperator } from '../../../src/settings/operator.ts';
import { defaults } from '../../../src/settings/values.ts';

describe('makePlan', () => {
  const wishes = { setup: null, test: null, allow: [] };
  const snapshotOf = (files: Readonly<Record<string, string>>, mode = '100644'): Snapshot => ({
    sha: 'a'.repeat(40),
    parent: () => Promise.resolve(null),
    ancestor: () => Promise.resolve(null),
    tree: () => Promise.resolve(new Map(Object.entries(files).map(([path, text]) => [path, { mode, sha: 'b'.repeat(40), size: text.length }]))),
    readFile: (path) => Promise.resolve(mode === '100644' && files[path] !== undefined ? Buffer.from(files[path]) : null),
    subjects: () => Promise.resolve([]),
    pack: () => Promise.reject(new Error('not here')),
  });
  const { signal } = new AbortController();
  const read = async (files: Readonly<Record<string, string>>, mode?: string) =>
    await readBaseSettings({ snapshot: snapshotOf(files, mode), organization: null }, silentOperator, signal);
  const plan = async (files: Readonly<Record<string, string>>, operator = silentOperator) => {
    const settings = await read(files);
    return await makePlan(snapshotOf(files), wishes, {
      settings: 'effective' in settings ? settings.effective.values : defaults,
      operator,
      registryHosts: ['npm.corp.example'],
      guestNodeVersion: '26.10.0',
      signal,
    });
  };

  it('opens registries during setup only; the agent reaches nothing that the settings do not name', async () => {
    const [bare, named] = [await plan({ 'package.json': '{}' }), await plan({ '.github/mayfly.yml': 'allow: [docs.example.org]' })];

    expect(bare).toMatchObject({ allow: { agent: [], proof: [] } });
    expect(bare.allow.setup).toEqual(expect.arrayContaining(['registry.npmjs.org', 'npm.corp.example']));
    expect(named).toMatchObject({ allow: { agent: ['docs.example.org'], proof: ['docs.example.org'] } });
  });

  it.each([
    ['a settings file that is a link', { '.github/mayfly.yml': '../secret' }, '120000', 'it is not a plain file'],
    ['a large settings file', { '.github/mayfly.yml': `#${'x'.repeat(32_768)}` }, '100644', 'it is larger than 32768 bytes; leave out what is not needed'],
    ['an address for a host', { '.github/mayfly.yml': 'allow: ["https://example.org/"]' }, '100644', expect.stringContaining('not the name of a host')],
  ])('says what is wrong with %s', async (_name, files, mode, message) => {
    expect(await read(files, mode)).toMatchObject({ problems: [{ file: '.github/mayfly.yml', line: 1, message }] });
  });

  it('names the Node that has to be installed, and what cannot run', async () => {
    const made = await plan({ '.nvmrc': '20', 'compose.yaml': 'services:\n  db:\n    image: postgres\n' });

    expect(made).toMatchObject({
      node: { install: '>=20.0.0 <21.0.0-0', reason: '.nvmrc asks for 20' },
      gaps: [expect.stringContaining('Service containers')],
    });
  });

  it('takes the guide for agents whole, else the beginning of the one for people', async () => {
    const shown = async (files: Readonly<Record<string, string>>) => (await plan(files)).instructions;
    const long = 'word '.repeat(4000);

    expect(await shown({ 'CLAUDE.md': long, 'CONTRIBUTING.md': 'b' })).toEqual({ path: 'CLAUDE.md', text: long });
    expect(await shown({ 'CLAUDE.md': 'a', 'AGENTS.md': 'c' })).toEqual({ path: 'AGENTS.md', text: 'c' });
    const clipped = await shown({ '.github/CONTRIBUTING.md': long });
    expect(clipped).toMatchObject({ path: '.github/CONTRIBUTING.md', text: expect.stringContaining('the rest is in .github/CONTRIBUTING.md') });
    expect(clipped?.text.length).toBeLessThan(8100);
    expect(await shown({ 'AGENTS.md': ' \n' })).toBeNull();
  });

  it('has the time zone and locale of the settings, and none without', async () => {
    expect(await plan({ '.github/mayfly.yml': 'timezone: Asia/Kolkata\nlocale: de_DE.UTF-8' })).toMatchObject({
      environment: { TZ: 'Asia/Kolkata', LANG: 'de_DE.UTF-8' },
    });
    const bare = await plan({});
    expect(bare.environment).toEqual({});
  });

  it('opens each phase to its own hosts, and all of them to what the person who asked named', async () => {
    const phases = 'allow:\n  setup: [a.example]\n  agent: [b.example]\n  proof: [c.example]\n';
    const settings = await read({ '.github/mayfly.yml': phases });
    const options = {
      settings: 'effective' in settings ? settings.effective.values : defaults,
      operator: silentOperator,
      registryHosts: [],
      guestNodeVersion: '26.10.0',
      signal,
    };

    const made = await makePlan(snapshotOf({}), { ...wishes, allow: ['d.example'] }, options);

    expect(made.allow).toMatchObject({ agent: ['d.example', 'b.example'], proof: ['d.example', 'c.example'] });
    expect(made.allow.setup.slice(-2)).toEqual(['d.example', 'a.example']);
  });

  it('has nothing beyond the operator’s ceiling in any phase, registries and wishes among it, but the operator’s own registry', async () => {
    const word = { value: ['registry.npmjs.org', '*.docs.example', 'GET pypi.org/simple/*'], variable: 'MAYFLY_ALLOWED_HOSTS', given: true };
    const operator: Operator = { ...silentOperator, ceilings: { 'allow.setup': word, 'allow.agent': word, 'allow.proof': word } };
    const options = { settings: defaults, operator, registryHosts: ['npm.corp.example'], guestNodeVersion: '26.10.0', signal };

    const made = await makePlan(snapshotOf({}), { ...wishes, allow: ['a.docs.example', 'evil.example', 'crates'] }, options);

    expect(made.allow).toEqual({
      setup: ['registry.npmjs.org', 'GET pypi.org/simple/*', 'npm.corp.example', 'a.docs.example'],
      agent: ['a.docs.example'],
      proof: ['a.docs.example'],
    });
  });

  it('finds the host that the operator does not allow, or only in part', () => {
    const word = { value: ['*.docs.example', 'GET api.example/a/*', 'pypi.org'], variable: 'MAYFLY_ALLOWED_HOSTS', given: true };
    const find = (...hosts: string[]): string | undefined => findForbiddenHost(hosts, { ...silentOperator, ceilings: { 'allow.agent': word } })?.host;

    expect(findForbiddenHost(['npm', 'anything.example'], silentOperator)).toBeNull();
    expect([find('a.docs.example', 'GET api.example/a/b'), find('a.docs.example', 'docs.example'), find('api.example'), find('pypi')]).toEqual([
      undefined,
      'docs.example',
      'api.example',
      'pypi',
    ]);
  });

  it('finds the host that would let nothing through', () => {
    expect(findUnreadableHost(['example.org', '*.example.org', 'example.org:8443'])).toBeNull();
    expect(findUnreadableHost(['example.org', '*.org'])).toBe('*.org');
  });
});
