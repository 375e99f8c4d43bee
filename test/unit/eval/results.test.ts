import { expect, test } from 'vitest';
import type { FixOutcome, Proof, TestRun, Verdict } from '../../../src/job.ts';
import { nothingToRun } from '../../../src/proof/prove.ts';
import { classify, formatResults } from '../../eval/results.ts';
import type { CaseResult, Result } from '../../eval/results.ts';
import type { HiddenVerdict } from '../../eval/judge.ts';

const run = (exitCode: number): TestRun => ({ command: 'test', exitCode, ended: 'exited', durationMs: 10, output: '', results: null });
const hidden = (passes: boolean): HiddenVerdict => ({ base: run(1), patched: run(passes ? 0 : 1), fixed: null, broken: null, passes, leftovers: [] });
const proof = (verdict: Verdict): Proof => ({ ...nothingToRun, verdict });
const patched: FixOutcome = { kind: 'patched' };

interface Seen {
  readonly result: Result;
  readonly outcome?: FixOutcome;
  readonly verdict: Verdict;
  readonly said: HiddenVerdict | null;
}

test.each<[string, Seen]>([
  ['proven and right', { result: 'solved', verdict: 'proven', said: hidden(true) }],
  ['proven and wrong', { result: 'false_claim', verdict: 'proven', said: hidden(false) }],
  ['right without a claim', { result: 'unproven', verdict: 'not_contradicted', said: hidden(true) }],
  ['wrong without a claim', { result: 'honest_failure', verdict: 'not_contradicted', said: hidden(false) }],
  ['nothing', { result: 'honest_failure', outcome: { kind: 'no_change' }, verdict: 'nothing_to_run', said: { ...hidden(false), patched: null } }],
  ['held back by a limit', { result: 'honest_failure', outcome: { kind: 'gave_up', limit: 'steps' }, verdict: 'proven', said: hidden(true) }],
  ['of a broken case', { result: 'broken_case', verdict: 'proven', said: { ...hidden(false), broken: 'its hidden tests pass without any patch' } }],
  ['not judged', { result: 'failed', verdict: 'proven', said: null }],
])('a result that is %s counts as what it is', (_what, { result, outcome = patched, verdict, said }) => {
  expect(classify({ outcome, proof: proof(verdict), hidden: said })).toBe(result);
});

test('the table has a row a case, what all took, and the counts', () => {
  const spent = { steps: 7, tokens: 1200, costUsd: 0.125, durationMs: 12_345, leftovers: [], patch: null, run: {} };
  const right: CaseResult = {
    id: 'one',
    repository: 'a/b',
    result: 'solved',
    why: null,
    failure: null,
    outcome: patched,
    proof: proof('proven'),
    hidden: hidden(true),
    ...spent,
  };
  const lost: CaseResult = {
    ...right,
    id: 'other',
    result: 'failed',
    why: 'The VM went away.',
    failure: 'sandbox_lost',
    outcome: { kind: 'failed', code: 'sandbox_lost' },
    proof: null,
    hidden: null,
  };

  expect(formatResults([right, { ...lost, costUsd: null }]).split('\n')).toEqual([
    '  case   outcome               our verdict  hidden tests  result  steps  tokens      cost    time',
    '  one    patched               proven       pass          solved      7    1200  0.13 USD  12.3 s',
    '  other  failed: sandbox_lost  -            not run       failed      7    1200         -  12.3 s',
    '  all                                                                14    2400         -  24.7 s',
    '  other: The VM went away.',
    '',
    '2 cases: 1 solved, 0 right but unproven, 0 false claims, 0 honest failures, 0 broken cases, 1 failed.',
  ]);
});
