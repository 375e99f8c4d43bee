/** Text for the model within bounds: its first and last lines, and a line between them that says what is missing. */
import { stripVTControlCharacters } from 'node:util';

const longestLine = 2000;

/** Without terminal colours and control characters; of a line that was drawn over, what stays on the screen. */
export function plainText(text: string): string {
  const lines = text.split('\n').map((line) => {
    let end = line.length;
    while (line[end - 1] === '\r') end -= 1;
    return line.slice(line.lastIndexOf('\r', end - 1) + 1, end);
  });
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  return stripVTControlCharacters(lines.join('\n')).replace(/[\u0000-\u0008\u000B-\u001F\u007F]/g, '');
}

/** At most about `maxCharacters`, the same share from the start and from the end, cut at lines. */
export function clipLines(text: string, maxCharacters: number): string {
  const lines = text.split('\n').map(clipLine);
  const whole = lines.join('\n');
  if (whole.length <= maxCharacters) return whole;
  const head = takeLines(lines, maxCharacters / 2);
  const tail = takeLines(lines.slice(head.length).toReversed(), maxCharacters / 2).toReversed();
  const left = lines.slice(head.length, lines.length - tail.length);
  const characters = left.reduce((sum, line) => sum + line.length + 1, 0);
  return [...head, `[... ${left.length} lines (${characters} characters) left out ...]`, ...tail].join('\n');
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
