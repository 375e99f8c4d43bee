/** An instruction for a pull request, in its conversation or at a line: pinned to the head that GitHub shows now. */
import type { GitHubRepository } from '../github/github.ts';
import type { FixJob, Work } from '../job.ts';
import type { Log } from '../log.ts';
import { closedPullReply, foreignMergeReply, forkPullReply } from './follow-texts.ts';
import { queuePullJob } from './queue-pull-job.ts';
import type { PullEvent, RunQueue } from './queue-pull-job.ts';

export interface PullRequestWish extends PullEvent {
  readonly work: Work;
  readonly trigger: FixJob['trigger'];
}

/** The sender may write here, which was asked before. Says in one sentence why there is no run when there is none. */
export async function askPull(wish: PullRequestWish, tools: { github: GitHubRepository; queue: RunQueue; log: Log }): Promise<void> {
  const { github, log } = tools;
  const pull = await github.pulls.read(wish.number);
  if (pull === null) return log.info('no such pull request');
  if (!pull.open) return await github.reply(wish.number, closedPullReply);
  if (pull.fork) return await github.reply(wish.number, forkPullReply);
  if (wish.work.kind === 'merge' && !pull.ours) return await github.reply(wish.number, foreignMergeReply);
  await queuePullJob(wish, pull, wish, tools);
}
