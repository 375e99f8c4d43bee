import { describe, expect, it } from 'vitest';
import { parseSettings } from '../../../src/settings/parse.ts';
import { formatProblem } from '../../../src/settings/problem.ts';
import { maxSettingsBytes } from '../../../src/settings/schema.ts';
import { processorMs } from '../../support/processor-time.ts';

const problemsOf = (text: string): readonly string[] => {
  const parsed = parseSettings(text);
  return 'problems' in parsed ? parsed.problems.map(formatProblem) : [];
};
const at = (place: string): string => `.github/mayfly.yml:${place}`;

describe('parseSettings', () => {
  it('reads the keys it knows, and where they are written', () => {
    const parsed = parseSettings('# ours\nsetup:\n  - npm ci\nlimits:\n  steps: 100\nallow: [example.org]\n');

    expect(parsed).toMatchObject({ file: { settings: { setup: ['npm ci'], limits: { steps: 100 }, allow: ['example.org'] } } });
    expect('file' in parsed ? parsed.file.placeOf(['limits', 'steps']) : null).toEqual({ line: 5, column: 3 });
  });

  it.each(['', '# nothing yet\n', '---\n', '\uFEFFtest: npm test'])('takes %j', (text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  it('says of every mistake where it is and how to mend it, in the order of the file', () => {
    expect(problemsOf('tets: npm test\nlimits:\n  step: 3\n  minutes: "x"\nci: holdd\nsetup: npm ci\nallow:\n  agnt: []\n')).toEqual([
      at('1:1 tets: there is no such key; did you mean test?'),
      at('3:3 limits.step: there is no such key; did you mean steps?'),
      at('4:3 limits.minutes: it needs a number, and this is the text "x"'),
      at('5:1 ci: it is hold or run; did you mean hold?'),
      at('6:1 setup: it needs a list, and this is the text "npm ci"'),
      at('8:3 allow.agnt: there is no such key; did you mean agent?'),
    ]);
  });

  it.each([
    ['a key far from any', 'colour: red', at('1:1 colour: there is no such key; the keys here are extends, enabled, label, ')],
    ['a key without a value', 'test:', at('1:1 test: it needs a text, and this is nothing')],
    ['a list for a file', '- test', at('1:1 it needs keys with values, and this is a list')],
    ['an address for a host', 'allow: [example.org, "https://x/"]', at('1:22 allow.1: not the name of a host')],
    ['a number for hosts', 'allow: 3', at('1:1 allow: it is a list of hosts, or setup, agent and proof with a list each')],
    ['too much', 'limits: {steps: 99999999}', at('1:10 limits.steps: it is at most 10000')],
    ['no money', 'limits: {costUsd: 0}', at('1:10 limits.costUsd: it is more than 0')],
    ['a pattern that is a path of the host', 'protect: {refuse: [/etc]}', at('1:20 protect.refuse.0: not a pattern for paths: it begins without a slash')],
    ['a tab', '\ttest: x', at('1:1 indent with spaces, not with tabs')],
    ['no YAML', 'test: "unclosed', at('1:16 it is not YAML: Missing closing')],
    ['two documents', 'test: a\n---\ntest: b', at('2:1 the file holds more than one document')],
    ['a key twice', 'test: a\ntest: b', at('2:1 this key is there twice; leave one of them out')],
  ])('explains %s', (_name, text, problem) => {
    expect(problemsOf(text)[0]).toContain(problem);
  });

  it('gives no place to text that would act in a terminal or a comment', () => {
    for (const problem of problemsOf('"\\e[31m\u202e\u{E0041}x": 1\nci: "\\n@all\\e[0m"\n')) expect(problem).toMatch(/^[\x20-\x7e]+$/);
  });
});

describe('test 32 of the threat model: hostile YAML is refused in no time, and nothing of it is used', () => {
  const deep = 'nested too deeply';
  it.each([
    ['an alias', 'setup: &a [x]\nallow: *a', 'an anchor (&name) is not allowed'],
    ['an alias of nothing', 'test: *a', 'not allowed'],
    ['a bomb of aliases', 'a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nallow: *c', 'not allowed'],
    ['__proto__', '__proto__: {test: x}', '__proto__ is no key of the settings'],
    ['__proto__ below a key', 'limits: {__proto__: {steps: 1}}', '__proto__ is no key of the settings'],
    ['constructor', 'constructor: {prototype: {test: x}}', 'there is no such key'],
    ['a merge key', '<<: {test: x}', 'a merge key'],
    ['a tag that runs', 'test: !!js/function "x"', 'a tag (!name) is not allowed'],
    ['a tag of YAML itself', 'test: !!binary aGk=', 'a tag (!name) is not allowed'],
    ['a map for a key', '? {a: b}\n: c', 'a key is a plain word'],
    ['lists in lists', '['.repeat(30_000), deep],
    ['lists in lists in one line', `${'- '.repeat(15_000)}x`, deep],
    ['lists in lists after as many ends', `${']'.repeat(1900)}\n${'['.repeat(1900)}`, deep],
    ['maps in maps', '{a: '.repeat(8000), deep],
    ['maps in maps by indentation', Array.from({ length: 240 }, (_, index) => `${' '.repeat(index)}a:`).join('\n'), 'key'],
    ['questions', `${'? '.repeat(15_000)}x`, deep],
    ['thousands of keys', Array.from({ length: 3500 }, (_, index) => `k${index}: 1`).join('\n'), 'far more'],
    ['thousands of errors', ']\n'.repeat(16_000), 'far more'],
    ['thousands of commas', `[${','.repeat(32_000)}`, 'far more'],
    ['NUL characters', `test: ${'\0'.repeat(1000)}`, 'a control character'],
  ])('%s', async (_name, text, message) => {
    let parsed: ReturnType<typeof parseSettings> = { problems: [] };
    const spentMs = await processorMs(() => (parsed = parseSettings(text)));

    expect('problems' in parsed ? parsed.problems[0]?.message : 'it was taken').toContain(message);
    // Seconds without the look at the tokens.
    expect(spentMs).toBeLessThan(2000);
    expect(({} as Record<string, unknown>)['test']).toBeUndefined();
  });

  it('a file that is too large, before any of it is parsed', () => {
    expect(problemsOf(`#${'x'.repeat(maxSettingsBytes)}`)).toEqual([at('1:1 it is larger than 32768 bytes; leave out what is not needed')]);
    expect(problemsOf(`#${'x'.repeat(maxSettingsBytes - 1)}`)).toEqual([]);
  });
});
