/** Runners that name what fails and only count what passes. */
import { describe, expect, it } from 'vitest';
import type { TestResults } from '../../../src/job.ts';
import { readFailing } from '../../../src/proof/failing.ts';
import { readStates } from '../../../src/proof/results.ts';
import { judge } from '../../../src/proof/verdict.ts';
import type { Observed } from '../../../src/proof/verdict.ts';
import { processorMs } from '../../support/processor-time.ts';

const failingOf = (output: string): readonly string[] | null => {
  const failing = readFailing(output, readStates(output));
  return failing === null ? null : [...failing];
};

const dots = `
  .,.!!

  2 passing (5ms)
  1 pending
  2 failing

  1) Range
       with a negative index
         slices:

      AssertionError [ERR_ASSERTION]: 1 == 2
      + expected - actual
       7 columns
      at Context.<anonymous> (test.js:9:12)

  2) alone:
     Error: x
  3) is no test
`;

describe('readFailing', () => {
  it('reads the list at the end of mocha', () => {
    expect(failingOf(dots)).toEqual(['Range > with a negative index > slices', 'alone']);
  });

  it('reads the bullets of jest, which come twice', () => {
    const failure = 'FAIL src/a.test.js\n  ● List › pops\n\n    Error\n\n  ● Console\n\n';
    const output = `PASS src/b.test.js\n${failure}Summary of all failing tests\n${failure}Tests:       1 failed, 5 passed, 6 total\n`;

    expect(failingOf(output)).toEqual(['src/a.test.js > List › pops']);
  });

  it('takes the names of another reader when they are as many as the total says', () => {
    expect(failingOf(' ❯ a.test.ts (2 tests | 1 failed) 8ms\n   × drops 4ms\n\n      Tests  1 failed | 1 passed (2)\n')).toEqual(['a.test.ts > drops']);
  });

  it('takes no list that is shorter or longer than the total', () => {
    expect(failingOf(dots.replace('2 failing', '3 failing'))).toEqual(['Range > with a negative index > slices', 'alone', 'is no test']);
    expect(failingOf(dots.replace('2 failing', '4 failing'))).toBeNull();
    expect(failingOf('FAIL a.test.js\n  ● a\n  ● b\nTests:       1 failed, 1 total\n')).toBeNull();
    expect(failingOf('nothing failed\n')).toBeNull();
  });

  it('takes linear time on hostile text', async () => {
    const text = `  2 failing\n${'  1) x\n       y\n'.repeat(100_000)}${'  ● x\n'.repeat(100_000)}`;

    expect(await processorMs(() => failingOf(text))).toBeLessThan(5000);
  });
});

/** Red either way, without a name of what passes. */
const red = (failing: readonly string[], passed: number, skipped = 0): Observed => {
  const results: TestResults = { passed, failed: failing.length, skipped, failing };
  return {
    run: { command: 'x', exitCode: 1, ended: 'exited', durationMs: 1000, output: '', results },
    states: null,
    reported: null,
    failing: new Set(failing),
  };
};

describe('judge, when only what fails is named', () => {
  const verdict = (base: readonly Observed[], tests: readonly Observed[], patched: readonly Observed[]): string =>
    judge({ base, tests, patched }, null).verdict;

  it('says that fewer fail and as many more pass, and claims no proof', () => {
    expect(judge({ base: [red(['a', 'b'], 8)], tests: [], patched: [red(['b'], 9)] }, null)).toMatchObject({
      verdict: 'not_contradicted',
      fixed: [],
      reason: '1 of 2 failing tests does not fail with the patch, as many more pass and none fails anew, but the tests that pass are not named',
    });
    expect(verdict([red(['a'], 8)], [red(['a', 'new'], 8)], [red(['a'], 9)])).toBe('not_contradicted');
  });

  it.each([
    ['hides a failing test', red(['b'], 8)],
    ['skips a failing test', red(['b'], 8, 1)],
    ['skips it and brings another', red(['b'], 9, 1)],
    ['mends nothing', red(['a', 'b'], 9)],
    ['changes the name of one', red(['b', 'A'], 8)],
  ])('stays at that it fails either way when the patch %s', (_what, patched) => {
    expect(verdict([red(['a', 'b'], 8)], [], [patched])).toBe('still_failing');
  });

  it('sees what breaks', () => {
    expect(judge({ base: [red(['a'], 8)], tests: [], patched: [red(['a', 'c'], 7)] }, null)).toMatchObject({ verdict: 'regressed', broken: ['c'] });
    expect(judge({ base: [red(['a'], 8)], tests: [red(['a', 'new'], 8)], patched: [red(['a', 'new'], 8)] }, null)).toMatchObject({
      verdict: 'regressed',
      broken: ['new'],
    });
  });

  it('says nothing when a second run fails in another way', () => {
    expect(verdict([red(['a', 'b'], 8), red(['a', 'c'], 8)], [], [red(['b'], 9)])).toBe('still_failing');
    expect(verdict([red(['a', 'b'], 8)], [], [red(['b'], 9), red(['a'], 9)])).toBe('still_failing');
  });

  it('never makes a proof of it, whatever was there before', () => {
    const unnamed = { ...red(['a', 'b'], 8), states: new Map([['file', 'failed' as const]]) };

    expect(verdict([unnamed], [], [{ ...unnamed, ...red(['b'], 9), states: unnamed.states }])).toBe('not_contradicted');
  });
});
