/** What to say when a text is not in a file: where something like it is, so that the next try fits. */
import { numberLines } from './guest-text.ts';

const around = 3;
const longestLine = 400;

/** One sentence, and the lines of the file that are most like the first lines of `wanted`. */
export function findNearest(text: string, wanted: string): string {
  const lines = text.split('\n');
  const target = wanted
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, 5);
  if (target.length === 0) return 'It is only white space: take in a line with words.';
  const best = bestStart(lines, target);
  if (best.score < 0.4) return 'Nothing in the file is like it: read the file again, it may have changed.';
  const first = Math.max(0, best.at - around);
  const shown = lines.slice(first, best.at + target.length + around).map((line) => line.slice(0, longestLine));
  const why = best.score === 1 ? 'The same words are here with other white space or other lines after them' : 'The nearest lines are';
  return `${why}:\n${numberLines(shown, first + 1)}`;
}

function bestStart(lines: readonly string[], target: readonly string[]): { at: number; score: number } {
  const wanted = target.map(pairsOf);
  const have = lines.map(pairsOf);
  let best = { at: 0, score: 0 };
  for (let at = 0; at < have.length && best.score < 1; at++) {
    const score = wanted.reduce((sum, pairs, index) => sum + likeness(pairs, have[at + index] ?? new Set()), 0) / wanted.length;
    if (score > best.score) best = { at, score };
  }
  return best;
}

/** Pairs of neighbouring characters, white space aside. */
function pairsOf(line: string): ReadonlySet<string> {
  const dense = line.replace(/\s+/g, '').slice(0, longestLine);
  return new Set(Array.from({ length: Math.max(1, dense.length - 1) }, (_, index) => dense.slice(index, index + 2)));
}

/** Dice's coefficient: 1 when both have the same pairs. */
function likeness(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const shared = one.intersection(other).size;
  return (2 * shared) / (one.size + other.size);
}
