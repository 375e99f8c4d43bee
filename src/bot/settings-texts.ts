/** What people read about settings: an issue when they are broken, a check on a pull request that changes them. */
import { inlineCode, visible } from '../fix/neutral.ts';
import type { Problem } from '../settings/problem.ts';
import { showValue } from '../settings/resolve.ts';
import type { Resolved } from '../settings/resolve.ts';
import { settingsPath } from '../settings/schema.ts';
import { keys, whatNullMeans } from '../settings/values.ts';
import type { Values } from '../settings/values.ts';

/** Hidden in the one issue about broken settings. */
export const settingsMarker = '<!-- mayfly:settings -->';

interface IssueText {
  readonly title: string;
  readonly body: string;
}

const title = `Action required: correct ${settingsPath}`;

/** Other words than those of any problem: what is closed and says them was closed by us, not by a person. */
export function correctedSettingsIssue(): IssueText {
  const body = [
    settingsMarker,
    `Corrected: Mayfly understands every key of ${inlineCode(settingsPath)} on the default branch.`,
    '',
    'Should the file break again, this issue is opened again and says where.',
  ];
  return { title, body: body.join('\n') };
}

export function brokenSettingsIssue(problems: readonly Problem[]): IssueText {
  const body = [
    settingsMarker,
    `Mayfly does nothing in this repository until ${inlineCode(settingsPath)} on the default branch is corrected:`,
    '',
    ...problemTable(problems),
    '',
    'This issue is kept up to date, and closes by itself when the file is right. Closed by hand, it stays closed until the problems change.',
  ];
  return { title, body: body.join('\n') };
}

/** To the person who asked for a run. */
export function brokenSettingsReply(login: string, issue: { readonly number: number }): string {
  return `@${login} Not done: ${inlineCode(settingsPath)} on the default branch is broken. #${issue.number} says what to correct; then ask again.`;
}

export const disabledReply = (login: string): string => `@${login} Not done: ${inlineCode(settingsPath)} says ${inlineCode('enabled: false')}.`;

/** GitHub takes 65,536 characters, and a file of 32 KiB has room for thousands of mistakes. */
const maxProblems = 30;

function problemTable(problems: readonly Problem[]): readonly string[] {
  const rows = problems.slice(0, maxProblems).map(({ file, line, column, key, message }) => {
    return `| ${[cell(file, 200), `${line}:${column}`, key === '' ? '-' : cell(key, 100), cell(message, 500)].join(' | ')} |`;
  });
  const more = problems.length > maxProblems ? ['', `And ${problems.length - maxProblems} more.`] : [];
  return ['| file | line | key | what to do |', '| --- | --- | --- | --- |', ...rows, ...more];
}

/** In code spans, because a message may quote the file. */
const cell = (text: string, maxLength: number): string => inlineCode(text, maxLength).replaceAll('|', '\\|');

export interface SettingsCheck {
  readonly conclusion: 'success' | 'failure';
  readonly title: string;
  readonly summary: string;
}

/** For a pull request that changes the file: what would hold after it, and by whose word. */
export function settingsCheck(resolved: Resolved): SettingsCheck {
  if ('problems' in resolved) {
    const { length } = resolved.problems;
    return {
      conclusion: 'failure',
      title: length === 1 ? '1 problem' : `${length} problems`,
      summary: [`With this file, Mayfly would do nothing in this repository:`, '', ...problemTable(resolved.problems)].join('\n'),
    };
  }
  const { values, origins } = resolved.effective;
  const rows = keys.map((key) => `| ${inlineCode(key)} | ${cell(shown(values, key), 200)} | ${cell(origins[key], 300)} |`);
  const summary = ['What would hold after this change:', '', '| key | value | whose word |', '| --- | --- | --- |', ...rows].join('\n');
  return { conclusion: 'success', title: 'Every key is understood', summary };
}

/** The same for a file that somebody without write access proposes: whether it could be read, and nothing of what would hold. */
export function formCheck(resolved: Resolved): SettingsCheck {
  if ('problems' in resolved) return settingsCheck(resolved);
  const summary = 'What would hold after this change is shown where the pull request comes from a branch of this repository.';
  return { conclusion: 'success', title: 'Every key is understood', summary };
}

const shown = (values: Values, key: keyof Values): string => visible(values[key] === null ? `(${whatNullMeans[key] ?? 'none'})` : showValue(values[key]));
