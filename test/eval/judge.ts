/**
 * What the hidden tests say, asked outside of the run, each time in a clean VM of its own: before it of the case, so that
 * no model is paid for one that can judge nothing, and after it of the patch.
 */
import { FixError } from '../../src/errors.ts';
import { readBaseSettings } from '../../src/fix/base-settings.ts';
import { makePlan } from '../../src/fix/plan.ts';
import { formatProblem } from '../../src/settings/problem.ts';
import type { Wishes } from '../../src/fix/plan.ts';
import { createBaseReader } from '../../src/fix/prove-apart.ts';
import { createReport, createTimer } from '../../src/fix/report.ts';
import type { RunEvent, RunReport } from '../../src/fix/report.ts';
import type { RunLimits, RunTools } from '../../src/fix/run-request.ts';
import { openWorkspace } from '../../src/fix/workspace.ts';
import { startRunUsage } from '../../src/gateway/run-usage.ts';
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
  /** The hidden tests on the buggy commit, where they have to fail. */
  readonly base: TestRun;
  /** The hidden tests on the known fix, where they have to pass; null when the base says already that the case is broken. */
  readonly fixed: TestRun | null;
  /** The hidden tests on the patch; null without a patch. */
  readonly patched: TestRun | null;
  /** Why the case can judge nothing, or null. */
  readonly broken: string | null;
  readonly passes: boolean;
  /** Names of what the VMs left behind on the host. */
  readonly leftovers: readonly string[];
}

export interface JudgeOptions {
  readonly tools: Pick<RunTools, 'provider' | 'openGateway' | 'surroundings' | 'guestNodeVersion' | 'operator'> & {
    readonly limits: Pick<RunLimits, 'setupTimeoutMs' | 'proofTimeoutMs' | 'ancestors'>;
  };
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What a case says to its run. */
export const wishesOf = ({ install, test }: Case): Wishes => ({ setup: [install], test, allow: [] });

/** Whether the case can judge anything. Throws what a run does: `sandbox_*`, `clone_failed`, `setup_failed`. */
export async function judgeCase(prepared: PreparedCase, options: JudgeOptions): Promise<HiddenVerdict> {
  const report = createReport(newRunId());
  const { base, fixed } = await inCleanVm(prepared, report, options, async (runHidden) => {
    const base = await runHidden(null);
    return { base, fixed: whyBroken(base) === null ? await runHidden(prepared.fix) : null };
  });
  const broken = fixed === null || passes(fixed) ? whyBroken(base) : 'its hidden tests do not pass with the known fix';
  return { base, fixed, broken, patched: null, passes: false, leftovers: report.leftovers };
}

/** Adds what the hidden tests say of a patch. Throws as `judgeCase`. */
export async function judgePatch(
  prepared: PreparedCase,
  { patch, before }: { patch: Patch; before: HiddenVerdict },
  options: JudgeOptions,
): Promise<HiddenVerdict> {
  const report = createReport(newRunId());
  const patched = await inCleanVm(prepared, report, options, (runHidden) => runHidden(patch));
  return { ...before, patched, passes: passes(patched), leftovers: [...before.leftovers, ...report.leftovers] };
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
  const { registryHosts } = surroundings;
  const plan = await makePlan(snapshot, wishesOf(of), { settings, operator: tools.operator, registryHosts, guestNodeVersion, signal });
  const usage = startRunUsage();
  const openGateway = (phase: string, allow: readonly string[]) => tools.openGateway({ phase, allow, credentials: [], usage, log });
  const id = `${report.runId}-judge`;
  const place = { id, provider: tools.provider, openGateway, surroundings, guestNodeVersion, image: null, snapshot, plan, limits };
  await using workspace = await openWorkspace({ ...place, report, timed: createTimer({ report, onEvent }), signal });
  const { sandbox, gateway } = workspace;
  gateway.enter('proof', plan.allow.proof);
  const readBase = createBaseReader(snapshot, signal);
  return await work(async (patch) => {
    if (patch !== null) {
      // As in the proof: a patch does not say how the tests that judge it are run.
      await applyPatch(sandbox, (await withBaseRules(patch, of.test, readBase)).patch, signal);
      const again = patch.files.some(({ path }) => isManifest(path)) ? await workspace.setUpAgain() : null;
      if (again !== null && again.failed !== null) return asTestRun(of.install, again.failed);
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
