import { describe, expect, it } from 'vitest';
import type { TestRun } from '../../../src/job.ts';
import { judge } from '../../../src/proof/verdict.ts';
import type { Observed } from '../../../src/proof/verdict.ts';
import type { TestState } from '../../../src/proof/results.ts';

const run = (exitCode: number | null, states: Readonly<Record<string, TestState>> | null = null, more: Partial<TestRun> = {}): Observed => ({
  run: { command: 'npm test', exitCode, ended: 'exited', durationMs: 1000, output: '', results: null, ...more },
  states: states && new Map(Object.entries(states)),
  reported: null,
  failing: null,
});
const [passed, failed] = ['passed', 'failed'] as const;
const verdictOf = (base: readonly Observed[], tests: readonly Observed[], patched: readonly Observed[], cap: string | null = null): string =>
  judge({ base, tests, patched }, cap).verdict;

describe('judge, by exit codes alone', () => {
  it.each([
    ['a test that fails before and passes after', [0, 1, 0], 'proven'],
    ['a test of the patch that passes without the fix', [0, 0, 0], 'not_contradicted'],
    ['no test of the patch, green either way', [0, null, 0], 'not_contradicted'],
    ['no test of the patch, red before', [1, null, 0], 'proven'],
    ['green before, red after', [0, 1, 1], 'regressed'],
    ['red before and after', [1, 1, 1], 'still_failing'],
    ['a command that is not found', [127, null, 127], 'could_not_run'],
    ['a command that cannot be executed with the patch', [0, null, 126], 'could_not_run'],
  ])('%s', (_name, [base = 0, tests = null, patched = 0], verdict) => {
    expect(verdictOf([run(base)], tests === null ? [] : [run(tests)], [run(patched)])).toBe(verdict);
  });

  it('takes a run that a signal ended for a failure', () => {
    expect(verdictOf([run(0)], [], [run(null)])).toBe('regressed');
    expect(verdictOf([run(null)], [], [run(0)])).toBe('proven');
  });

  it('takes tests of the patch that hang without its fix for failing ones', () => {
    expect(verdictOf([run(0)], [run(null, null, { ended: 'timeout' })], [run(0)])).toBe('proven');
  });

  it('claims nothing when the suite hangs on the base, and says that it did', () => {
    const judgement = judge({ base: [run(null, null, { ended: 'timeout', durationMs: 900_000 })], tests: [], patched: [] }, null);

    expect(judgement).toMatchObject({ verdict: 'could_not_run', reason: 'on the base, the tests did not end within 900 s' });
  });

  it('tells a patch that makes the suite hang from one whose time was short', () => {
    const hangs = run(null, null, { ended: 'timeout', durationMs: 60_000 });

    expect(verdictOf([run(0)], [], [hangs])).toBe('regressed');
    expect(verdictOf([run(0, null, { durationMs: 30_000 })], [], [hangs])).toBe('could_not_run');
    expect(verdictOf([run(1)], [], [hangs])).toBe('could_not_run');
  });
});

describe('judge, when what decides was seen twice', () => {
  it.each([
    ['the base', [run(1), run(0)], [], [run(0)]],
    ['the tests of the patch', [run(0)], [run(1), run(0)], [run(0), run(0)]],
    ['the patch', [run(0)], [run(1), run(1)], [run(0), run(1)]],
  ])('a second run of %s that ends differently is flaky', (_name, base, tests, patched) => {
    expect(verdictOf(base, tests, patched)).toBe('flaky');
  });

  it('names the tests that flip, also when the exit code stays', () => {
    const first = run(1, { a: failed, b: passed, c: failed });
    const second = run(1, { a: failed, b: failed, c: passed });

    expect(judge({ base: [first, second], tests: [], patched: [run(1, { a: failed })] }, null)).toMatchObject({ verdict: 'flaky', flaky: ['b', 'c'] });
  });

  it('does not let a second run that was cut short decide', () => {
    expect(verdictOf([run(0)], [run(1), run(null, null, { ended: 'timeout' })], [run(0)])).toBe('proven');
  });
});

describe('judge, in a suite that is red from the start', () => {
  const base = [run(1, { old: failed, kept: passed })];
  const tests = [run(1, { old: failed, kept: passed, new: failed })];

  it('proves a fix by its own test, and names it', () => {
    const judgement = judge({ base, tests, patched: [run(1, { old: failed, kept: passed, new: passed })] }, null);

    expect(judgement).toMatchObject({ verdict: 'proven', fixed: ['new'], broken: [] });
  });

  it('proves it also when the tests of the patch could not be loaded without the fix', () => {
    expect(verdictOf(base, [run(1, null)], [run(1, { old: failed, kept: passed, new: passed })])).toBe('proven');
  });

  it('sees what breaks beside what is fixed', () => {
    expect(judge({ base, tests, patched: [run(1, { old: failed, kept: failed, new: passed })] }, null)).toMatchObject({
      verdict: 'regressed',
      broken: ['kept'],
    });
    expect(judge({ base, tests, patched: [run(1, { old: failed, kept: passed, new: failed })] }, null)).toMatchObject({
      verdict: 'regressed',
      broken: ['new'],
    });
  });

  it('claims nothing when the same tests fail, or when nothing says which', () => {
    expect(verdictOf(base, [], [run(1, { old: failed, kept: passed })])).toBe('still_failing');
    expect(verdictOf([run(1)], [], [run(1)])).toBe('still_failing');
  });
});

describe('judge, when no test ran', () => {
  const nothing = run(1, { 'a.test.js': failed }, { results: { passed: 0, failed: 0, skipped: 0, failing: [] } });

  it('says so, instead of that the same tests fail', () => {
    expect(judge({ base: [nothing], tests: [], patched: [nothing] }, null)).toMatchObject({
      verdict: 'could_not_run',
      reason: expect.stringContaining('no test ran'),
    });
  });

  it('still takes it for a failure that a patch repairs', () => {
    expect(verdictOf([nothing], [], [run(0, { 'a.test.js > a': passed })])).toBe('proven');
    expect(verdictOf([run(1)], [], [run(0)])).toBe('proven');
  });
});

describe('judge, when passing proves less', () => {
  it('calls a patch that touches how tests are run not contradicted at most, and says why', () => {
    const judgement = judge({ base: [run(1)], tests: [], patched: [run(0)] }, 'the patch takes tests away');

    expect(judgement).toMatchObject({ verdict: 'not_contradicted', reason: 'the tests pass with the patch, but the patch takes tests away' });
  });

  it.each([
    ['prints nothing any more', [run(0, { A: passed, B: passed })], [run(1, { A: passed, N: failed })], [run(0), run(0)]],
    ['leaves tests out', [run(0, { A: passed, B: passed })], [run(1, { A: passed, B: passed, N: failed })], [run(0, { N: passed })]],
    ['could not be run without the fix', [run(0)], [run(127)], [run(0)]],
    ['is red either way, and could not be run without the fix', [run(1, { A: failed })], [run(127)], [run(1, { A: failed, N: passed })]],
  ])('does not call a suite proven that %s', (_name, base, tests, patched) => {
    expect(verdictOf(base, tests, patched)).toBe('not_contradicted');
  });

  it('blames no test of the patch when a file of tests breaks off, and names what did not run', () => {
    const judgement = judge({ base: [run(0, { 'it runs': passed })], tests: [], patched: [run(1, { 'a.test.js': failed })] }, null);

    expect(judgement).toMatchObject({ verdict: 'regressed', reason: 'the tests pass without the patch and fail with it', broken: ['it runs'] });
  });

  it('takes a suite that breaks off in the middle for a regression', () => {
    const base = run(1, { A: failed, B: passed, C: passed });
    const tests = run(1, { A: failed, B: passed, C: passed, N: failed });

    expect(verdictOf([base], [tests], [run(134, { N: passed })])).toBe('regressed');
  });

  it('takes a name that changes from run to run for no fix', () => {
    const seen = (name: string): Observed => run(1, { A: failed, [name]: passed });

    expect(verdictOf([seen('T 111')], [seen('T 222')], [seen('T 333'), seen('T 444')])).toBe('still_failing');
  });

  it('blames no patch for old tests that a runner comes to only now', () => {
    expect(verdictOf([run(1, { 'lib l1': failed })], [], [run(1, { 'lib l1': passed, 'it old': failed })])).not.toBe('regressed');
  });

  it('does not take a failing test that is gone for a fix', () => {
    expect(verdictOf([run(1, { old: failed, kept: passed })], [], [run(0, { kept: passed })])).toBe('not_contradicted');
  });
});
