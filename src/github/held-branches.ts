/** Branches with unfinished work: one of each issue is enough, and none once the work is in a pull request. */
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { listPullRequests } from './pull-requests.ts';
import type { CommitState } from './github.ts';
import type { Session } from './session.ts';

export interface FormerBranches {
  /** With and without a number behind it. */
  readonly branch: string;
  /** Which of them. */
  readonly goes: (head: { readonly branch: string; readonly headSha: string }) => boolean;
  readonly readCommit: (session: Session, sha: string) => Promise<CommitState>;
  readonly log: Log;
}

/** Only where a commit of ours is the tip, and nobody has opened a pull request from there: anything else is somebody's work. Best effort. */
export async function dropFormer(session: Session, { branch, goes, readCommit, log }: FormerBranches): Promise<void> {
  const { octokit, at, signal } = session;
  const isNamed = (name: string): boolean => name.startsWith(branch) && /^(?:-\d{1,2})?$/.test(name.slice(branch.length));
  try {
    const { data } = await octokit.rest.git.listMatchingRefs({ ...at, ref: `heads/${branch}` });
    const heads = data.map(({ ref, object }) => ({ branch: ref.replace(/^refs\/heads\//, ''), headSha: object.sha }));
    for (const head of heads.filter((found) => isNamed(found.branch) && goes(found))) {
      if (!(await readCommit(session, head.headSha)).ours) continue;
      if ((await listPullRequests(session, head.branch)).some(({ state }) => state === 'open')) continue;
      await octokit.rest.git.deleteRef({ ...at, ref: `heads/${head.branch}` });
      log.info({ branch: head.branch, headSha: head.headSha }, 'a branch with earlier unfinished work is removed');
    }
  } catch (thrown) {
    if (!signal.aborted) log.info({ err: asFixError(thrown) }, 'branches with earlier unfinished work could not be removed');
  }
}
