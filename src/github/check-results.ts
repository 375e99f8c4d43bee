/** What others checked on a commit: results, and the logs of GitHub Actions. */
import { answerOf, hasStatus } from './failure.ts';
import type { CheckRun, Checks } from './github.ts';
import type { Session } from './session.ts';

/** 500 checks of one commit. */
const maxPages = 5;

/**
 * Our own suite is left out, and so is one without a run: GitHub opens a suite for every App that could check, and most
 * of them never do.
 */
export async function readChecks({ octokit, at }: Session, { sha, ourAppId }: { sha: string; ourAppId: number }): Promise<Checks> {
  const { data } = await octokit.rest.checks.listSuitesForRef({ ...at, ref: sha, per_page: 100 });
  const suites = data.check_suites.filter(({ app, latest_check_runs_count: count }) => app?.id !== ourAppId && count > 0);
  const runs: CheckRun[] = [];
  let pages = 0;
  for await (const { data: page } of octokit.paginate.iterator(octokit.rest.checks.listForRef, { ...at, ref: sha, filter: 'latest', per_page: 100 })) {
    for (const { id, name, conclusion, app } of page) if (app?.id !== ourAppId) runs.push({ id, name, conclusion, actions: app?.slug === 'github-actions' });
    if (++pages === maxPages) break;
  }
  return { complete: suites.every(({ status }) => status === 'completed'), runs };
}

/** A longer log is not read to its end: what failed stands further up then, where nobody finds it either. */
const maxReadBytes = 32 * 2 ** 20;
const logTimeoutMs = 60_000;

/**
 * GitHub answers with an address on another host, good for a minute, that has to be asked without our token. The id of a
 * job of GitHub Actions is the id of its check run.
 */
export async function readJobLog(
  { octokit, at, signal }: Session,
  { jobId, maxBytes, fetch: send }: { jobId: number; maxBytes: number; fetch: typeof fetch },
): Promise<string | null> {
  const location = await readLocation();
  if (location === null) return null;
  const response = await send(location, { signal: AbortSignal.any([signal, AbortSignal.timeout(logTimeoutMs)]) });
  if (!response.ok || response.body === null) return null;
  return await readEnd(response.body, maxBytes);

  async function readLocation(): Promise<string | null> {
    try {
      const { headers } = await octokit.rest.actions.downloadJobLogsForWorkflowRun({ ...at, job_id: jobId, request: { redirect: 'manual' } });
      return headers.location ?? null;
    } catch (error) {
      const status = answerOf(error)?.status ?? 0;
      // Not there yet, not there any more, or nothing of GitHub Actions.
      if (hasStatus(error, 403, 404, 410) || (status >= 300 && status < 400)) return null;
      throw error;
    }
  }
}

async function readEnd(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<string> {
  let kept = Buffer.alloc(0);
  let read = 0;
  for await (const chunk of body) {
    read += chunk.length;
    kept = Buffer.concat([kept, chunk]).subarray(-maxBytes);
    if (read > maxReadBytes) break;
  }
  return kept.toString('utf8');
}
