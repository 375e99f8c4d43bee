/** How a command is answered when it starts no run of its own. */
import { asFixError } from '../errors.ts';
import { noStartReply, notTold, tooLateReply } from './command-texts.ts';
import type { NoStart } from './command-texts.ts';
import { subjectOf } from './memory.ts';
import type { GitHubRepository } from '../github/github.ts';
import type { Log } from '../log.ts';
import type { Scene } from './scene.ts';

/** `started`: a run goes on from here. `refused`: it was told why not. `done`: nothing is left to do. */
export type Obeyed = 'started' | 'refused' | 'done';

export async function say({ event, github }: Scene, text: string, as: Obeyed): Promise<Obeyed> {
  await github.reply(event.issue.number, text);
  return as;
}

export async function refuse(scene: Scene, reason: NoStart): Promise<Obeyed> {
  return await say(scene, noStartReply(scene.event.actor.login, reason), 'refused');
}

/** Words of a person go to the run that waits or works here. Null when there are none, or nobody to hear them. */
export async function tellRun(scene: Scene): Promise<Obeyed | null> {
  const { event, tools } = scene;
  // The comment that a run was started by is no message to it.
  if (!event.instruction || event.commentId === undefined || (await tools.queue.hasRun(event.key))) return null;
  const message = { id: event.commentId, login: event.actor.login, text: event.instruction, at: event.receivedAt };
  const told = await tools.queue.tell(subjectOf(event), message);
  if (told === 'full' || told === 'too_long') return await say(scene, notTold(event.actor.login, told), 'refused');
  if (told === 'working' || told === 'waiting') return 'started';
  // A pull request takes the next run beside the one that ends.
  return told === 'closed' && !event.issue.isPullRequest ? await say(scene, tooLateReply(event.actor.login), 'refused') : null;
}

/** A sign and no more: what cannot be reacted to (the comment was deleted, the issue is locked) can still be worked on. */
export async function reactIfTaken(github: Pick<GitHubRepository, 'react'>, log: Log, ...reaction: Parameters<GitHubRepository['react']>): Promise<void> {
  await github.react(...reaction).catch((thrown: unknown) => {
    if (asFixError(thrown).code !== 'github_refused') throw thrown;
    log.info({ err: thrown }, 'GitHub takes no reaction');
  });
}
