/** An instruction for a pull request, in its conversation or at a line: pinned to the head that GitHub shows now. */
import type { GitHubRepository, PullState } from '../github/github.ts';
import type { FixJob, Work } from '../job.ts';
import { closedPullReply, foreignMergeReply, forkPullReply } from './follow-texts.ts';
import { queueJob } from './queue-job.ts';
import type { PullEvent, QueueTools } from './queue-job.ts';

export interface PullRequestWish extends PullEvent {
  readonly work: Work;
  readonly trigger: FixJob['trigger'];
}

/** The sender may write here, which was asked before. Says in one sentence why there is no run when there is none. */
export async function askPull(wish: PullRequestWish, tools: QueueTools & { readonly github: GitHubRepository }): Promise<'started' | 'refused'> {
  const { github } = tools;
  const pull = await github.pulls.read(wish.number);
  const why = whyNot(pull, wish.work);
  if (why !== null) await github.reply(wish.number, why);
  if (pull === null || why !== null) return 'refused';
  await queueJob(wish, { issue: pull, pull, work: wish.work, trigger: wish.trigger }, tools);
  return 'started';
}

/** One sentence; null when a run can begin. */
export function whyNot(pull: PullState | null, work: Pick<Work, 'kind'>): string | null {
  if (pull === null || !pull.open) return closedPullReply;
  if (pull.fork) return forkPullReply;
  return work.kind === 'merge' && !pull.ours ? foreignMergeReply : null;
}
