import { describe, expect, it } from 'vitest';
import { readCounts } from '../../../src/proof/counts.ts';
import { readStates, summarise } from '../../../src/proof/results.ts';

const statesOf = (output: string): Record<string, string> => Object.fromEntries(readStates(output) ?? []);

describe('readCounts', () => {
  it.each([
    ['jest', 'Tests:       2 failed, 1 skipped, 5 passed, 8 total\n', [5, 2, 1]],
    ['vitest', '\n Test Files  1 failed (1)\n      Tests  1 failed | 2 passed | 1 todo (4)\n', [2, 1, 1]],
    ['mocha', '\n  71 passing (1s)\n  3 pending\n  2 failing\n\n  1) x', [71, 2, 3]],
    ['pytest', '======== 1 failed, 6 passed, 2 skipped in 0.12s ========\n', [6, 1, 2]],
    ['pytest -q', '2 passed in 0.01s\n', [2, 0, 0]],
    ['node', 'ℹ tests 4\nℹ pass 3\nℹ fail 1\nℹ skipped 0\n', [3, 1, 0]],
    ['TAP', '# tests 2\n# pass 1\n# fail 1\n', [1, 1, 0]],
    ['cargo', 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n', [4, 2, 1]],
  ])('takes the totals of %s', (_name, output, [passed, failed, skipped]) => {
    expect(readCounts(output)).toEqual({ passed, failed, skipped });
  });

  it('takes none where there are none', () => {
    expect(readCounts('3 files passed the check\nTests are fun\n')).toBeNull();
  });
});

describe('readStates', () => {
  it('reads TAP, with the subtests of node', () => {
    const output = `TAP version 13
# Subtest: add
    # Subtest: adds
    ok 1 - adds
      ---
      duration_ms: 0.5
      ...
    # Subtest: carries
    not ok 2 - carries
    1..2
not ok 1 - add
ok 2 - later # SKIP not now
1..2`;

    expect(statesOf(output)).toEqual({ 'add > adds': 'passed', 'add > carries': 'failed', add: 'failed', later: 'skipped' });
  });

  it('reads the spec of node, whose failures come twice', () => {
    const output = `▶ add
  ✔ adds (0.41ms)
  ✖ carries (1.2ms)
▶ add (3.1ms)
✔ alone (0.1ms)
﹣ later (0.1ms) # SKIP
ℹ tests 4
✖ failing tests:

test at a.test.js:1:1
✖ carries (1.2ms)
  AssertionError: 1 !== 2`;

    expect(statesOf(output)).toMatchObject({ 'add > adds': 'passed', 'add > carries': 'failed', alone: 'passed' });
    expect(Object.keys(statesOf(output))).not.toContain('carries');
  });

  it('reads the spec of mocha', () => {
    const output = `
  express
    ✓ inherits (12ms)
    1) serves
    - is pending

  2 passing (15ms)
  1 failing

  1) express
       serves:
     Error: x`;

    expect(statesOf(output)).toEqual({ 'express > inherits': 'passed', 'express > serves': 'failed', 'express > is pending': 'skipped' });
  });

  it('reads jest by test, and by file where it names none', () => {
    expect(
      statesOf(
        'PASS test/a.test.js\n  List\n    ✓ pops (2 ms)\nFAIL test/b.test.js\n  ✕ pushes\nFAIL test/c.test.js\n  ● Test suite failed to run\nPASS d.test.js\n',
      ),
    ).toEqual({
      'test/a.test.js > List > pops': 'passed',
      'test/b.test.js > pushes': 'failed',
      'test/c.test.js': 'failed',
      'd.test.js': 'passed',
    });
  });

  it('reads no tests out of the failures that jest tells', () => {
    const output =
      'FAIL a.test.js\n  ✓ keeps (1 ms)\n  ✕ drops\n\n  ● drops\n\n    - Expected  - 0\n    + Received  + 1\n    1) first\nPASS b.test.js\n  ✓ b (1 ms)\n';

    expect(statesOf(output)).toEqual({ 'a.test.js > keeps': 'passed', 'a.test.js > drops': 'failed', 'b.test.js > b': 'passed' });
  });

  it('reads vitest', () => {
    const output = ` ✓ test/a.test.ts (3 tests) 5ms
 ❯ test/b.test.ts (2 tests | 1 failed) 8ms
   ✓ keeps 1ms
   × drops 4ms
`;

    expect(statesOf(output)).toEqual({ 'test/a.test.ts': 'passed', 'test/b.test.ts > keeps': 'passed', 'test/b.test.ts > drops': 'failed' });
  });

  it('reads cargo', () => {
    const output = `     Running unittests src/lib.rs (target/debug/deps/add-1f2e)
test tests::adds ... ok
test tests::carries ... FAILED
   Doc-tests add
test src/lib.rs - add (line 3) ... ignored`;

    expect(statesOf(output)).toEqual({ 'src/lib.rs tests::adds': 'passed', 'src/lib.rs tests::carries': 'failed', 'add src/lib.rs - add (line 3)': 'skipped' });
  });

  it('reads go, by package', () => {
    const output = `=== RUN   TestAdd
--- PASS: TestAdd (0.00s)
=== RUN   TestCarry
    add_test.go:9: wrong
    --- FAIL: TestCarry/nine (0.00s)
--- FAIL: TestCarry (0.00s)
FAIL
FAIL\texample.org/add\t0.002s
ok  \texample.org/sub\t(cached)
?   \texample.org/cmd\t[no test files]`;

    expect(statesOf(output)).toEqual({
      'example.org/add TestAdd': 'passed',
      'example.org/add TestCarry/nine': 'failed',
      'example.org/add TestCarry': 'failed',
      'example.org/add': 'failed',
      'example.org/sub': 'passed',
      'example.org/cmd': 'skipped',
    });
  });

  it('reads the summary of pytest, and its verbose lines', () => {
    const output = `tests/test_add.py .F                       [100%]
PASSED tests/test_add.py::test_adds
FAILED tests/test_add.py::test_carries[9 and 1] - assert 1 == 2
ERROR tests/test_io.py - ModuleNotFoundError`;

    expect(statesOf(output)).toEqual({
      'tests/test_add.py::test_adds': 'passed',
      'tests/test_add.py::test_carries[9 and 1]': 'failed',
      'tests/test_io.py': 'failed',
    });
    expect(statesOf('a.py::test_b PASSED   [ 50%]\na.py::test_c FAILED   [100%]')).toEqual({ 'a.py::test_b': 'passed', 'a.py::test_c': 'failed' });
  });

  it('knows nothing of output that names no tests', () => {
    expect(readStates('building\nall good, 3 checks\n')).toBeNull();
    expect(summarise(null, 'all good, 3 checks')).toBeNull();
  });

  it('counts, and lets the worst of two states with one name stand', () => {
    const output = 'ok 1 - a\nnot ok 2 - a\nok 3 - b\n';

    expect(summarise(readStates(output), output)).toEqual({ passed: 1, failed: 1, skipped: 0, failing: ['a'] });
  });

  it('stays within bounds in hostile output', () => {
    const states = readStates(Array.from({ length: 21_000 }, (_, index) => `ok ${index} - ${'x'.repeat(400)} ${index}`).join('\n'));

    expect(states?.size).toBeLessThanOrEqual(20_000);
    expect([...(states?.keys() ?? [])].every((name) => name.length <= 300)).toBe(true);
    const large = ['\n'.repeat(500_000), `Running ${'x'.repeat(500_000)}`, `ok ${'a/'.repeat(250_000)}`, ' 1s'.repeat(200_000), '::'.repeat(250_000)];
    for (const text of large) expect(readStates(`${text}\ntest a ... ok\n`.repeat(2))?.size ?? 0).toBeLessThanOrEqual(20_000);
    const deep = Array.from({ length: 300 }, (_, depth) => `${' '.repeat(depth)}${'h'.repeat(480)}`);
    expect(readStates([...deep, ...Array.from({ length: 3000 }, (_, index) => `${' '.repeat(300)}✓ t${index}`)].join('\n'))?.size).toBeGreaterThan(0);
    expect(readStates(`${'# Subtest: '.repeat(10_000)}\n${' '.repeat(1_000_000)}ok 1 - deep`)).toBeNull();
  });
});
