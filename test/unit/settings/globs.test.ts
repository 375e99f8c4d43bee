import { describe, expect, it } from 'vitest';
import { findGlobMistake, matchesGlob } from '../../../src/settings/globs.ts';
import { processorMs } from '../../support/processor-time.ts';

describe('matchesGlob', () => {
  it.each([
    ['.vscode/', '.vscode/tasks.json', true],
    ['.vscode/', '.vscode/a/b', true],
    ['.vscode/', 'sub/.vscode/a', false],
    ['.vscode/', '.vscode', true],
    ['*.lock', 'yarn.lock', true],
    ['*.lock', 'a/b/yarn.lock', true],
    ['*.lock', 'yarn.locks', false],
    ['src/*.ts', 'src/a.ts', true],
    ['src/*.ts', 'src/a/b.ts', false],
    ['src/**', 'src/a/b.ts', true],
    ['src/**/b.ts', 'src/b.ts', true],
    ['**/auth/**', 'x/auth/y', true],
    ['**/auth/**', 'auth/y', true],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a*b*c', 'aXXbYYc', true],
    ['a*b*c', 'aXXcYYb', false],
    ['a.c', 'abc', false],
  ])('%s against %s: %s', (pattern, path, matches) => {
    expect(matchesGlob(pattern, path)).toBe(matches);
  });

  it('takes no time over a pattern that is made for it', async () => {
    const matches: boolean[] = [];
    const spentMs = await processorMs(() => {
      matches.push(matchesGlob('a*'.repeat(99), `${'a'.repeat(500)}b/`));
      matches.push(matchesGlob(`${'**/a/'.repeat(39)}b`, `${'a/'.repeat(200)}c`));
    });

    expect(matches).toEqual([false, false]);
    expect(spentMs).toBeLessThan(1000);
  });
});

describe('findGlobMistake', () => {
  it.each(['.vscode/', '*.lock', 'src/**', '**/x', 'a/b.c'])('takes %s', (pattern) => {
    expect(findGlobMistake(pattern)).toBeNull();
  });

  it.each(['', '/etc', 'a\\b', '[ab]', '{a,b}', '!a', 'a//b', '../x', './x', 'a**b', 'a\u200bb', 'x'.repeat(201)])('does not take %j', (pattern) => {
    expect(findGlobMistake(pattern)).not.toBeNull();
  });
});
