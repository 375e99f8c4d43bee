/**
 * What a test runner said of each test, read from what it printed: TAP, JSON, and the marks that the common runners print
 * (node, mocha, jest, vitest, pytest, cargo, go). Hostile text: names are clipped, their number is bounded, and nothing
 * in here decides by itself; exit codes come first.
 */
import type { TestResults } from '../job.ts';
import { readCounts } from './counts.ts';
import { readJsonResults } from './json-results.ts';
import { readMarks } from './marks.ts';

export type TestState = 'passed' | 'failed' | 'skipped';

/** By full name. Of tests with the same name, the worst state counts. */
export type TestStates = ReadonlyMap<string, TestState>;

/** Filled by one reader; forgets what is beyond its bounds. */
export interface StateList {
  add(name: string, state: TestState): void;
}

/** One format: looks at each line in turn, and knows from the lines before it where it is. */
export type Reader = (lines: readonly string[], list: StateList) => void;

const maxTests = 20_000;
const maxLineCharacters = 1000;
const maxNameCharacters = 300;
const maxShownNames = 50;
const rank: Record<TestState, number> = { skipped: 0, passed: 1, failed: 2 };

/** Null when no format was recognised. */
export function readStates(output: string): TestStates | null {
  // No line says anything about a test beyond this; without it, a hostile one costs minutes.
  const lines = output.split(/\r?\n/).map((line) => line.slice(0, maxLineCharacters));
  const found = [readTap, readCargo, readGo, readPytest, readMarks].map((reader) => collect((list) => reader(lines, list)));
  found.push(collect((list) => readJsonResults(output, list)));
  const best = found.reduce((one, other) => (other.size > one.size ? other : one));
  return best.size === 0 ? null : best;
}

function collect(fill: (list: StateList) => void): TestStates {
  const { list, states } = createStateList();
  fill(list);
  return states;
}

/** An empty list, and what gets into it: names are clipped, their number is bounded. */
export function createStateList(): { readonly list: StateList; readonly states: TestStates } {
  const states = new Map<string, TestState>();
  const list: StateList = {
    add(given, state) {
      const name = given
        .slice(0, 2 * maxNameCharacters)
        .trim()
        .replace(/\s+/g, ' ')
        .slice(0, maxNameCharacters);
      if (name === '') return;
      const before = states.get(name);
      if (before === undefined ? states.size < maxTests : rank[state] > rank[before]) states.set(name, state);
    },
  };
  return { list, states };
}

/** Counts and the names of what failed, for people. The runner's own totals come before what could be read by name. */
export function summarise(states: TestStates | null, output: string): TestResults | null {
  const counts = readCounts(output);
  if (states === null) return counts && { ...counts, failing: [] };
  const count = (wanted: TestState): number => [...states.values()].filter((state) => state === wanted).length;
  const named = { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
  return { ...named, ...counts, failing: namesOf(states, 'failed').slice(0, maxShownNames) };
}

export function namesOf(states: TestStates, wanted: TestState): readonly string[] {
  return [...states].filter(([, state]) => state === wanted).map(([name]) => name);
}

/** https://testanything.org/tap-version-14-specification.html; node names what a subtest is part of in a comment before it. */
const readTap: Reader = (lines, list) => {
  const parents: string[] = [];
  for (const line of lines) {
    const depth = Math.floor((/^ */.exec(line)?.[0] ?? '').length / 4);
    const subtest = /^ *# Subtest: (.{1,500})$/.exec(line)?.[1];
    if (subtest !== undefined) {
      parents.splice(depth);
      parents[depth] = subtest;
    }
    const point = /^ *(not ok|ok)\b(?: +\d+)?(?: +- )?(.{0,1000})$/.exec(line);
    if (!point) continue;
    const [, mark = '', rest = ''] = point;
    const directive = /\s# (skip|todo)\b/i.exec(rest);
    const name = [...parents.slice(0, depth), rest.slice(0, directive?.index)].filter((part) => part !== undefined && part !== '').join(' > ');
    list.add(name, directive ? 'skipped' : mark === 'ok' ? 'passed' : 'failed');
  }
};

/** `test module::name ... ok`: https://doc.rust-lang.org/cargo/commands/cargo-test.html */
const readCargo: Reader = (lines, list) => {
  let target = '';
  for (const line of lines) {
    target = /^\s+(?:Running|Doc-tests) (?:unittests )?(\S{1,200})/.exec(line)?.[1] ?? target;
    const result = /^test (.{1,500}?) \.\.\. (ok|FAILED|ignored)\b/.exec(line);
    if (result) list.add(`${target} ${result[1]}`, result[2] === 'ok' ? 'passed' : result[2] === 'FAILED' ? 'failed' : 'skipped');
  }
};

/** `go test -v`, and what plain `go test` says: its failures, and a line for each package. */
const readGo: Reader = (lines, list) => {
  let waiting: { name: string; state: TestState }[] = [];
  const states = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' } as const;
  for (const line of lines) {
    const result = /^\s*--- (PASS|FAIL|SKIP): (\S{1,500}) \(/.exec(line);
    if (result) waiting.push({ name: result[2] ?? '', state: states[result[1] as keyof typeof states] });
    const end = /^(ok|FAIL|\?)\s{1,10}(\S{0,100}[./]\S{0,200})(?:\s|$)/.exec(line);
    if (!end) continue;
    for (const { name, state } of waiting) list.add(`${end[2]} ${name}`, state);
    waiting = [];
    list.add(`${end[2]}`, end[1] === 'ok' ? 'passed' : end[1] === 'FAIL' ? 'failed' : 'skipped');
  }
};

/** The short summary that `-rap` asks for, or the lines of `-v`: https://docs.pytest.org/en/stable/how-to/output.html */
const readPytest: Reader = (lines, list) => {
  const states: Record<string, TestState> = { PASSED: 'passed', XFAIL: 'passed', FAILED: 'failed', ERROR: 'failed', XPASS: 'passed', SKIPPED: 'skipped' };
  for (const line of lines) {
    const [, word = '', name = ''] = /^(PASSED|FAILED|ERROR|XFAIL|XPASS) (\S.{0,1000})$/.exec(line) ?? [];
    if (word !== '') list.add(name.replace(/ - .*$/, ''), states[word] ?? 'skipped');
    const verboseWord = line.includes('::') ? (/ (PASSED|FAILED|ERROR|XFAIL|XPASS|SKIPPED)\b/.exec(line)?.[1] ?? '') : '';
    const verboseName = verboseWord === '' ? '' : line.slice(0, line.indexOf(` ${verboseWord}`));
    if (/^\S/.test(verboseName) && verboseName.includes('::')) list.add(verboseName, states[verboseWord] ?? 'skipped');
  }
};
