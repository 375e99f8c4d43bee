/** What is wrong with a settings file: where, and how to put it right. The texts of a file in it are clipped and plain. */
export interface Problem {
  /** `.github/mayfly.yml`, or `acme/.github: .github/mayfly.yml`. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** `limits.steps`; empty for the file as a whole. */
  readonly key: string;
  /** A sentence without its full stop. */
  readonly message: string;
}

/** `FILE:LINE:COLUMN key: message`, as compilers do. */
export const formatProblem = ({ file, line, column, key, message }: Problem): string => `${file}:${line}:${column} ${key === '' ? '' : `${key}: `}${message}`;

/** Text of a file as it may stand in a sentence. */
export const shownText = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text).replace(/[^\x20-\x7e]/g, '?');

/** The known word that a wrong one probably is, or null. */
export function findNearest(wrong: string, known: readonly string[]): string | null {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, '');
  const given = plain(wrong.slice(0, 60));
  const ranked = known.map((word) => ({ word, steps: distance(given, plain(word)) })).toSorted((left, right) => left.steps - right.steps);
  const [best] = ranked;
  return best && best.steps <= (best.word.length < 4 ? 1 : Math.max(2, Math.floor(best.word.length / 3))) ? best.word : null;
}

/** How many letters have to be changed, added or taken away. https://en.wikipedia.org/wiki/Levenshtein_distance */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 0; at < from.length; at++) {
    const next = [at + 1];
    for (let index = 0; index < to.length; index++) {
      const changed = (row[index] ?? 0) + (from[at] === to[index] ? 0 : 1);
      next.push(Math.min(changed, (row[index + 1] ?? 0) + 1, (next[index] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
