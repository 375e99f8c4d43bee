/** Reports for programs: JUnit XML in files, JSON on stdout. */
import { describe, expect, it } from 'vitest';
import { readJunit } from '../../../src/proof/junit.ts';
import { withOneSource } from '../../../src/proof/prove.ts';
import { believe } from '../../../src/proof/report-files.ts';
import { createStateList, readStates } from '../../../src/proof/results.ts';
import type { TestState } from '../../../src/proof/results.ts';
import type { Observed } from '../../../src/proof/verdict.ts';
import { processorMs } from '../../support/processor-time.ts';

function junit(text: string): Record<string, string> | null {
  const { list, states } = createStateList();
  return readJunit(text, list) ? Object.fromEntries(states) : null;
}
const surefire = `<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="org.acme.AddTest" time="0.04" tests="4" errors="1" skipped="1" failures="1">
  <properties><property name="java.version" value="17"/></properties>
  <testcase name="adds" classname="org.acme.AddTest" time="0.01"/>
  <testcase name="carries &lt;9&gt;" classname='org.acme.AddTest' time="0.01">
    <failure message="expected: &lt;1&gt; > but was" type="AssertionError"><![CDATA[<testcase name="fake" classname="x"/>]]></failure>
    <system-out>&lt;testcase/&gt;</system-out>
  </testcase>
  <testcase name="later" classname="org.acme.AddTest"><skipped/></testcase>
  <testcase name="crashes" classname="org.acme.AddTest"><error type="X"/></testcase>
  <!-- <testcase name="comment"/> -->
</testsuite>
`;
const expected = {
  'org.acme.AddTest > adds': 'passed',
  'org.acme.AddTest > carries <9>': 'failed',
  'org.acme.AddTest > later': 'skipped',
  'org.acme.AddTest > crashes': 'failed',
};

describe('readJunit', () => {
  it('reads what surefire writes, whatever the tests printed, and several files after each other', () => {
    expect(junit(surefire)).toEqual(expected);
    expect(junit(`${surefire}<?xml version="1.0"?><testsuites><testsuite><testcase name="b"/></testsuite></testsuites>`)).toEqual({ ...expected, b: 'passed' });
  });

  it.each([
    ['is cut short', surefire.slice(0, 700)],
    ['has a document type', `<!DOCTYPE x [<!ENTITY a "b">]><testcase name="&a;"/>`],
    ['has an end without a beginning', '</testcase>'],
    ['has a test in a test', '<testcase name="a"><testcase name="b"/></testcase>'],
    ['has no end of CDATA', '<testcase name="a"><![CDATA['],
  ])('says nothing of a file that %s', (_what, text) => {
    expect(junit(text)).toBeNull();
  });

  it('expands nothing', () => {
    expect(junit('<testcase name="&a;&amp;&#65;&#x42;&#xFFFFFF;"/>')).toEqual({ '&a;&AB&#xFFFFFF;': 'passed' });
  });

  it('takes linear time on hostile text', async () => {
    const many = 300_000;
    for (const text of [
      '<'.repeat(many),
      `<a${' '.repeat(many)}`,
      `<a${' a="b"'.repeat(many / 6)}`,
      '<![CDATA[]]>'.repeat(many / 12),
      `<testcase name="${'&#'.repeat(many)}"/>`,
    ])
      expect(await processorMs(() => junit(text.repeat(4)))).toBeLessThan(3000);
  });
});

describe('report files', () => {
  it('are believed when they say what the exit code and the totals say', () => {
    expect(Object.fromEntries(believe(surefire, { exitCode: 1, stdout: 'BUILD FAILURE' }) ?? [])).toEqual(expected);
    expect(believe(surefire, { exitCode: 1, stdout: 'Tests:       2 failed, 1 passed, 3 total\n' })).not.toBeNull();
  });

  it.each([
    ['a failure in a run that passed', surefire, 0, ''],
    ['no failure in a run that failed', '<testcase name="a"/>', 1, ''],
    ['fewer failures than the totals', surefire, 1, 'Tests:       3 failed, 1 passed, 4 total\n'],
    ['no test', '<testsuite/>', 0, ''],
    ['nothing', '', 0, ''],
  ])('are not believed with %s', (_what, text, exitCode, stdout) => {
    expect(believe(text, { exitCode, stdout })).toBeNull();
  });

  it('speak for all trees or for none', () => {
    const of = (states: Record<string, TestState> | null): ReadonlyMap<string, TestState> | null => states && new Map(Object.entries(states));
    const run = { command: 'x', exitCode: 1, ended: 'exited', durationMs: 1, output: '', results: null } as const;
    const one = (printed: Record<string, TestState> | null, reported: Record<string, TestState> | null): Observed => ({
      run,
      states: of(printed),
      reported: of(reported),
      failing: null,
    });
    const [few, many] = [{ file: 'failed' }, { a: 'failed', b: 'passed' }] as const;

    const all = withOneSource({ base: [one(few, many)], tests: [one(few, null)], patched: [one(few, many)] });
    expect([all.base, all.tests, all.patched].map(([first]) => first?.states?.size ?? null)).toEqual([2, null, 2]);
    const half = withOneSource({ base: [one(few, many)], tests: [], patched: [one(few, null)] });
    expect([half.base, half.patched].map(([first]) => first?.states?.size ?? null)).toEqual([1, 1]);
    // It ran, and told by itself that tests pass: what only its files would name must not look as if it had not.
    const passing = { file: 'failed', other: 'passed' } as const;
    const ran = withOneSource({ base: [one(few, many)], tests: [one(passing, null)], patched: [one(few, many)] });
    expect([ran.base, ran.tests, ran.patched].map(([first]) => first?.states?.size ?? null)).toEqual([1, 2, 1]);
    const printed = withOneSource({ base: [one(many, few)], tests: [], patched: [one(many, few)] });
    expect(printed.base[0]?.states?.size).toBe(2);
  });
});

describe('JSON on stdout', () => {
  const statesOf = (output: string): Record<string, string> => Object.fromEntries(readStates(output) ?? []);

  it('is read of jest and vitest', () => {
    const testResults = [
      {
        name: '/workspace/a.test.js',
        status: 'failed',
        assertionResults: [
          { ancestorTitles: ['List'], title: 'pops', status: 'passed' },
          { ancestorTitles: ['List'], title: 'pushes', status: 'failed' },
          { ancestorTitles: [''], title: 'later', status: 'pending' },
        ],
      },
      { name: '/workspace/b.test.js', status: 'failed', assertionResults: [] },
    ];

    expect(statesOf(`FAIL a.test.js\n${JSON.stringify({ numTotalTests: 3, testResults })}\nnpm notice\n`)).toEqual({
      'a.test.js > List > pops': 'passed',
      'a.test.js > List > pushes': 'failed',
      'a.test.js > later': 'skipped',
      'b.test.js': 'failed',
    });
  });

  it('is read of mocha', () => {
    const test = (fullTitle: string): object => ({ title: fullTitle, fullTitle, file: '/workspace/test.js', err: {} });
    const results = { stats: { tests: 3 }, tests: [], pending: [test('x later')], failures: [test('x fails')], passes: [test('x works')] };

    expect(statesOf(`> mocha\n\n${JSON.stringify(results, null, 2)}\n`)).toEqual({ 'x works': 'passed', 'x fails': 'failed', 'x later': 'skipped' });
  });

  it('is read of go, which has output in it that looks like results', () => {
    const events = [
      { Time: '2026-01-01T00:00:00Z', Action: 'run', Package: 'example.org/add', Test: 'TestAdd' },
      { Action: 'output', Package: 'example.org/add', Test: 'TestAdd', Output: '--- PASS: TestFake (0.00s)\n' },
      { Action: 'pass', Package: 'example.org/add', Test: 'TestAdd', Elapsed: 0 },
      { Action: 'fail', Package: 'example.org/add', Test: 'TestCarry/nine', Elapsed: 0 },
      { Action: 'fail', Package: 'example.org/add', Elapsed: 0.1 },
    ];

    expect(statesOf(events.map((event) => JSON.stringify(event)).join('\n'))).toEqual({
      'example.org/add TestAdd': 'passed',
      'example.org/add TestCarry/nine': 'failed',
      'example.org/add': 'failed',
    });
  });

  it('says nothing when it has another shape or is broken off', () => {
    expect(readStates('{"testResults": 3}\n{"Action":"pass"}\n{\n  "stats": {\n}\n{"testResults":[')).toBeNull();
    expect(readStates('{\n  "stats": {\n'.repeat(100_000))).toBeNull();
    expect(readStates(`${'['.repeat(1_000_000)}\n{"testResults":${'['.repeat(1_000_000)}`)).toBeNull();
  });
});
