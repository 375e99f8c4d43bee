/**
 * Finds the command in a comment. It starts a line of an ordinary paragraph: not in a quote, a list, a code block or
 * inline code, not in HTML, so that text that only shows or quotes a command never starts a run.
 */
import { fromMarkdown } from 'mdast-util-from-markdown';
import type { CommandName } from './event.ts';

export interface Command {
  readonly command: CommandName;
  /** What follows the command, as written: up to the next command or the end of the comment. */
  readonly instruction: string;
}

/**
 * A command stands in the first part of a comment, and the comment nests no deeper than this. The parser's time grows
 * with length times depth: 64 KiB of `> - ` keep it busy for 80 seconds, and anyone may comment on a public repository.
 */
const searchedChars = 4096;
const deeplyNested = /(?:^|[\r\n])(?:[ \t]*(?:>|[*+-](?=[ \t])|\d{1,9}[.)](?=[ \t]))){17}/;

/** Every text that people read says so. */
const prefix = '/agent';
const lineStart = /(?<=(?:^|[\r\n]) {0,3})\/agent(?!\S)/gi;

/** Commands only when they stand alone in their line: `stop using globals` and `approve only admins` are what an agent is to do. */
const alone: ReadonlySet<string> = new Set(['approve', 'stop', 'resume', 'retry', 'status', 'ci', 'merge', 'help']);
/** Commands that take an instruction. */
const withInstruction: ReadonlySet<string> = new Set(['fix', 'plan']);

/** The first command of a comment, or null. */
export function findCommand(comment: string): Command | null {
  const [first, second] = commandOffsets(comment.slice(0, searchedChars));
  if (first === undefined) return null;
  return interpret(comment.slice(first + prefix.length, second).trim());
}

function commandOffsets(text: string): number[] {
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
  const [line = ''] = text.split(/[\r\n]/, 1);
  const words = line.split(/\s+/).filter((word) => word !== '');
  const [first = ''] = words;
  const word = plain(first);
  // Politeness does not make it another command.
  const only = words.map(plain).filter((one) => one !== 'please');
  if (only.length === 1 && alone.has(only[0] ?? '')) return { command: only[0] as CommandName, instruction: '' };
  if (withInstruction.has(word)) return { command: word as CommandName, instruction: text.slice(first.length).trim() };
  if (/^[a-z][a-z-]{0,20}$/.test(word) && text === first) return { command: 'unknown', instruction: '' };
  return { command: 'fix', instruction: text };
}

const plain = (word: string): string => word.toLowerCase().replace(/[.!?,]+$/, '');
