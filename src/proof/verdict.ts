/**
 * From what the host saw to a verdict. Pure. Exit codes come first; what a runner says of single tests only helps where
 * exit codes cannot tell: in a suite that is red on the base already.
 */
import type { TestRun, Verdict } from '../job.ts';
import { judgeByNumbers } from './numbers.ts';
import { namesOf } from './results.ts';
import type { TestStates } from './results.ts';

/** One run of the tests. */
export interface Observed {
  readonly run: TestRun;
  /** What single tests said, as they are compared. */
  readonly states: TestStates | null;
  /** The same from files that the runner wrote. */
  readonly reported: TestStates | null;
  /** All that failed; null when that is not known. With it, the counts are the runner's own. */
  readonly failing: ReadonlySet<string> | null;
}

/** Of each tree one or two runs: a result that decides is looked at twice. */
export interface Observations {
  readonly base: readonly Observed[];
  /** Base plus the patch's test files; empty when the patch has none. */
  readonly tests: readonly Observed[];
  readonly patched: readonly Observed[];
}

export interface Judgement {
  readonly verdict: Verdict;
  /** Why, as the rest of a sentence; ours alone, without names of tests. */
  readonly reason: string;
  /** Names of tests; hostile. */
  readonly flaky: readonly string[];
  readonly fixed: readonly string[];
  readonly broken: readonly string[];
}

/** What makes passing tests prove less; null when nothing does. */
export type Cap = string | null;

const none: Omit<Judgement, 'verdict' | 'reason'> = { flaky: [], fixed: [], broken: [] };
const passes = (observed: Observed | undefined): boolean => observed?.run.exitCode === 0;

export function judge(seen: Observations, cap: Cap): Judgement {
  const [base] = seen.base;
  const [patched] = seen.patched;
  if (base === undefined) return { ...none, verdict: 'could_not_run', reason: 'the tests were not run' };
  const unusable = whyUnusable(base.run);
  if (unusable !== null) return { ...none, verdict: 'could_not_run', reason: `on the base, ${unusable}` };
  if (patched === undefined) return { ...none, verdict: 'could_not_run', reason: 'the tests were not run with the patch' };
  const unusableAfter = whyUnusable(patched.run);
  if (unusableAfter !== null) return judgeUnended(base, patched, unusableAfter);
  if (ranNothing(base) && ranNothing(patched)) {
    return { ...none, verdict: 'could_not_run', reason: 'no test ran, neither without the patch nor with it; the output says why' };
  }
  const flips = findFlips(seen);
  if (flips !== null) return { ...none, verdict: 'flaky', ...flips };
  return passes(patched) ? judgePassing(seen, { base, patched, cap }) : judgeFailing(seen, { base, patched, cap });
}

/** What a run says nothing for; null when its exit code can be taken. */
export function whyUnusable(run: TestRun): string | null {
  if (run.ended !== 'exited') return `the tests did not end within ${Math.round(run.durationMs / 1000)} s`;
  // The shell's own codes: they say something about the command, not about the fix.
  if (run.exitCode === 127) return 'the command or something that it calls was not found (exit code 127)';
  if (run.exitCode === 126) return 'the command could not be executed (exit code 126)';
  return null;
}

/** A runner that says itself that it ran none, and fails: its files could not be loaded. */
const ranNothing = ({ run: { exitCode, results } }: Observed): boolean =>
  exitCode !== 0 && results !== null && results.passed + results.failed + results.skipped === 0;

/** A machine that is busy makes a short suite long. */
const leastHangMs = 30_000;

/** A patch that makes a suite hang is a regression; one that was cut short may only have been slow. */
function judgeUnended(base: Observed, patched: Observed, why: string): Judgement {
  const longEnough = Math.max(leastHangMs, base.run.durationMs * 3);
  const hangs = patched.run.ended === 'timeout' && passes(base) && patched.run.durationMs >= longEnough;
  if (hangs) return { ...none, verdict: 'regressed', reason: `${why} with the patch; without it they pass in ${Math.round(base.run.durationMs / 1000)} s` };
  return { ...none, verdict: 'could_not_run', reason: `with the patch, ${why}` };
}

function findFlips(seen: Observations): Pick<Judgement, 'reason' | 'flaky'> | null {
  for (const [tree, [first, second]] of Object.entries(seen) as [keyof Observations, readonly Observed[]][]) {
    if (first === undefined || second === undefined || second.run.ended !== 'exited') continue;
    const flaky = [...(first.states ?? [])].filter(([name, state]) => differs(state, second.states?.get(name))).map(([name]) => name);
    if (passes(first) === passes(second) && flaky.length === 0) continue;
    return { flaky, reason: `the same tests on the same files (${treeNames[tree]}) ended differently the second time` };
  }
  return null;
}

export const treeNames: Record<keyof Observations, string> = { base: 'base', tests: 'base + tests of the patch', patched: 'base + patch' };

const differs = (first: string, second: string | undefined): boolean =>
  (first === 'passed' && second === 'failed') || (first === 'failed' && second === 'passed');

function judgePassing(seen: Observations, { base, patched, cap }: { base: Observed; patched: Observed; cap: Cap }): Judgement {
  const [before] = seen.tests.length > 0 ? seen.tests : seen.base;
  const fixed = namesOfFixed(seen, patched);
  if (passes(before)) {
    const reason = seen.tests.length > 0 ? 'the tests of the patch pass without its fix, too' : 'the tests pass without the patch and with it';
    return { ...none, verdict: 'not_contradicted', reason };
  }
  const missing = before?.states && patched.states ? namesOf(before.states, 'failed').filter((name) => !isNamed(patched.states, name)) : [];
  // A name may have changed with what a test says; that none of them is there any more is no fix.
  const gone = missing.length > 0 && fixed.length === 0;
  const why = cap ?? whyLess(seen, base, patched) ?? (gone ? 'the tests that failed before did not run with the patch' : null);
  if (why !== null) return { ...none, fixed, verdict: 'not_contradicted', reason: `the tests pass with the patch, but ${why}` };
  return {
    ...none,
    fixed,
    verdict: 'proven',
    reason: seen.tests.length > 0 ? 'the tests of the patch fail without its fix and pass with it' : 'the tests fail without the patch and pass with it',
  };
}

/** What makes a pass after a failure prove less; null when nothing does. */
function whyLess(seen: Observations, base: Observed, patched: Observed): string | null {
  const apart = whyNotApart(seen);
  if (apart !== null) return apart;
  if (base.states !== null && patched.states === null) return 'they are not named any more';
  return namesLost(base, patched).length > 0 ? 'tests that passed before did not run with it' : null;
}

/** A command that was not even found has shown nothing of the fix; tests that hang without it have. */
function whyNotApart({ tests: [apart] }: Observations): string | null {
  return apart?.run.ended === 'exited' && whyUnusable(apart.run) !== null ? 'the tests of the patch could not be run without its fix' : null;
}

/** Passed on the base and are not there any more, and nothing came in their place: names change, but then as many pass. */
function namesLost(base: Observed, patched: Observed): readonly string[] {
  if (base.states === null || patched.states === null) return [];
  const fewer = namesOf(patched.states, 'passed').length < namesOf(base.states, 'passed').length;
  return fewer ? namesOf(base.states, 'passed').filter((name) => !isNamed(patched.states, name)) : [];
}

function judgeFailing(seen: Observations, { base, patched, cap }: { base: Observed; patched: Observed; cap: Cap }): Judgement {
  const broken = namesOfBroken(base, patched);
  if (passes(base)) {
    const lost = namesLost(base, patched);
    const own = broken.length + lost.length === 0 && base.states !== null && patched.states !== null && patched.states.size > 0;
    return {
      ...none,
      broken: broken.length > 0 ? broken : lost,
      verdict: 'regressed',
      reason: own ? 'no test of the base fails with the patch, but tests of the patch itself do' : 'the tests pass without the patch and fail with it',
    };
  }
  if (base.states === null || patched.states === null)
    return {
      ...none,
      ...(judgeByNumbers(seen) ?? { verdict: 'still_failing', reason: 'the tests fail without the patch and with it, and do not say which of them' }),
    };
  if (broken.length > 0) return { ...none, broken, verdict: 'regressed', reason: 'tests that pass without the patch fail with it; others fail either way' };
  const lost = namesLost(base, patched);
  if (lost.length > 0)
    return { ...none, broken: lost, verdict: 'regressed', reason: 'tests that pass without the patch did not run with it; others fail either way' };
  // Only what ran with the tests of the patch is its own: a runner that stops at the first failure hides the rest.
  const own = namesOf(patched.states, 'failed').filter((name) => base.states?.has(name) === false && seen.tests[0]?.states?.has(name) === true);
  if (own.length > 0) return { ...none, broken: own, verdict: 'regressed', reason: 'tests of the patch itself fail with it; others fail either way' };
  const fixed = namesOfFixed(seen, patched);
  if (fixed.length === 0)
    return { ...none, ...(judgeByNumbers(seen) ?? { verdict: 'still_failing', reason: 'the same tests fail without the patch and with it' }) };
  const why = cap ?? whyNotApart(seen);
  if (why !== null) return { ...none, fixed, verdict: 'not_contradicted', reason: `tests that failed pass with the patch, but ${why}` };
  return { ...none, fixed, verdict: 'proven', reason: 'tests that fail without the fix pass with it, none that passed fails, and the rest fail either way' };
}

/** As itself, or, for a file that could not be loaded before, by a test in it. */
function isNamed(states: TestStates | null, name: string): boolean {
  return states !== null && (states.has(name) || [...states.keys()].some((other) => other.startsWith(`${name} > `)));
}

/** Failed without the fix, pass with it. Where the patch's tests could not even be loaded without it, those that are new count. */
function namesOfFixed({ base, tests, patched: runs }: Observations, patched: Observed): readonly string[] {
  const before = tests[0] ?? base[0];
  if (patched.states === null || before === undefined || passes(before)) return [];
  const unloaded = before.states === null || namesOf(before.states, 'failed').some((name) => patched.states?.get(name) !== 'failed');
  // A name that changes from run to run is in neither of the others, and passes by itself.
  const passesAgain = (name: string): boolean => runs.every(({ states }) => states?.get(name) === 'passed');
  const isNew = (name: string): boolean => before.states?.has(name) !== true && base[0]?.states?.has(name) !== true;
  const failedBefore = (name: string): boolean => before.states?.get(name) === 'failed' || (tests.length > 0 && unloaded && isNew(name));
  return namesOf(patched.states, 'passed').filter((name) => failedBefore(name) && passesAgain(name));
}

function namesOfBroken(base: Observed, patched: Observed): readonly string[] {
  if (base.states === null || patched.states === null) return [];
  return namesOf(patched.states, 'failed').filter((name) => base.states?.get(name) === 'passed');
}
