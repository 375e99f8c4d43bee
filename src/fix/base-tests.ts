/**
 * What the tests say before the agent has touched anything, so that it does not chase failures that were there, and
 * knows early when they cannot run. Told to the agent alone: what is proven is seen in a clean VM.
 */
import type { TestRun } from '../job.ts';
import { runTests } from '../proof/prove.ts';
import { whyUnusable } from '../proof/verdict.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/** A suite that takes longer is not waited for. */
const longestMs = 120_000;
/** Of the time that the proof has for all of its runs. */
const share = 1 / 8;

// What the tests left is no work of the agent; ignored files, which caches are, stay.
const restoreScript = `
rm -f .git/index.lock
export GIT_LFS_SKIP_SMUDGE=1
git -c core.hooksPath=/dev/null -c core.fsmonitor=false reset -q --hard "$1" && git clean -ffdq
`;

/** Runs the tests once in the agent's VM, within a short limit, and puts the tree back. Throws `sandbox_lost`. */
export async function tryTests(
  sandbox: Sandbox,
  command: string,
  { baselineSha, proofTimeoutMs, signal }: { baselineSha: string; proofTimeoutMs: number; signal: AbortSignal },
): Promise<TestRun> {
  const timeoutMs = Math.round(Math.min(longestMs, proofTimeoutMs * share));
  const { run, failing } = await runTests(sandbox, command, { timeoutMs, signal });
  // Where this does not succeed, what the tests left is seen in the patch.
  await sandbox.exec(['sh', '-c', restoreScript, 'sh', baselineSha], { signal, timeoutMs: 60_000 });
  signal.throwIfAborted();
  const { results } = run;
  // Some reporters name what failed in a list of its own and nothing else.
  const isNamed = results === null || results.failing.length > 0 || failing === null;
  return isNamed ? run : { ...run, results: { ...results, failing: [...failing] } };
}

/** Whole lines, and a mark where there was more. */
function endOf(output: string): string {
  if (output.length <= maxTailCharacters) return output;
  const tail = output.slice(-maxTailCharacters);
  return `[... the beginning is left out ...]\n${tail.slice(tail.indexOf('\n') + 1)}`;
}

const maxNames = 20;
const maxTailCharacters = 1500;

/** For the agent: how it ended, how many, which failed. Names and output are hostile, so it goes between fences. */
export function describeBaseTests(run: TestRun): string {
  const { exitCode, results, durationMs, output } = run;
  const seconds = Math.round(durationMs / 1000);
  const unusable = whyUnusable(run);
  const counts = results === null ? '' : `: ${results.passed} passed, ${results.failed} failed, ${results.skipped} skipped`;
  const head =
    unusable === null
      ? `exit code ${exitCode ?? 'none'} after ${seconds} s${counts}`
      : run.ended === 'timeout'
        ? `${unusable}; this was a short trial, and the proof has more time`
        : unusable;
  if (exitCode === 0) return head;
  const failing = results?.failing ?? [];
  if (failing.length === 0) return [head, 'The end of the output:', endOf(output.trimEnd())].join('\n');
  const more = Math.max(failing.length, results?.failed ?? 0) - maxNames;
  return [`${head}. Failing:`, ...failing.slice(0, maxNames).map((name) => `- ${name}`), ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}
