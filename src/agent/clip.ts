/** Text for the model within bounds: its first and last lines, and a line between them that says what is missing. */
/* oxlint-disable no-control-regex -- control characters are what is removed */

const longestLine = 2000;

/**
 * Colours and cursor moves, window titles, short escapes, then every other control character but tab and line feed.
 * Repetitions are bounded: the output is hostile, and `util.stripVTControlCharacters` takes a minute for 256 KiB of `ESC ]`.
 */
const controls =
  /\u001B\[[0-?]{0,32}[ -/]{0,8}[@-~]|\u001B\][^\u0007\u001B]{0,256}(?:\u0007|\u001B\\)|\u001B[ -/]?[0-~]|[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g;

/** Without terminal colours and control characters; of a line that was drawn over, what stays on the screen. */
export function plainText(text: string): string {
  const lines = text.split('\n').map((line) => {
    let end = line.length;
    while (line[end - 1] === '\r') end -= 1;
    return line.slice(line.lastIndexOf('\r', end - 1) + 1, end);
  });
  return lines.join('\n').replace(controls, '');
}

/** A text of which the middle may be missing already. */
export interface Ends {
  readonly head: string;
  /** Null when `head` is all there is. */
  readonly tail: string | null;
  readonly hiddenLines: number;
  readonly hiddenCharacters: number;
}

/** At most about `maxCharacters`, the same share from the start and from the end, cut at lines. */
export function clipLines(text: string, maxCharacters: number): string {
  return clipEnds({ head: text, tail: null, hiddenLines: 0, hiddenCharacters: 0 }, maxCharacters).text;
}

/** The same of a text that comes in two ends. `headShare`: of what is kept, how much is from the start. */
export function clipEnds(ends: Ends, maxCharacters: number, headShare = 1 / 2): { text: string; clipped: boolean } {
  const first = ends.head.split('\n').map(clipLine);
  const last = ends.tail?.split('\n').map(clipLine) ?? null;
  const whole = first.join('\n');
  if (last === null && whole.length <= maxCharacters) return { text: whole, clipped: whole !== ends.head };
  const head = takeLines(first, maxCharacters * headShare);
  const rest = last ?? first.slice(head.length);
  const tail = takeLines(rest.toReversed(), maxCharacters * (1 - headShare)).toReversed();
  const left = [...(last === null ? [] : first.slice(head.length)), ...rest.slice(0, rest.length - tail.length)];
  const characters = left.reduce((sum, line) => sum + line.length + 1, ends.hiddenCharacters);
  return { text: [...head, `[... ${left.length + ends.hiddenLines} lines (${characters} characters) left out ...]`, ...tail].join('\n'), clipped: true };
}

/** One line within bounds, its middle left out. */
function clipLine(line: string): string {
  if (line.length <= longestLine) return line;
  const half = longestLine / 2;
  return `${line.slice(0, half)}[... ${line.length - longestLine} characters left out ...]${line.slice(-half)}`;
}

function takeLines(lines: readonly string[], maxCharacters: number): string[] {
  let size = 0;
  const end = lines.findIndex((line) => (size += line.length + 1) > maxCharacters);
  return lines.slice(0, end === -1 ? lines.length : end);
}
