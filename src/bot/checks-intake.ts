/** Checks that failed on a commit of ours: whether that starts a run, and what is said when it does not. */
import type { GitHubRepository } from '../github/github.ts';
import type { Log } from '../log.ts';
import type { Values } from '../settings/values.ts';
import { commentMarker } from './comment-texts.ts';
import { readFailedChecks } from './failed-checks.ts';
import { checksComment, readTrailers } from './follow-texts.ts';
import { queueJob } from './queue-job.ts';
import type { PullEvent } from './queue-job.ts';
import { isLive, readRuns } from './run-history.ts';
import { maySteer } from './repository-settings.ts';
import { readFollowSettings } from './review-intake.ts';
import type { ReviewTools } from './review-intake.ts';

/** One suite came to its end; `actor` is whoever made it run, which does not matter here. */
export interface ChecksEvent extends PullEvent {
  readonly kind: 'checks';
  readonly headSha: string;
}

/** In a row, without a commit of a person in between. */
const maxRepairs = 3;

export async function takeInChecks(event: ChecksEvent, tools: ReviewTools, log: Log): Promise<void> {
  const github = tools.github.repository(event, { deliveryId: event.deliveryId, signal: tools.signal, records: [] });
  const pull = await github.pulls.read(event.number);
  if (!pull?.ours || !pull.open || pull.headSha !== event.headSha) return log.info('not the head of an open pull request of ours');
  const settings = await readFollowSettings(github, event, tools);
  if (!settings?.['followUps.checks']) return log.info('the settings leave failed checks alone');
  const asked = await whoAsked(github, event.headSha, settings);
  if (asked === null) return log.info('not a commit that somebody with write access asked us for');
  // All suites of a commit lead to one run.
  const key = `repair-${event.repository.id}-${event.headSha}`;
  if (await tools.queue.hasRun(key)) return log.info('run was queued before');
  const failed = await readFailedChecks(github, { headSha: event.headSha, base: pull.base });
  if (failed === null) return log.info('other checks are under way');
  if (failed.length === 0) return log.info('the checks do not fail any more');
  log.info({ causes: failed.map(({ cause }) => cause), repairs: asked.repairs }, 'checks failed');
  const attempt = asked.repairs + 1;
  if (attempt > maxRepairs || !failed.some(({ cause }) => cause === 'ours')) {
    // A run that is there already has the comment.
    return await github.livingComment(event.number, commentMarker, (before) => {
      const runs = readRuns(before);
      return runs.some(isLive) ? null : checksComment(failed, { headSha: event.headSha, base: pull.base, repairs: asked.repairs, runs });
    });
  }
  const asJob = { work: { kind: 'repair' as const, attempt }, trigger: { kind: 'event' as const, name: 'checks' as const } };
  await queueJob({ ...event, key, actor: asked.actor }, { issue: pull, pull, ...asJob }, { ...tools, github, values: settings, log });
}

/** Whose run made the commit, and how many repairs in a row it ends. Null for a commit of somebody else: people mend what they push. */
export async function whoAsked(github: GitHubRepository, headSha: string, settings: Values): Promise<{ actor: PullEvent['actor']; repairs: number } | null> {
  const head = await github.pulls.commit(headSha);
  const { actor, repair: repairs } = readTrailers(head.message);
  if (!head.ours || actor === null) return null;
  return maySteer(await github.permission(actor.login), settings['triggers.permission']) ? { actor, repairs } : null;
}
