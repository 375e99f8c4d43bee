/**
 * Finds the command in a comment. It starts a line of an ordinary paragraph: not in a quote, a list, a code block or
 * inline code, not in HTML, so that text that only shows or quotes a command never starts a run.
 */
import { fromMarkdown } from 'mdast-util-from-markdown';

export interface Command {
  readonly command: 'fix' | 'stop' | 'help';
  /** What follows the command, as written: up to the next command or the end of the comment. */
  readonly instruction: string;
}

/**
 * A command stands in the first part of a comment, and the comment nests no deeper than this. The parser's time grows
 * with length times depth: 64 KiB of `> - ` keep it busy for 80 seconds, and anyone may comment on a public repository.
 */
const searchedChars = 4096;
const deeplyNested = /(?:^|[\r\n])(?:[ \t]*(?:>|[*+-](?=[ \t])|\d{1,9}[.)](?=[ \t]))){17}/;

/** Alone after the prefix these get help: they are commands of a later version, and never what an agent should do. */
const reserved = new Set(['plan', 'approve', 'resume', 'retry', 'status', 'ci']);

/** The first command of a comment, or null. */
export function findCommand(comment: string, prefix: string): Command | null {
  const [first, second] = commandOffsets(comment.slice(0, searchedChars), prefix);
  if (first === undefined) return null;
  return interpret(comment.slice(first + prefix.length, second).trim());
}

function commandOffsets(text: string, prefix: string): number[] {
  const lineStart = new RegExp(`(?<=(?:^|[\\r\\n]) {0,3})${RegExp.escape(prefix)}(?!\\S)`, 'gi');
  const candidates = [...text.matchAll(lineStart)].map((match) => match.index);
  if (candidates.length === 0 || deeplyNested.test(text)) return [];
  const plain = plainRanges(text);
  return candidates.filter((offset) => plain.some(([start, end]) => offset >= start && offset < end));
}

/** Where the plain text of top-level paragraphs stands in the source. */
function plainRanges(text: string): [start: number, end: number][] {
  return fromMarkdown(text)
    .children.flatMap((block) => (block.type === 'paragraph' ? block.children : []))
    .filter((inline) => inline.type === 'text')
    .map(({ position }) => [position?.start.offset ?? 0, position?.end.offset ?? 0]);
}

function interpret(text: string): Command {
  const [first = '', ...others] = text.split(/\s+/);
  const word = first.toLowerCase().replace(/[.!?,]+$/, '');
  if (word === 'stop') return { command: 'stop', instruction: '' };
  if (word === '' || word === 'help' || (reserved.has(word) && others.length === 0)) return { command: 'help', instruction: '' };
  return { command: 'fix', instruction: word === 'fix' ? text.slice(first.length).trim() : text };
}
