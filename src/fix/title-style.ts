/**
 * How this repository words the first line of a commit, found in its last ones: `fix(parser): ...`, `parser: ...`,
 * `Fix ...` or `fix ...`. Decided by counting, so that the same history always gives the same title.
 */
import { titleText } from './neutral.ts';

export type TitleStyle =
  | { readonly kind: 'conventional'; readonly scopes: readonly string[] }
  | { readonly kind: 'component'; readonly components: readonly string[] }
  | { readonly kind: 'sentence'; readonly capital: boolean };

/** How many of the last commits are looked at. */
export const subjectsForStyle = 50;
/** Fewer say nothing of a habit. */
const fewest = 3;

/** https://www.conventionalcommits.org/en/v1.0.0/ */
const conventional = /^(?:build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test)(?:\(([\w./@-]{1,40})\))?!?: \S/;
/** `net/http: ...`, as Go and Linux write; not `Note: ...`, which is a sentence. */
const component = /^([a-z0-9_][\w./@-]{0,39}): \S/;
/** Written by programs, in a style of their own. */
const byProgram = /^(?:bump |update dependenc|merge |revert "|release |v?\d+\.\d+)/i;

export function findTitleStyle(subjects: readonly string[]): TitleStyle {
  const written = subjects.filter((subject) => !byProgram.test(subject));
  const isHabit = (count: number): boolean => written.length >= fewest && count * 2 >= written.length;
  const matches = (pattern: RegExp): RegExpExecArray[] => written.flatMap((subject) => [pattern.exec(subject)].filter((match) => match !== null));
  const ofConvention = matches(conventional);
  if (isHabit(ofConvention.length)) return { kind: 'conventional', scopes: namesIn(ofConvention) };
  const ofComponent = matches(component).filter((match) => !conventional.test(match.input));
  if (isHabit(ofComponent.length)) return { kind: 'component', components: namesIn(ofComponent) };
  return { kind: 'sentence', capital: !isHabit(written.filter((subject) => /^\p{Ll}/u.test(subject)).length) };
}

/** What stands in brackets or before the colon, the most used first; as often used by name, so that the order is fixed. */
function namesIn(matches: readonly RegExpExecArray[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const [, name] of matches) if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].toSorted(([one, first], [other, second]) => second - first || (one < other ? -1 : 1)).map(([name]) => name);
}

export interface TitleParts {
  readonly number: number;
  /** What is said of it: the title, people's text; or words of the host. */
  readonly text: string;
  /** Whether merging may close the issue: a squash merge makes the title a commit message, where `Fix #7` closes it. */
  readonly closes: boolean;
  /** Paths that change. */
  readonly paths: readonly string[];
}

export function titleInStyle(style: TitleStyle, { number, text, closes, paths }: TitleParts): string {
  const said = titleText(text, 80) || `issue ${number}`;
  if (style.kind === 'sentence') {
    const verb = closes ? 'Fix' : 'Work on';
    return `${style.capital ? verb : verb.toLowerCase()} #${number}: ${said}`;
  }
  return `${prefixOf(style, paths)}${said} (#${number})`;
}

/** No text from outside: commit messages act (closing keywords, mentions, trailers). */
export function subjectInStyle(style: TitleStyle, number: number, paths: readonly string[]): string {
  if (style.kind === 'sentence') return `${style.capital ? 'Fix' : 'fix'} issue ${number}`;
  return `${prefixOf(style, paths)}${style.kind === 'conventional' ? '' : 'fix '}issue ${number}`;
}

/** A scope or component that the repository uses already, and that every changed file but the tests is in; else none. */
function prefixOf(style: Exclude<TitleStyle, { kind: 'sentence' }>, paths: readonly string[]): string {
  const code = paths.filter((path) => !/(?:^|\/)(?:tests?|spec|__tests__)\/|[._-](?:test|spec)\.\w+$|(?:^|\/)test_[^/]*$/i.test(path));
  const places = (code.length > 0 ? code : paths).map(placesOf);
  const known = style.kind === 'conventional' ? style.scopes : style.components;
  const name = known.find((candidate) => places.length > 0 && places.every((place) => place.has(candidate.toLowerCase())));
  if (style.kind === 'conventional') return name === undefined ? 'fix: ' : `fix(${name}): `;
  return name === undefined ? '' : `${name}: `;
}

/** The folders above a file, each by itself and as a path, and the file's name with and without its ending. */
function placesOf(path: string): ReadonlySet<string> {
  const parts = path.toLowerCase().split('/').slice(0, 20);
  const file = parts.at(-1) ?? '';
  const paths = parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
  return new Set([...parts, ...paths, file.replace(/\.[^.]*$/, '')]);
}
