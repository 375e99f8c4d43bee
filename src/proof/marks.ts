/** Runners that print a tree with a mark before each test: node's spec, mocha, jest, vitest, ava. */
import type { Reader, TestState } from './results.ts';

const marks: Readonly<Record<string, TestState>> = {
  '✔': 'passed',
  '✓': 'passed',
  '√': 'passed',
  '✖': 'failed',
  '✗': 'failed',
  '✕': 'failed',
  '×': 'failed',
  '﹣': 'skipped',
  '○': 'skipped',
  '↓': 'skipped',
  '✎': 'skipped',
};

/** `(12.3ms)`, ` 12 ms`, `(3 tests | 1 failed)`: what changes from run to run. */
const changing = /(?: {1,4}\((?:[\d.]{1,12} ?m?s|\d{1,6} tests?[^)]{0,100})\)| {1,4}[\d.]{1,12} ?m?s){1,3}$/;
/** Only the end of a line can be it. */
const stable = (text: string): string => text.slice(0, -160) + text.slice(-160).replace(changing, '');
const maxDepth = 20;
const maxHeadingCharacters = 150;
/** From here on, runners tell the failures once more. */
const end = /^\s*(?:✖ failing tests:|\d+ passing\b|⎯+ Failed Tests)/;

export const readMarks: Reader = (lines, list) => {
  // Headings above, each with its indentation.
  let path: { indent: number; text: string }[] = [];
  // jest names a file first; it counts as a test only when none of its own is named.
  let file: { name: string; state: TestState } | null = null;
  // Below a bullet it tells of one failure, whose text may look like anything, until the next file.
  let inFailure = false;
  const endFile = (): void => void (file && list.add(file.name, file.state));
  for (const line of lines) {
    if (end.test(line)) break;
    const [, word, name = ''] = /^\s*(PASS|FAIL)\s+(\S{1,500})/.exec(line) ?? [];
    if (word !== undefined) {
      endFile();
      file = { name, state: word === 'PASS' ? 'passed' : 'failed' };
      path = [{ indent: -1, text: name }];
      inFailure = false;
      continue;
    }
    inFailure ||= /^ {2}● /.test(line);
    if (inFailure) continue;
    const indent = line.length - line.trimStart().length;
    const text = line.trim().slice(0, 500);
    if (text === '') continue;
    path = path.filter((heading) => heading.indent < indent);
    const test = readTest(text, indent);
    if (test) {
      file = null;
      list.add([...path.map((heading) => heading.text), test.name].join(' > '), test.state);
    }
    // A line at the margin is most often something that a test printed, and no heading.
    else if ((indent > 0 || text.startsWith('▶')) && path.length < maxDepth) {
      path.push({ indent, text: stable(text.replace(/^[▶❯]\s*/, '')).slice(0, maxHeadingCharacters) });
    }
  }
  endFile();
};

function readTest(text: string, indent: number): { name: string; state: TestState } | null {
  const state = marks[text.charAt(0)];
  if (state !== undefined) return { name: stable(text.slice(1)), state };
  // mocha numbers its failures and has a dash for what is pending; both are lists elsewhere, unless they are indented.
  const numbered = indent >= 2 ? /^\d{1,5}\) (.{1,500})$/.exec(text)?.[1] : undefined;
  if (numbered !== undefined) return { name: stable(numbered), state: 'failed' };
  const pending = indent >= 2 ? /^- (.{1,500})$/.exec(text)?.[1] : undefined;
  return pending === undefined ? null : { name: pending, state: 'skipped' };
}
