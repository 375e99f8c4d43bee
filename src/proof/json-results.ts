/**
 * Results that runners print as JSON when the repository's own command asks for it: `jest --json`, `vitest --reporter=json`,
 * `mocha --reporter json`, `go test -json`. Hostile text; what does not have the shape says nothing.
 */
import { z } from 'zod';
import type { StateList, TestState } from './results.ts';

/** https://jestjs.io/docs/configuration#testresultsprocessor-string; vitest prints the same. */
const Jest = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string().optional(),
      assertionResults: z.array(z.object({ ancestorTitles: z.array(z.string()), title: z.string(), status: z.string() })),
    }),
  ),
});
const MochaTests = z.array(z.object({ fullTitle: z.string() }));
const Mocha = z.object({ passes: MochaTests, failures: MochaTests, pending: MochaTests });
/** https://pkg.go.dev/cmd/test2json */
const GoEvent = z.object({ Action: z.enum(['pass', 'fail', 'skip']), Package: z.string(), Test: z.string().optional() });

/** An event of go is short, unless it is output. */
const maxEventCharacters = 2000;

export function readJsonResults(output: string, list: StateList): void {
  for (const line of output.split('\n')) {
    if (!line.startsWith('{')) continue;
    if (line.includes('"testResults"')) addJest(line, list);
    else if (line.length <= maxEventCharacters && line.includes('"Action"')) addGo(line, list);
  }
  addMocha(output, list);
}

const stateOf = (status: string): TestState => (status === 'passed' || status === 'failed' ? status : 'skipped');

/** Named as what they print for people is read. */
function addJest(line: string, list: StateList): void {
  for (const { name, status = '', assertionResults } of parse(Jest, line)?.testResults ?? []) {
    const file = name.replace(/^\/workspace\//, '');
    // A file that could not be loaded has no tests.
    if (assertionResults.length === 0) list.add(file, stateOf(status));
    for (const test of assertionResults) {
      list.add([file, ...test.ancestorTitles.filter((title) => title !== ''), test.title].join(' > '), stateOf(test.status));
    }
  }
}

function addGo(line: string, list: StateList): void {
  const event = parse(GoEvent, line);
  if (event === null) return;
  const states = { pass: 'passed', fail: 'failed', skip: 'skipped' } as const;
  list.add(event.Test === undefined ? event.Package : `${event.Package} ${event.Test}`, states[event.Action]);
}

/** Printed over many lines, the braces of the whole by themselves. */
function addMocha(output: string, list: StateList): void {
  const text = `\n${output}\n`;
  for (let start = text.indexOf('\n{\n  "stats": {'); start >= 0; start = text.indexOf('\n{\n  "stats": {', start)) {
    const end = text.indexOf('\n}\n', start);
    if (end < 0) return;
    const results = parse(Mocha, text.slice(start, end + 2));
    start = end;
    if (results === null) continue;
    for (const { fullTitle } of results.passes) list.add(fullTitle, 'passed');
    for (const { fullTitle } of results.failures) list.add(fullTitle, 'failed');
    for (const { fullTitle } of results.pending) list.add(fullTitle, 'skipped');
  }
}

function parse<T>(shape: z.ZodType<T>, text: string): T | null {
  try {
    return shape.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
