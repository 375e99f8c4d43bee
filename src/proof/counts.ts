/** How many tests a runner says that it ran: its own last words, which count also what it does not name. */
import type { TestResults } from '../job.ts';

type Counts = Pick<TestResults, 'passed' | 'failed' | 'skipped'>;

/** A line of totals; every number in it is read by the word beside it. */
const totals: readonly RegExp[] = [
  // jest, vitest
  /^ *Tests:? +(\d.{0,300})$/gm,
  // pytest
  /^=* ?((?:\d+ [a-z]+,? )+in [\d.]+s.{0,40})$/gm,
  // cargo, one for each target
  /^test result: \w+\. (.{0,300})$/gm,
  // mocha
  /^ +(\d+ (?:passing|failing|pending)\b).{0,40}$/gm,
  // node and TAP
  /^(?:\u2139|#) ((?:pass|fail|skipped|todo) \d+)$/gm,
];

const kinds: Readonly<Record<keyof Counts, readonly string[]>> = {
  passed: ['passed', 'passing', 'pass', 'xfailed', 'xpassed'],
  failed: ['failed', 'failing', 'fail', 'error', 'errors'],
  skipped: ['skipped', 'pending', 'todo', 'ignored'],
};

/** Null when no such line is there. Hostile text: of no use but to be shown. */
export function readCounts(output: string): Counts | null {
  for (const pattern of totals) {
    const lines = [...output.matchAll(pattern)].map(([, line = '']) => line);
    if (lines.length > 0) return sum(lines);
  }
  return null;
}

function sum(lines: readonly string[]): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    for (const [, before, word = '', after] of line.matchAll(/(\d{1,9})? ?\b([a-z]+)\b(?: (\d{1,9}))?/g)) {
      const kind = (['passed', 'failed', 'skipped'] as const).find((name) => kinds[name].includes(word));
      if (kind !== undefined) counts[kind] += Number(before ?? after ?? 0);
    }
  }
  return counts;
}
