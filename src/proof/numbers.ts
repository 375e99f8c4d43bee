/**
 * What can be said of a suite that is red either way when its runner names what fails and only counts what passes. Less
 * than proven at best: another test may have come in the place of one that was hidden. Pure.
 */
import type { Judgement, Observations, Observed } from './verdict.ts';

type Said = Pick<Judgement, 'verdict' | 'reason' | 'broken'>;

/** Null when the numbers say nothing, or that the same tests fail. */
export function judgeByNumbers({ base, tests, patched }: Observations): Said | null {
  const before = readNumbers(tests.length > 0 ? tests : base);
  const after = readNumbers(patched);
  const first = readNumbers(base);
  if (before === null || after === null || first === null) return null;
  const own = [...after.failing].filter((name) => before.failing.has(name) && !first.failing.has(name));
  if (own.length > 0) return { verdict: 'regressed', broken: own, reason: 'tests of the patch itself fail with it; others fail either way' };
  const fresh = [...after.failing].filter((name) => !before.failing.has(name));
  if (fresh.length > 0) {
    if (after.passed < before.passed) {
      return { verdict: 'regressed', broken: fresh, reason: 'fewer tests pass with the patch, and tests fail that do not fail without it' };
    }
    return { verdict: 'still_failing', broken: [], reason: 'the tests fail without the patch and with it, though not the same ones' };
  }
  const gone = before.failing.size - after.failing.size;
  if (gone === 0) return null;
  const pass = after.passed >= before.passed + gone && after.skipped <= before.skipped;
  if (!pass) return { verdict: 'still_failing', broken: [], reason: 'fewer tests fail with the patch, but not as many more pass' };
  const share = `${gone} of ${before.failing.size} failing tests ${gone === 1 ? 'does' : 'do'} not fail with the patch`;
  return { verdict: 'not_contradicted', broken: [], reason: `${share}, as many more pass and none fails anew, but the tests that pass are not named` };
}

interface Numbers {
  readonly failing: ReadonlySet<string>;
  readonly passed: number;
  readonly skipped: number;
}

/** Null when a run does not say all of it, or a second one says something else. */
function readNumbers(runs: readonly Observed[]): Numbers | null {
  const [first, second] = runs;
  if (first === undefined || first.failing === null || first.run.results === null) return null;
  const { failing } = first;
  const again = second?.run.ended === 'exited' ? second : null;
  if (again !== null && (again.failing?.size !== failing.size || ![...again.failing].every((name) => failing.has(name)))) return null;
  const { passed, skipped } = first.run.results;
  return { failing, passed, skipped };
}
