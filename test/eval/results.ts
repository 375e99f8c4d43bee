/** What became of a case: our claim beside what the hidden tests say. */
import type { ErrorCode } from '../../src/errors.ts';
import type { FixOutcome, Proof } from '../../src/job.ts';
import { align } from '../bench/table.ts';
import type { HiddenVerdict } from './judge.ts';

/**
 * Each case counts as one of these. `solved`: called proven, and the hidden tests pass. `unproven`: not called proven,
 * but they pass. `false_claim`: called proven, and they do not pass. `honest_failure`: neither. `broken_case`: it can
 * judge nothing. `failed`: the run or its judging did not come to an end, so that it says nothing about the agent.
 */
export type Result = 'solved' | 'unproven' | 'false_claim' | 'honest_failure' | 'broken_case' | 'failed';

export interface CaseResult {
  readonly id: string;
  readonly repository: string;
  readonly result: Result;
  /** Why it is broken or failed. */
  readonly why: string | null;
  /** What ended the run or its judging. */
  readonly failure: ErrorCode | null;
  readonly outcome: FixOutcome | null;
  readonly proof: Proof | null;
  /** Null when there was nothing to judge. */
  readonly hidden: HiddenVerdict | null;
  readonly steps: number;
  readonly tokens: number;
  /** Null when the price of the model is not known. */
  readonly costUsd: number | null;
  /** Of the run, without its judging. */
  readonly durationMs: number;
  /** As `git apply` takes it. */
  readonly patch: string | null;
  /** Names of what any of its VMs left behind on the host. Empty, or something is wrong. */
  readonly leftovers: readonly string[];
  /** As `mayfly fix --json` prints it, without the proof. */
  readonly run: Readonly<Record<string, unknown>>;
}

/** A patch that a limit or a refusal held back is nobody's fix, whatever the hidden tests say of it. */
export function classify({ outcome, proof, hidden }: Pick<CaseResult, 'outcome' | 'proof' | 'hidden'>): Result {
  if (hidden === null) return 'failed';
  if (hidden.broken !== null) return 'broken_case';
  const handedIn = outcome?.kind === 'patched';
  const right = handedIn && hidden.passes;
  if (handedIn && proof?.verdict === 'proven') return right ? 'solved' : 'false_claim';
  return right ? 'unproven' : 'honest_failure';
}

const names: Record<Result, readonly [one: string, many: string]> = {
  solved: ['solved', 'solved'],
  unproven: ['right but unproven', 'right but unproven'],
  false_claim: ['false claim', 'false claims'],
  honest_failure: ['honest failure', 'honest failures'],
  broken_case: ['broken case', 'broken cases'],
  failed: ['failed', 'failed'],
};

export function countResults(results: readonly Pick<CaseResult, 'result'>[]): Record<Result, number> {
  const count = (wanted: Result): number => results.filter(({ result }) => result === wanted).length;
  return {
    solved: count('solved'),
    unproven: count('unproven'),
    false_claim: count('false_claim'),
    honest_failure: count('honest_failure'),
    broken_case: count('broken_case'),
    failed: count('failed'),
  };
}

/** A row a case, what they took together, why some say nothing, and the counts. */
export function formatResults(results: readonly CaseResult[]): string {
  const header = ['case', 'outcome', 'our verdict', 'hidden tests', 'result', 'steps', 'tokens', 'cost', 'time'];
  const rows = results.map((one) => [
    one.id,
    describeOutcome(one.outcome),
    one.proof?.verdict ?? '-',
    describeHidden(one.hidden),
    names[one.result][0],
    ...spent([one]),
  ]);
  const whys = results.filter(({ why }) => why !== null).map(({ id, why }) => `  ${id}: ${why}`);
  const counts = Object.entries(countResults(results)).map(([result, count]) => `${count} ${names[result as Result][count === 1 ? 0 : 1]}`);
  const total = ['all', '', '', '', '', ...spent(results)];
  return [
    ...align([header, ...rows, total], { texts: 5 }),
    ...whys,
    '',
    `${results.length} ${results.length === 1 ? 'case' : 'cases'}: ${counts.join(', ')}.`,
  ].join('\n');
}

function describeOutcome(outcome: FixOutcome | null): string {
  if (outcome === null) return '-';
  const detail = 'reason' in outcome ? outcome.reason : 'limit' in outcome ? outcome.limit : 'code' in outcome ? outcome.code : null;
  return detail === null ? outcome.kind : `${outcome.kind}: ${detail}`;
}

function describeHidden(hidden: HiddenVerdict | null): string {
  if (hidden === null) return 'not run';
  if (hidden.broken !== null) return 'broken';
  if (hidden.patched === null) return 'no patch';
  return hidden.passes ? 'pass' : hidden.patched.ended === 'timeout' ? 'time limit' : 'fail';
}

function spent(results: readonly CaseResult[]): string[] {
  const sum = (of: (one: CaseResult) => number): number => results.reduce((total, one) => total + of(one), 0);
  const cost = results.some(({ costUsd }) => costUsd === null) ? '-' : `${sum(({ costUsd }) => costUsd ?? 0).toFixed(2)} USD`;
  return [`${sum(({ steps }) => steps)}`, `${sum(({ tokens }) => tokens)}`, cost, `${(sum(({ durationMs }) => durationMs) / 1000).toFixed(1)} s`];
}
