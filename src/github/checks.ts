/** Check runs: what the host says of a commit, beside it. */
import type { CheckRequest } from './github.ts';
import { makeOnce } from './session.ts';
import type { Session } from './session.ts';

/** Needs `checks: write`. GitHub shows the newest check of a name; one of the same run is found again, also after a crash. */
export async function writeCheck(session: Session, request: CheckRequest): Promise<void> {
  const { octokit, at } = session;
  const { headSha, name, externalId, conclusion, title, summary } = request;
  const state = { ...(conclusion === null ? { status: 'in_progress' as const } : { status: 'completed' as const, conclusion }), output: { title, summary } };
  const find = async (): Promise<number | null> => {
    const { data } = await octokit.rest.checks.listForRef({ ...at, ref: headSha, check_name: name, filter: 'all', per_page: 100 });
    return data.check_runs.find((check) => check.external_id === externalId)?.id ?? null;
  };
  let made = false;
  const id = await makeOnce(session, find, async () => {
    made = true;
    return (await octokit.rest.checks.create({ ...at, name, head_sha: headSha, external_id: externalId, ...state })).data.id;
  });
  // One of an earlier attempt that ended is opened again when this one begins.
  if (!made) await octokit.rest.checks.update({ ...at, check_run_id: id, ...state });
}
