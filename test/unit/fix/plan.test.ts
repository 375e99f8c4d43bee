import { describe, expect, it } from 'vitest';
import { detectSetup, detectTest } from '../../../src/fix/plan.ts';
import { parseSettings } from '../../../src/settings/settings.ts';

describe('detectTest', () => {
  it('finds the test script of package.json, and not the placeholder of npm', () => {
    expect(detectTest('{"scripts":{"test":"mocha"}}')).toEqual({ command: 'npm test', source: 'package.json' });
    expect(detectTest('{"scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}')).toBeNull();
    expect(detectTest('{"scripts":[]}')).toBeNull();
    expect(detectTest('not json')).toBeNull();
    expect(detectTest(null)).toBeNull();
  });
});

describe('detectSetup', () => {
  it('installs exactly with a lockfile, plainly without, and not at all when there is nothing to install', () => {
    expect(detectSetup('{}', (path) => path === 'package-lock.json')).toEqual(['npm ci --no-audit --no-fund']);
    expect(detectSetup('{"devDependencies":{"mocha":"1"}}', () => false)).toEqual(['npm install --no-audit --no-fund']);
    expect(detectSetup('{"name":"x"}', () => false)).toEqual([]);
    expect(detectSetup(null, () => true)).toEqual([]);
  });
});

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
