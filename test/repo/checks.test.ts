import { expect, test } from 'vitest';
import { readChecks, runChecks } from '../support/checks.ts';

const script = (name: string, source: string) => ({ name, program: process.execPath, arguments: ['--eval', source] });

/** Runs them, and says which failed and what was printed. */
async function run(checks: Parameters<typeof runChecks>[0], atOnce = 2) {
  const printed: string[] = [];
  const failures = await runChecks(checks, { atOnce, print: (text) => printed.push(text) });
  return { failures, printed };
}

test('the check runs types, lint, format, dead code and the tests', async () => {
  expect((await readChecks()).map(({ name }) => name).toSorted()).toEqual(['check:dead', 'check:format', 'check:lint', 'check:types', 'check:unit']);
});

test('checks that pass fail nothing, more of them than run at once, too', async () => {
  const { failures, printed } = await run(['a', 'b', 'c', 'd', 'e'].map((name) => script(name, `console.log('${name} spoke')`)));

  expect(failures).toEqual([]);
  expect(printed.map((text) => /(\w) spoke/.exec(text)?.[1])).toEqual(expect.arrayContaining(['a', 'b', 'c', 'd', 'e']));
});

test.each([
  ['ends with a code', script('bad', 'process.exit(7)')],
  ['is ended by a signal', script('bad', "process.kill(process.pid, 'SIGKILL')")],
  ['throws', script('bad', "throw new Error('no')")],
  ['is not there', { name: 'bad', program: '/no/such/program', arguments: [] }],
])('a check that %s fails, and the others are run all the same', async (_how, bad) => {
  const { failures, printed } = await run([bad, script('good', ''), script('last', '')], 1);

  expect(failures).toEqual(['bad']);
  expect(printed).toEqual([expect.stringContaining('bad: FAILED'), expect.stringContaining('good: passed'), expect.stringContaining('last: passed')]);
});

test('what two checks say beside each other does not mix', async () => {
  const talkative = "let n = 0; setInterval(() => { console.log('line'); if (++n === 20) process.exit(); }, 1)";
  const { printed } = await run(['a', 'b'].map((name) => script(name, talkative.replace('line', `${name} says`))));

  for (const text of printed) expect(text).toMatch(/^\n(\w): passed \([\d.]+ s\)\n(?:\1 says\n?){20}$/);
  expect(printed).toHaveLength(2);
});

test('nothing to check is not a success', async () => {
  await expect(run([])).rejects.toThrow('There is nothing to check.');
});
