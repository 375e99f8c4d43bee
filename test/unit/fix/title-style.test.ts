import { describe, expect, it } from 'vitest';
import { findTitleStyle, subjectInStyle, titleInStyle } from '../../../src/fix/title-style.ts';
import { processorMs } from '../../support/processor-time.ts';

const issue = { number: 7, text: 'add() forgets the second number', closes: true, paths: ['src/parser/add.ts', 'test/add.test.ts'] };

describe('a title in the style of the repository', () => {
  it.each([
    ['conventional commits with a scope', ['fix(parser): a', 'feat(lexer): b', 'docs: c', 'Oops'], 'fix(parser): add() forgets the second number (#7)'],
    ['conventional commits without a scope that fits', ['fix(ui): a', 'feat: b', 'docs: c'], 'fix: add() forgets the second number (#7)'],
    ['components', ['src/parser: keep it', 'cmd/go: x', 'net/http: y'], 'src/parser: add() forgets the second number (#7)'],
    ['components, none of which fits', ['net: x', 'runtime: y', 'os: z'], 'add() forgets the second number (#7)'],
    ['sentences', ['Add a flag', 'Fix the loop', 'Bump x from 1 to 2'], 'Fix #7: add() forgets the second number'],
    ['small letters', ['add a flag', 'fix the loop', 'drop it'], 'fix #7: add() forgets the second number'],
    ['too little to tell', ['fix: one'], 'Fix #7: add() forgets the second number'],
    ['nothing', [], 'Fix #7: add() forgets the second number'],
    ['programs only', ['bump a', 'bump b', 'merge c', 'merge d'], 'Fix #7: add() forgets the second number'],
  ])('is right for %s', (_name, subjects, title) => {
    expect(titleInStyle(findTitleStyle(subjects), issue)).toBe(title);
  });

  it('holds no keyword that closes the issue when nobody claims that it is done', () => {
    const title = titleInStyle(findTitleStyle([]), { ...issue, closes: false });

    expect(title).toBe('Work on #7: add() forgets the second number');
  });

  it('names the issue when it has no title', () => {
    expect(titleInStyle(findTitleStyle(['fix: a', 'fix: b', 'fix: c']), { ...issue, text: '\u200b' })).toBe('fix: issue 7 (#7)');
  });

  it('gives commits a first line without words from outside', () => {
    expect(subjectInStyle(findTitleStyle(['fix(parser): a', 'fix: b', 'fix: c']), 7, issue.paths)).toBe('fix(parser): issue 7');
    expect(subjectInStyle(findTitleStyle([]), 7, issue.paths)).toBe('Fix issue 7');
  });

  it('takes no time to be found in hostile subjects', async () => {
    const hostile = ['a'.repeat(300), 'a('.repeat(150), `${'a/'.repeat(150)}: x`, ': '.repeat(150)];

    expect(findTitleStyle(hostile)).toEqual({ kind: 'sentence', capital: false });
    expect(await processorMs(() => findTitleStyle(hostile))).toBeLessThan(500);
  });
});
