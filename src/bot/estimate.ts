/** What a run will probably take, from what runs of the same repository took. */
import type { PastRun } from './memory.ts';

export interface Estimate {
  /** How many runs it is made of. */
  readonly runs: number;
  readonly minutes: number;
  readonly tokens: number;
  /** Null when no price is known. */
  readonly costUsd: number | null;
}

/** Ends of runs that an agent has worked in. One that was stopped or failed says nothing of what it would have taken. */
const telling = new Set(['published', 'no_change', 'gave_up', 'stopped']);

/** Medians of the runs that fixed something, or tried to; null when there are none. */
export function estimateFix(past: readonly PastRun[]): Estimate | null {
  const runs = past.filter(({ kind, outcome }) => kind === 'fix' && telling.has(outcome));
  const priced = runs.flatMap(({ costUsd }) => (costUsd === null ? [] : [costUsd]));
  if (runs.length === 0) return null;
  return {
    runs: runs.length,
    minutes: median(runs.map(({ minutes }) => minutes)),
    tokens: median(runs.map(({ tokens }) => tokens)),
    costUsd: priced.length === 0 ? null : median(priced),
  };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[sorted.length / 2 - 1] ?? 0)) / 2;
}
