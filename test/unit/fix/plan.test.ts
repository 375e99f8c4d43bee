import { describe, expect, it } from 'vitest';
import { findUnreadableHost, makePlan } from '../../../src/fix/plan.ts';
import type { Snapshot } from '../../../src/git/mirror.ts';
import { parseSettings } from '../../../src/settings/settings.ts';

describe('parseSettings', () => {
  it('reads the keys it knows', () => {
    expect(parseSettings('setup:\n  - npm ci\ntest: npm test\nallow: [example.org]\nci: run\n')).toEqual({
      settings: { setup: ['npm ci'], test: 'npm test', allow: ['example.org'], ci: 'run' },
    });
    expect(parseSettings('')).toEqual({ settings: {} });
  });

  it.each([
    ['an unknown key', 'tests: npm test'],
    ['a wrong type', 'test: [a]'],
    ['a duplicate key', 'test: a\ntest: b'],
    ['an alias', 'setup: &a [x]\nallow: *a'],
    ['a bomb', `a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nallow: *c`],
    ['a prototype', '__proto__: {test: x}'],
    ['a tag that runs', 'test: !!js/function "x"'],
    ['no YAML', 'test: "unclosed'],
    ['a list', '- test'],
  ])('refuses %s with one sentence', (_name, text) => {
    const result = parseSettings(text);

    expect('problem' in result ? result.problem : '').toMatch(/^[^\n]{3,500}$/);
  });
});

describe('makePlan', () => {
  const wishes = { setup: null, test: null, allow: [] };
  const snapshotOf = (files: Readonly<Record<string, string>>, mode = '100644'): Snapshot => ({
    sha: 'a'.repeat(40),
    tree: () => Promise.resolve(new Map(Object.entries(files).map(([path, text]) => [path, { mode, sha: 'b'.repeat(40), size: text.length }]))),
    readFile: (path) => Promise.resolve(mode === '100644' && files[path] !== undefined ? Buffer.from(files[path]) : null),
    subjects: () => Promise.resolve([]),
    pack: () => Promise.reject(new Error('not here')),
  });
  const plan = async (files: Readonly<Record<string, string>>, mode?: string) =>
    await makePlan(snapshotOf(files, mode), wishes, { registryHosts: ['npm.corp.example'], guestNodeVersion: '26.10.0', signal: new AbortController().signal });

  it('opens registries during setup only; the agent reaches nothing that the settings do not name', async () => {
    const [bare, named] = [await plan({ 'package.json': '{}' }), await plan({ '.github/mayfly.yml': 'allow: [docs.example.org]' })];

    expect(bare).toMatchObject({ plan: { allow: { agent: [], proof: [] } } });
    expect('plan' in bare ? bare.plan.allow.setup : []).toEqual(expect.arrayContaining(['registry.npmjs.org', 'npm.corp.example']));
    expect(named).toMatchObject({ plan: { allow: { agent: ['docs.example.org'], proof: ['docs.example.org'] } } });
  });

  it.each([
    ['a settings file that is a link', { '.github/mayfly.yml': '../secret' }, '120000', 'it is not a plain file'],
    ['a large settings file', { '.github/mayfly.yml': `#${'x'.repeat(32_768)}` }, '100644', 'it is larger than 32768 bytes'],
    ['an address for a host', { '.github/mayfly.yml': 'allow: ["https://example.org/"]' }, '100644', 'allow: https://example.org/ is not the name of a host'],
  ])('says what is wrong with %s', async (_name, files, mode, problem) => {
    expect(await plan(files, mode)).toEqual({ problem });
  });

  it('names the Node that has to be installed, and what cannot run', async () => {
    const made = await plan({ '.nvmrc': '20', 'compose.yaml': 'services:\n  db:\n    image: postgres\n' });

    expect(made).toMatchObject({
      plan: { node: { install: '>=20.0.0 <21.0.0-0', reason: '.nvmrc asks for 20' }, gaps: [expect.stringContaining('Service containers')] },
    });
  });

  it('takes the guide for agents whole, else the beginning of the one for people', async () => {
    const shown = async (files: Readonly<Record<string, string>>) => {
      const made = await plan(files);
      return 'plan' in made ? made.plan.instructions : null;
    };
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
      plan: { environment: { TZ: 'Asia/Kolkata', LANG: 'de_DE.UTF-8' } },
    });
    const bare = await plan({});
    expect('plan' in bare ? bare.plan.environment : null).toEqual({});
  });

  it('finds the host that would let nothing through', () => {
    expect(findUnreadableHost(['example.org', '*.example.org', 'example.org:8443'])).toBeNull();
    expect(findUnreadableHost(['example.org', '*.org'])).toBe('*.org');
  });
});
