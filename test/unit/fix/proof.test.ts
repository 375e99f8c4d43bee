import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/fix/proof.ts';
import type { TestRun } from '../../../src/job.ts';

const run = (exitCode: number | null, ended: TestRun['ended'] = 'exited'): TestRun => ({ command: 'npm test', exitCode, ended, durationMs: 1, output: '' });

describe('judge', () => {
  it.each([
    [1, 0, 'proven'],
    [0, 0, 'not_contradicted'],
    [0, 1, 'regressed'],
    [1, 1, 'still_failing'],
    [127, 127, 'could_not_run'],
    [0, 126, 'could_not_run'],
  ])('base %i, patched %i: %s', (base, patched, verdict) => {
    expect(judge(run(base), run(patched))).toBe(verdict);
  });

  it('says nothing of a run that did not end by itself', () => {
    expect(judge(run(null, 'timeout'), run(0))).toBe('could_not_run');
    expect(judge(run(1), run(null, 'timeout'))).toBe('could_not_run');
  });

  it('takes a test run that a signal ended for a failure', () => {
    expect(judge(run(0), run(null))).toBe('regressed');
    expect(judge(run(null), run(0))).toBe('proven');
  });
});
