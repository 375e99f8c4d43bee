/** What the hidden tests say of a patch: asked outside of the run, in a clean VM of its own, after all is done. */
import { FixError } from '../../src/errors.ts';
import { readBaseSettings } from '../../src/fix/base-settings.ts';
import { makePlan } from '../../src/fix/plan.ts';
import { formatProblem } from '../../src/settings/problem.ts';
import type { Wishes } from '../../src/fix/plan.ts';
import { createBaseReader } from '../../src/fix/prove-apart.ts';
import { createReport, createTimer } from '../../src/fix/report.ts';
import type { RunEvent, RunReport } from '../../src/fix/report.ts';
import type { RunLimits, RunTools } from '../../src/fix/run.ts';
import { openWorkspace } from '../../src/fix/workspace.ts';
import { newRunId } from '../../src/job.ts';
import type { Patch, TestRun } from '../../src/job.ts';
import type { Log } from '../../src/log.ts';
import { applyPatch } from '../../src/proof/apply.ts';
import { withBaseRules } from '../../src/proof/base-rules.ts';
import { isManifest } from '../../src/proof/paths.ts';
import { asTestRun, runTests } from '../../src/proof/prove.ts';
import { whyUnusable } from '../../src/proof/verdict.ts';
import type { Case } from './case.ts';
import type { PreparedCase } from './prepare.ts';

export interface HiddenVerdict {
  /** The hidden tests on the buggy commit. */
  readonly base: TestRun;
  /** The hidden tests on the patch; null without a patch, or when the case is seen to be broken before. */
  readonly patched: TestRun | null;
  /** The hidden tests on the known fix; null when they pass on the patch, which says enough of the case. */
  readonly fixed: TestRun | null;
  /** Why the case can judge nothing, or null. */
  readonly broken: string | null;
  readonly passes: boolean;
  /** Names of what the VMs left behind on the host. */
  readonly leftovers: readonly string[];
}

export interface JudgeOptions {
  readonly patch: Patch | null;
  readonly tools: Pick<RunTools, 'provider' | 'openGateway' | 'surroundings' | 'guestNodeVersion' | 'operator'> & {
    readonly limits: Pick<RunLimits, 'setupTimeoutMs' | 'proofTimeoutMs' | 'ancestors'>;
  };
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What a case says to its run. */
export const wishesOf = ({ install, test }: Case): Wishes => ({ setup: [install], test, allow: [] });

/** Throws what a run does: `sandbox_*`, `clone_failed`, `setup_failed`. */
export async function judge(prepared: PreparedCase, options: JudgeOptions): Promise<HiddenVerdict> {
  const { patch } = options;
  const report = createReport(newRunId());
  const verdict = { patched: null, fixed: null, broken: null, passes: false, leftovers: report.leftovers };
  const { base, patched } = await inCleanVm(prepared, report, options, async (runHidden) => {
    const base = await runHidden(null);
    return { base, patched: patch === null || whyBroken(base) !== null ? null : await runHidden(patch) };
  });
  const broken = whyBroken(base);
  if (broken !== null) return { ...verdict, base, broken };
  if (patched !== null && passes(patched)) return { ...verdict, base, patched, passes: true };
  // Something else than the bug may make them fail. Not in the same VM: the patch has run there.
  const fixed = await inCleanVm(prepared, report, options, (runHidden) => runHidden(prepared.fix));
  return { ...verdict, base, patched, fixed, broken: passes(fixed) ? null : 'its hidden tests do not pass with the known fix either' };
}

type RunHidden = (patch: Patch | null) => Promise<TestRun>;

async function inCleanVm<T>(
  { of, snapshot, hiddenTests }: PreparedCase,
  report: RunReport,
  { tools, onEvent, signal, log }: JudgeOptions,
  work: (runHidden: RunHidden) => Promise<T>,
): Promise<T> {
  const { surroundings, guestNodeVersion, limits } = tools;
  const read = await readBaseSettings({ snapshot, organization: null }, tools.operator, signal);
  if ('problems' in read) throw new FixError('setup_failed', { details: { reason: read.problems.map(formatProblem).join('; ') } });
  const settings = read.effective.values;
  const plan = await makePlan(snapshot, wishesOf(of), { settings, registryHosts: surroundings.registryHosts, guestNodeVersion, signal });
  const openGateway = (phase: string, allow: readonly string[]) => tools.openGateway({ phase, allow, log });
  const id = `${report.runId}-${report.timingsMs.boot === undefined ? 'judge' : 'judge2'}`;
  const place = { id, provider: tools.provider, openGateway, surroundings, guestNodeVersion, snapshot, plan, limits };
  await using workspace = await openWorkspace({ ...place, report, timed: createTimer({ report, onEvent }), signal });
  const { sandbox, gateway } = workspace;
  gateway.enter('proof', plan.allow.proof);
  const readBase = createBaseReader(snapshot, signal);
  return await work(async (patch) => {
    if (patch !== null) {
      // As in the proof: a patch does not say how the tests that judge it are run.
      await applyPatch(sandbox, (await withBaseRules(patch, of.test, readBase)).patch, signal);
      const failed = patch.files.some(({ path }) => isManifest(path)) ? await workspace.setUpAgain() : null;
      if (failed !== null) return asTestRun(of.install, failed);
      gateway.enter('proof', plan.allow.proof);
    }
    await applyPatch(sandbox, hiddenTests, signal);
    return (await runTests(sandbox, of.test, { timeoutMs: limits.proofTimeoutMs, signal })).run;
  });
}

const passes = ({ ended, exitCode }: TestRun): boolean => ended === 'exited' && exitCode === 0;

function whyBroken(base: TestRun): string | null {
  if (passes(base)) return 'its hidden tests pass without any patch';
  const unusable = whyUnusable(base);
  return unusable === null ? null : `without any patch, ${unusable}`;
}
