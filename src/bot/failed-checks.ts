/** The failed checks of a commit with their logs and causes. */
import type { GitHubRepository } from '../github/github.ts';
import { classifyCheck, hasFailed } from './classify-checks.ts';
import type { Cause } from './classify-checks.ts';

export interface FailedCheck {
  /** Another one when it was run again. */
  readonly id: number;
  /** Hostile, as is the log. */
  readonly name: string;
  readonly cause: Cause;
  readonly log: string | null;
}

/** Each costs a request or two. */
const maxLogs = 8;
const maxLogBytes = 128 * 1024;

/** Null while checks are under way. The base's own checks are asked for only when something failed. */
export async function readFailedChecks(github: GitHubRepository, { headSha, base }: { headSha: string; base: string }): Promise<readonly FailedCheck[] | null> {
  const { complete, runs } = await github.pulls.checks(headSha);
  if (!complete) return null;
  const failed = runs.filter(hasFailed).slice(0, maxLogs);
  if (failed.length === 0) return [];
  const ofBase = (await github.pulls.checks(`heads/${base}`)).runs;
  const found: FailedCheck[] = [];
  for (const run of failed) {
    const log = run.actions ? await github.pulls.jobLog(run.id, maxLogBytes) : null;
    found.push({ id: run.id, name: run.name, cause: classifyCheck(run, log, ofBase), log });
  }
  return found;
}
