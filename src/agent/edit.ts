/** The tool that changes a file: one text, which occurs once, is replaced by another. What does not fit teaches. */
import { z } from 'zod';
import { clipLines } from './clip.ts';
import { GuestPath, numberLines, readText, resolvePath, writeText } from './guest-text.ts';
import { findNearest } from './nearest.ts';
import { defineTool, refuse } from './tool.ts';
import type { ToolResult } from './tool.ts';

const maxCharacters = 10_000;
const around = 3;
/** Of a long text that was just written, its ends are enough to see that it is in its place. */
const shownWhole = 16;
const shownEnd = 7;
const shownPlaces = 10;

export const edit = defineTool(
  {
    name: 'edit',
    description:
      'Replaces text in a file. `old` must be in the file exactly once, with its white space; take in enough lines around to make it unique. ' +
      'An empty `old` creates a file that does not exist yet. The answer shows the changed lines.',
    input: z.strictObject({ path: GuestPath, old: z.string().max(500_000), new: z.string().max(500_000) }),
  },
  async (input, context) => {
    const path = await resolvePath(input.path, context);
    const file = await readText(path, context);
    if (file.kind === 'refused') return file.result;
    const change = file.kind === 'missing' ? createFile(input) : replaceOnce(input, file.text);
    if ('failed' in change) return change;
    const problem = await writeText(path, change.text, context);
    return problem ?? { text: `${input.path} now reads:\n${clipLines(linesAround(change), maxCharacters)}`, failed: false };
  },
);

interface Input {
  readonly path: string;
  readonly old: string;
  readonly new: string;
}

interface Change {
  readonly text: string;
  readonly at: number;
  readonly length: number;
}

function createFile(input: Input): Change | ToolResult {
  if (input.old !== '') return refuse(`${input.path} does not exist. To create it, call edit with an empty old; to find it, use bash (git ls-files).`);
  return { text: input.new, at: 0, length: input.new.length };
}

function replaceOnce(input: Input, text: string): Change | ToolResult {
  if (input.old === '') {
    if (text === '') return { text: input.new, at: 0, length: input.new.length };
    return refuse(`${input.path} exists already, so old must not be empty. Read it, then replace a part of it.`);
  }
  if (input.old === input.new) return refuse('old and new are the same, so nothing was changed.');
  const { old, replacement } = withLineEnds(input, text);
  const at = text.indexOf(old);
  if (at === -1) return refuse(`The old text is not in ${input.path}. ${findNearest(text, input.old)}`);
  const places = findPlaces(text, old);
  if (places.length > 1) {
    const times = places.length > shownPlaces ? `more than ${shownPlaces}` : `${places.length}`;
    return refuse(
      `The old text is ${times} times in ${input.path}, at lines ${places.slice(0, shownPlaces).join(', ')}. Take in more lines around the one you mean.`,
    );
  }
  return { text: text.slice(0, at) + replacement + text.slice(at + old.length), at, length: replacement.length };
}

/** Models write plain line feeds; in a file with Windows line ends the same text has to be looked for, and written, with those. */
function withLineEnds(input: Input, text: string): { old: string; replacement: string } {
  const windows = text.includes('\r\n') && !text.includes(input.old);
  const adapt = (part: string): string => (windows ? part.replace(/\r?\n/g, '\r\n') : part);
  return { old: adapt(input.old), replacement: adapt(input.new) };
}

/** Line numbers; overlapping places count too, since they make a replacement ambiguous. */
function findPlaces(text: string, part: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(part); at !== -1 && places.length <= shownPlaces; at = text.indexOf(part, at + 1)) places.push(lineOf(text, at));
  return places;
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}

function linesAround({ text, at, length }: Change): string {
  const lines = text.replace(/\n$/, '').split('\n');
  const first = Math.max(1, lineOf(text, at) - around);
  const last = Math.min(lines.length, lineOf(text, at + length) + around);
  const shown = lines.slice(first - 1, last);
  if (shown.length <= shownWhole) return numberLines(shown, first);
  const left = shown.length - 2 * shownEnd;
  return `${numberLines(shown.slice(0, shownEnd), first)}\n[... ${left} lines as you wrote them ...]\n${numberLines(shown.slice(-shownEnd), last - shownEnd + 1)}`;
}
