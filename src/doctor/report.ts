/** The findings as a table for people. */
import { stripVTControlCharacters, styleText } from 'node:util';
import type { Finding, Group, Status } from './check.ts';

export interface Report {
  readonly findings: readonly Finding[];
  /** What a run on this host would use, and why. */
  readonly provider: { readonly name: string; readonly why: string };
}

export interface Paper {
  readonly columns: number;
  /** Symbols and colours; without, words that a log can be searched for. */
  readonly isTerminal: boolean;
}

const groups: readonly Group[] = ['host', 'sandbox', 'redis', 'github', 'model'];
const marks: Readonly<Record<Status, { readonly symbol: string; readonly word: string; readonly colour: 'green' | 'yellow' | 'red' | 'gray' }>> = {
  ok: { symbol: '✓', word: 'ok', colour: 'green' },
  warning: { symbol: '!', word: 'warning', colour: 'yellow' },
  problem: { symbol: '✗', word: 'problem', colour: 'red' },
  not_checked: { symbol: '·', word: 'not checked', colour: 'gray' },
};

export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ status }) => status !== 'problem');
}

/** Lines without a line end. */
export function renderReport({ findings, provider }: Report, paper: Paper): string[] {
  const lines = groups.flatMap((group) => {
    const ours = findings.filter((finding) => finding.group === group);
    return ours.length === 0 ? [] : [styled('bold', group, paper), ...ours.flatMap((finding) => renderFinding(finding, widthOf(findings), paper)), ''];
  });
  return [...lines, summary(findings, paper), ...wrap(`A run here uses ${provider.name}: ${provider.why}.`, paper.columns)];
}

function renderFinding({ name, status, found, advice }: Finding, nameWidth: number, paper: Paper): string[] {
  const { symbol, word, colour } = marks[status];
  const mark = paper.isTerminal ? symbol : word.padEnd(marks.not_checked.word.length);
  const indent = 2 + mark.length + 1 + nameWidth + 2;
  const [first = '', ...more] = wrap(oneLine(found), paper.columns - indent);
  const head = `  ${styled(colour, mark, paper)} ${name.padEnd(nameWidth)}  ${first}`;
  // Not wrapped: a command is copied as one line.
  const help = advice === null ? [] : [styled('cyan', `→ ${oneLine(advice)}`, paper)];
  return [head, ...[...more, ...help].map((line) => ' '.repeat(indent) + line)];
}

function summary(findings: readonly Finding[], paper: Paper): string {
  const count = (status: Status): number => findings.filter((finding) => finding.status === status).length;
  const [problems, warnings, unchecked] = [count('problem'), count('warning'), count('not_checked')];
  const plural = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
  const text = `${plural(problems, 'problem')}, ${plural(warnings, 'warning')}, ${unchecked} not checked.`;
  return styled(problems > 0 ? 'red' : warnings > 0 ? 'yellow' : 'green', text, paper);
}

function widthOf(findings: readonly Finding[]): number {
  return Math.max(0, ...findings.map(({ name }) => name.length));
}

function styled(style: Parameters<typeof styleText>[0], text: string, { isTerminal }: Paper): string {
  return isTerminal ? styleText(style, text, { stream: process.stdout }) : text;
}

/** What GitHub or Redis said must not move the cursor. */
function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, 400);
}

/** Breaks between words; a word that is longer than a line stays whole, so that it can be copied. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && `${last} ${word}`.length <= Math.max(width, 30)) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
