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
  const why = best.score === 1 ? explainLikeness(lines.slice(best.at, best.at + target.length), target, best.at + 1) : 'The nearest lines are';
  return `${why}:\n${numberLines(shown, first + 1)}`;
}

/** The same words, so it is the white space: most often the indentation, which can be counted. */
function explainLikeness(have: readonly string[], wanted: readonly string[], from: number): string {
  const indent = (line: string): number => line.length - line.trimStart().length;
  const at = wanted.findIndex((line, index) => indent(line) !== indent(have[index] ?? ''));
  const sameWords = wanted.every((line, index) => line.trim() === have[index]?.trim());
  if (!sameWords || at === -1) return 'The same words are here with other white space or other lines after them';
  return `The same words are here, but line ${from + at} begins with ${describeIndent(have[at] ?? '')}, and in old with ${describeIndent(wanted[at] ?? '')}`;
}

function describeIndent(line: string): string {
  const space = line.slice(0, line.length - line.trimStart().length);
  const what = /^ *$/.test(space) ? 'space' : /^\t*$/.test(space) ? 'tab' : 'space or tab';
  return `${space.length} ${what}${space.length === 1 ? '' : 's'}`;
}

/** Only as many lines as are compared at once are kept in their dense form: a file may have a million of them. */
function bestStart(lines: readonly string[], target: readonly string[]): { at: number; score: number } {
  const wanted = target.map(densely);
  const have = lines.slice(0, wanted.length).map(densely);
  let best = { at: 0, score: 0 };
  for (let at = 0; at < lines.length && best.score < 1; at++) {
    const score = wanted.reduce((sum, line, index) => sum + likeness(line, have[index]), 0) / wanted.length;
    if (score > best.score) best = { at, score };
    have.shift();
    const next = lines[at + wanted.length];
    if (next !== undefined) have.push(densely(next));
  }
  return best;
}

interface Dense {
  readonly text: string;
  /** Of neighbouring characters. */
  readonly pairs: ReadonlySet<string>;
}

const blank: Dense = { text: '', pairs: new Set() };

/** A line without its white space. */
function densely(line: string): Dense {
  const text = line
    .slice(0, 2 * longestLine)
    .replace(/\s+/g, '')
    .slice(0, longestLine);
  if (text === '') return blank;
  const pairs = new Set<string>();
  for (let at = 0; at < Math.max(1, text.length - 1); at++) pairs.add(text.slice(at, at + 2));
  return { text, pairs };
}

/** 1 when the wanted line is a part of the other, else Dice's coefficient of their pairs. */
function likeness(wanted: Dense, line: Dense | undefined): number {
  if (line === undefined || line === blank) return 0;
  if (line.text.includes(wanted.text)) return 1;
  const [fewer, more] = wanted.pairs.size < line.pairs.size ? [wanted.pairs, line.pairs] : [line.pairs, wanted.pairs];
  let shared = 0;
  for (const pair of fewer) if (more.has(pair)) shared += 1;
  return (2 * shared) / (wanted.pairs.size + line.pairs.size);
}
