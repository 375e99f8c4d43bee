/** Checks that failed on a commit of ours: whether that starts a run, and what is said when it does not. */
import type { Log } from '../log.ts';
import type { Values } from '../settings/values.ts';
import { commentMarker } from './comment-texts.ts';
import { readFailedChecks } from './failed-checks.ts';
import { checksComment, readTrailers } from './follow-texts.ts';
import { queueJob } from './queue-job.ts';
import type { PullEvent } from './queue-job.ts';
import { isLive, readRuns } from './run-history.ts';
import { recallRepairs, subjectOf } from './memory.ts';
import type { KeptRepairs } from './memory.ts';
import { maySteer, readPermission } from './repository-settings.ts';
import type { SettingsPlace } from './repository-settings.ts';
import { readFollowSettings } from './review-intake.ts';
import type { ReviewTools } from './review-intake.ts';

/** One suite came to its end; `actor` is whoever made it run, which does not matter here. */
export interface ChecksEvent extends PullEvent {
  readonly kind: 'checks';
  readonly headSha: string;
}

/** In a row, without a commit of a person in between. */
const maxRepairs = 3;
/** For one head, whose checks somebody runs again. */
const maxRunsOfHead = 3;

export async function takeInChecks(event: ChecksEvent, tools: ReviewTools, log: Log): Promise<void> {
  const github = tools.github.repository(event, { deliveryId: event.deliveryId, signal: tools.signal, records: [] });
  const pull = await github.pulls.read(event.number);
  if (!pull?.ours || !pull.open || pull.headSha !== event.headSha) return log.info('not the head of an open pull request of ours');
  const settings = await readFollowSettings(github, event, tools);
  if (!settings?.['followUps.checks']) return log.info('the settings leave failed checks alone');
  const asked = await whoAsked({ github, operator: tools.operator }, event.headSha, settings);
  if (asked === null) return log.info('not a commit that somebody with write access asked us for');
  const subject = subjectOf({ repository: event.repository, issue: event });
  const before = await recallRepairs(tools.memory, subject, event.headSha);
  // It looks at all checks of the head when it begins, whichever suite ended last.
  if (before !== null && (await tools.queue.find(subject)).length > 0) return log.info('the run for these checks is not over');
  const failed = await readFailedChecks(github, { headSha: event.headSha, base: pull.base });
  if (failed === null) return log.info('other checks are under way');
  if (failed.length === 0) return log.info('the checks do not fail any more');
  // All suites of a commit lead to one run; a check that was run again and fails again has another id.
  const checks = [...new Set([...(before?.checks ?? []), ...failed.map(({ id }) => id)])].slice(-100);
  if (before !== null && checks.length === before.checks.length) return log.info('these failures had their run before');
  const runs = (before?.runs ?? 0) + 1;
  log.info({ causes: failed.map(({ cause }) => cause), repairs: asked.repairs, runs }, 'checks failed');
  const attempt = asked.repairs + 1;
  if (attempt > maxRepairs || runs > maxRunsOfHead || !failed.some(({ cause }) => cause === 'ours')) {
    // A run that is there already has the comment.
    return await github.livingComment(event.number, commentMarker, (comment) => {
      const entries = readRuns(comment);
      const facts = { headSha: event.headSha, base: pull.base, repairs: asked.repairs, runsOfHead: runs - 1, runs: entries };
      return entries.some(isLive) ? null : checksComment(failed, facts);
    });
  }
  const key = `repair-${event.repository.id}-${event.headSha}${runs === 1 ? '' : `-${runs}`}`;
  const asJob = { work: { kind: 'repair' as const, attempt }, trigger: { kind: 'event' as const, name: 'checks' as const } };
  await queueJob({ ...event, key, actor: asked.actor }, { issue: pull, pull, ...asJob }, { ...tools, github, values: settings, log });
  await tools.memory.keep(subject, 'repairs', { headSha: event.headSha, runs, checks } satisfies KeptRepairs);
}

/** Whose run made the commit, and how many repairs in a row it ends. Null for a commit of somebody else: people mend what they push. */
export async function whoAsked(
  place: Pick<SettingsPlace, 'github' | 'operator'>,
  headSha: string,
  settings: Values,
): Promise<{ actor: PullEvent['actor']; repairs: number } | null> {
  const head = await place.github.pulls.commit(headSha);
  const { actor, repair: repairs } = readTrailers(head.message);
  if (!head.ours || actor === null) return null;
  return maySteer(await readPermission(place, actor.login), settings['triggers.permission']) ? { actor, repairs } : null;
}
