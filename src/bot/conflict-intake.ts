/**
 * The default branch moved. Where the settings want it, pull requests of ours that cannot be merged any more get their
 * base: once for each of their heads, so that a conflict nobody can end is not paid for again with every push.
 */
import type { Log } from '../log.ts';
import type { Repository } from '../job.ts';
import type { Values } from '../settings/values.ts';
import { whoAsked } from './checks-intake.ts';
import { queueJob } from './queue-job.ts';
import { readFollowSettings } from './review-intake.ts';
import type { ReviewTools } from './review-intake.ts';
import type { GitHubRepository, PullState } from '../github/github.ts';

/** The part of the web role's event that is read here. */
export interface PushEvent {
  readonly kind: 'pushed';
  readonly key: string;
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: Repository;
  readonly receivedAt: string;
  readonly settings: boolean;
  readonly look: number;
}

/** GitHub works out whether a pull request can be merged after it was asked the first time. */
const maxLooks = 3;
const nextLookMs = 30_000;

/** Idempotent. Throws FixErrors of the GitHub port, which the queue tries again. */
export async function takeInPush(event: PushEvent, tools: ReviewTools, log: Log): Promise<void> {
  const { repository, deliveryId, look } = event;
  const github = tools.github.repository(event, { deliveryId, signal: tools.signal, records: [] });
  const values = await readFollowSettings(github, event, tools);
  if (!values?.['followUps.conflicts']) return log.debug('the settings leave conflicts alone');
  let isUnknown = false;
  for (const number of await github.pulls.ours(repository.defaultBranch)) {
    const pull = await github.pulls.read(number);
    if (pull?.mergeable === false) await askMerge(event, pull, { github, tools, values, log });
    isUnknown ||= pull?.open === true && pull.mergeable === null;
  }
  if (!isUnknown || look === maxLooks) return;
  const again: PushEvent = { ...event, key: `${event.key}-${look + 1}`.slice(0, 200), settings: false, look: look + 1 };
  await tools.queue.later(again, nextLookMs);
}

async function askMerge(
  { repository, deliveryId, installationId, receivedAt }: PushEvent,
  pull: PullState,
  { github, tools, values, log }: { github: GitHubRepository; tools: ReviewTools; values: Values; log: Log },
): Promise<void> {
  if (!pull.ours || !pull.open) return;
  const asked = await whoAsked({ github, operator: tools.operator }, pull.headSha, values);
  if (asked === null) return log.info({ pull: pull.number }, 'the head is not a commit that somebody with write access asked us for');
  const key = `conflict-${repository.id}-${pull.headSha}`;
  const origin = { key, deliveryId, installationId, repository, actor: asked.actor, receivedAt };
  await queueJob(origin, { issue: pull, pull, work: { kind: 'merge' }, trigger: { kind: 'event', name: 'conflict' } }, { ...tools, github, values, log });
}
