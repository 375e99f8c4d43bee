/**
 * One more commit on a branch that people use, too. It goes on the tip that was asked for or nowhere: the branch is
 * looked at before, and the update is never forced, so GitHub itself refuses what would drop a commit. REST has no
 * update that names the old tip: whoever takes commits off the branch between our look and our update, within
 * milliseconds, gets them back under ours.
 */
import { hasStatus, isLost } from './failure.ts';
import type { BranchCommitRequest } from './github.ts';
import { demandOwnership, readBranch } from './publish.ts';
import type { Session } from './session.ts';
import { readTree, writeTree } from './tree.ts';

const tries = 3;

export async function pushCommit(session: Session, request: BranchCommitRequest): Promise<{ headSha: string } | null> {
  const { octokit, at } = session;
  const { branch, headSha, mergedSha, files } = request;
  const parents = [headSha, ...(mergedSha === null ? [] : [mergedSha])];
  await demandOwnership(request);
  const head = await readBranch(session, branch);
  if (head === null) return null;
  const isNext = head.parents.join() === parents.join();
  if (head.sha !== headSha && !isNext) return null;
  const baseSha = mergedSha ?? headSha;
  const tree = files.length === 0 ? await readTree(session, baseSha) : await writeTree(session, { baseSha, files });
  // Made by an attempt that ended right after it.
  if (head.sha !== headSha) return head.tree === tree && head.message === request.commitMessage.trimEnd() ? { headSha: head.sha } : null;
  const { data: commit } = await octokit.rest.git.createCommit({ ...at, message: request.commitMessage, tree, parents });
  return await moveBranch(session, request, commit.sha);
}

async function moveBranch(session: Session, request: BranchCommitRequest, sha: string): Promise<{ headSha: string } | null> {
  const { octokit, at } = session;
  for (let attempt = 1; ; attempt++) {
    await demandOwnership(request);
    try {
      await octokit.rest.git.updateRef({ ...at, ref: `heads/${request.branch}`, sha, force: false });
      return { headSha: sha };
    } catch (error) {
      if (!(isLost(error) || hasStatus(error, 404, 409, 422))) throw error;
      const now = (await readBranch(session, request.branch))?.sha;
      if (now === sha) return { headSha: sha };
      if (now !== request.headSha) return null;
      // The branch stands where it did: an answer that was lost, or a rule of the repository against us.
      if (!isLost(error) || attempt === tries) throw error;
    }
  }
}
