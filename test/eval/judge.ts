/** What the hidden tests say of a patch: asked outside of the run, in a clean VM of its own, after all is done. */
import { FixError } from '../../src/errors.ts';
import { makePlan } from '../../src/fix/plan.ts';
import type { Wishes } from '../../src/fix/plan.ts';
import { createReport } from '../../src/fix/report.ts';
import type { RunEvent } from '../../src/fix/report.ts';
import type { RunTools } from '../../src/fix/run.ts';
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
  /** The hidden tests on the patch; null without a patch, or when the case is broken. */
  readonly patched: TestRun | null;
  /** Why the case can judge nothing, or null. */
  readonly broken: string | null;
  readonly passes: boolean;
  /** Names of what the VM left behind on the host. */
  readonly leftovers: readonly string[];
}

export interface JudgeOptions {
  readonly patch: Patch | null;
  readonly tools: RunTools;
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What a case says to its run. */
export const wishesOf = ({ install, test }: Case): Wishes => ({ setup: [install], test, allow: [] });

const maxBaseFileBytes = 4 * 2 ** 20;

/** Throws what a run does: `sandbox_*`, `clone_failed`, `setup_failed`. */
export async function judge({ of, snapshot, hiddenTests }: PreparedCase, { patch, tools, onEvent, signal, log }: JudgeOptions): Promise<HiddenVerdict> {
  const report = createReport(newRunId());
  const { surroundings, guestNodeVersion, limits } = tools;
  const made = await makePlan(snapshot, wishesOf(of), { registryHosts: surroundings.registryHosts, guestNodeVersion, signal });
  if ('problem' in made) throw new FixError('setup_failed', { details: { reason: made.problem } });
  const { plan } = made;
  const openGateway = (phase: string, allow: readonly string[]) => tools.openGateway({ phase, allow, log });
  const place = { id: `${report.runId}-judge`, provider: tools.provider, openGateway, surroundings, guestNodeVersion, snapshot, plan, limits };
  await using workspace = await openWorkspace({ ...place, report, onEvent, signal });
  const { sandbox, gateway } = workspace;
  gateway.enter('proof', plan.allow.proof);
  const runHidden = async (): Promise<TestRun> => {
    await applyPatch(sandbox, hiddenTests, signal);
    return (await runTests(sandbox, of.test, { timeoutMs: limits.proofTimeoutMs, signal })).run;
  };

  const base = await runHidden();
  const verdict = { base, patched: null, broken: whyBroken(base), passes: false, leftovers: report.leftovers };
  if (verdict.broken !== null || patch === null) return verdict;
  const readBase = async (path: string) => (await snapshot.readFile(path, maxBaseFileBytes, signal))?.toString('utf8') ?? null;
  // As in the proof: a patch does not say how the tests that judge it are run.
  await applyPatch(sandbox, (await withBaseRules(patch, of.test, readBase)).patch, signal);
  if (patch.files.some(({ path }) => isManifest(path))) {
    const failed = await workspace.setUpAgain();
    if (failed !== null) return { ...verdict, patched: asTestRun(of.install, failed) };
    gateway.enter('proof', plan.allow.proof);
  }
  const patched = await runHidden();
  return { ...verdict, patched, passes: patched.ended === 'exited' && patched.exitCode === 0 };
}

function whyBroken(base: TestRun): string | null {
  if (base.ended === 'exited' && base.exitCode === 0) return 'its hidden tests pass without any patch';
  const unusable = whyUnusable(base);
  return unusable === null ? null : `without any patch, ${unusable}`;
}
