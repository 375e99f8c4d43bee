/**
 * Publishing: tree, commit, branch, pull request. A crash after any step is taken up by the same call again, with the
 * run's marker in the pull request and the commit itself as what is looked for; nothing is ever forced or overwritten.
 */
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { PullRequest } from '../job.ts';
import { hasStatus, isLost } from './failure.ts';
import type { CommitRequest, PublishRequest } from './github.ts';
import { asPullRequest, isOfRun, listPullRequests, openPullRequest } from './pull-requests.ts';
import type { PullRequestData } from './pull-requests.ts';
import type { Session } from './session.ts';
import { writeTree } from './tree.ts';

const maxSuffix = 20;
/** Somebody else may take the name between the look and the creation; GitHub may lose the answer. */
const triesPerName = 3;

export async function publish(session: Session, request: PublishRequest, log: Log): Promise<PullRequest> {
  demandSense(request);
  const { pullRequest, branch } = await claimBranch(session, request);
  await demandOwnership(request);
  const opened = pullRequest ?? (await openPullRequest(session, request, branch));
  if (opened.state === 'open') await dressUp(session, { number: opened.number, ...request }, log);
  return asPullRequest(opened);
}

/** The commit on a branch, and nothing that asks anybody to merge it. */
export async function holdBranch(session: Session, request: CommitRequest): Promise<{ branch: string; headSha: string }> {
  demandSense(request);
  const commit = await prepareCommit(session, request);
  for (let suffix = 1; suffix <= maxSuffix; suffix++) {
    const branch = suffix === 1 ? request.branch : `${request.branch}-${suffix}`;
    const headSha = await takeBranch(session, { branch, commit, taken: new Set() }, request);
    if (headSha !== null) return { branch, headSha };
  }
  throw everyNameTaken(request);
}

function demandSense({ branch, files }: CommitRequest): void {
  if (!/^[a-z0-9]+(?:[/-][a-z0-9]+)*$/.test(branch)) throw new FixError('internal', { details: { reason: 'branch name', branch } });
  if (files.length === 0) throw new FixError('internal', { details: { reason: 'empty patch' } });
}

const everyNameTaken = ({ branch }: CommitRequest): FixError => new FixError('github_refused', { details: { reason: 'every branch name is taken', branch } });

/** A pull request of this run, or a branch that holds its commit. Other people's branches are stepped around. */
async function claimBranch(session: Session, request: PublishRequest): Promise<{ branch: string; pullRequest: PullRequestData | null }> {
  let commit: Commit | null = null;
  for (let suffix = 1; suffix <= maxSuffix; suffix++) {
    const branch = suffix === 1 ? request.branch : `${request.branch}-${suffix}`;
    const pulls = await listPullRequests(session, branch);
    const pullRequest = pulls.find((pull) => isOfRun(session, pull, request.marker)) ?? null;
    if (pullRequest) return { branch, pullRequest };
    commit ??= await prepareCommit(session, request);
    // A branch that another run opened a pull request from is that run's, whatever is in it.
    const headSha = await takeBranch(session, { branch, commit, taken: new Set(pulls.map((pull) => pull.head.sha)) }, request);
    if (headSha !== null) return { branch, pullRequest: null };
  }
  throw everyNameTaken(request);
}

/** What the branch shall hold; the commit itself is made when a branch is free for it. */
interface Commit {
  readonly tree: string;
  readonly create: () => Promise<string>;
}

async function prepareCommit(session: Session, request: CommitRequest): Promise<Commit> {
  await demandOwnership(request);
  const tree = await writeTree(session, request);
  let sha: string | null = null;
  return {
    tree,
    async create() {
      // Neither author nor committer: then GitHub makes the App both, and signs.
      sha ??= (await session.octokit.rest.git.createCommit({ ...session.at, message: request.commitMessage, tree, parents: [request.baseSha] })).data.sha;
      return sha;
    },
  };
}

/** The branch's head, which is our commit; null when the branch is somebody else's. */
async function takeBranch(
  session: Session,
  claim: { branch: string; commit: Commit; taken: ReadonlySet<string> },
  request: CommitRequest,
): Promise<string | null> {
  const { octokit, at } = session;
  for (let attempt = 1; ; attempt++) {
    const head = await readBranch(session, claim.branch);
    if (head) return head.tree === claim.commit.tree && head.parents.join() === request.baseSha && !claim.taken.has(head.sha) ? head.sha : null;
    const sha = await claim.commit.create();
    await demandOwnership(request);
    try {
      await octokit.rest.git.createRef({ ...at, ref: `refs/heads/${claim.branch}`, sha });
      return sha;
    } catch (error) {
      if (!(isLost(error) || hasStatus(error, 409, 422)) || attempt === triesPerName) throw error;
    }
  }
}

export interface BranchHead {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
}

/** Null when there is no such branch. */
export async function readBranch({ octokit, at }: Session, branch: string): Promise<BranchHead | null> {
  try {
    const { data: ref } = await octokit.rest.git.getRef({ ...at, ref: `heads/${branch}` });
    const { data: commit } = await octokit.rest.git.getCommit({ ...at, commit_sha: ref.object.sha });
    return { sha: commit.sha, tree: commit.tree.sha, parents: commit.parents.map(({ sha }) => sha), message: commit.message };
  } catch (error) {
    if (hasStatus(error, 404)) return null;
    throw error;
  }
}

/** Best effort, one by one: GitHub refuses who cannot review, such as somebody who left, and everybody else in the same request. */
async function dressUp(
  { octokit, at, signal }: Session,
  { number, reviewers, labels }: Pick<PublishRequest, 'reviewers' | 'labels'> & { number: number },
  log: Log,
): Promise<void> {
  const ask = async (reviewer: string): Promise<unknown> => {
    const [login, team] = reviewer.split('/');
    const wish = team === undefined ? { reviewers: [login ?? ''] } : { team_reviewers: [team] };
    return await octokit.rest.pulls.requestReviewers({ ...at, pull_number: number, ...wish });
  };
  const ways = [
    ...(labels.length > 0 ? [async () => await octokit.rest.issues.addLabels({ ...at, issue_number: number, labels: [...labels] })] : []),
    ...reviewers.map((reviewer) => async () => await ask(reviewer)),
  ];
  for (const way of ways) {
    // The pull request is there: a stop that comes now must not make it look as if nothing were.
    if (signal.aborted) return;
    await way().catch((error: unknown) => {
      log.info({ status: hasStatus(error, 422) ? 422 : 'other', pullRequest: number }, 'a label or a reviewer could not be added');
    });
  }
}

/** A worker that lost its lock must not write any more. */
export async function demandOwnership({ ownsRun }: Pick<CommitRequest, 'ownsRun'>): Promise<void> {
  if (ownsRun && !(await ownsRun())) throw new FixError('lock_lost');
}
