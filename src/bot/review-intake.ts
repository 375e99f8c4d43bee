/**
 * Reviews of our pull requests. One that was handed in is one run with all its comments. Single comments at lines are
 * collected until a review is handed in, or until nobody has added one for a while.
 */
import { asFixError } from '../errors.ts';
import type { GitHub, GitHubRepository, PullState } from '../github/github.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import type { Values } from '../settings/values.ts';
import type { Memory } from './memory.ts';
import { askPull } from './pull-intake.ts';
import { queueJob } from './queue-job.ts';
import type { PullEvent, RunQueue } from './queue-job.ts';
import { isUnnamedBot, maySteer, readRepositorySettings } from './repository-settings.ts';
import { findWaiting } from './review-requests.ts';
import type { Waiting } from './review-requests.ts';

/** The part of the web role's event that is read here. */
export interface ReviewEvent extends PullEvent {
  /** `review`: handed in. `remark`: a single comment. `quiet`: nobody may have added one since. */
  readonly kind: 'review' | 'remark' | 'quiet';
  readonly reviewId: number;
  readonly state: 'approved' | 'changes_requested' | 'commented';
  /** What was said beside the lines. */
  readonly body: string;
  /** Of a command in it. */
  readonly instruction: string | null;
}

export interface ReviewTools {
  readonly github: GitHub;
  readonly queue: RunQueue & {
    /** Brings the event back after a time, once for its key, also when this process ends before. */
    later(event: { readonly key: string; readonly deliveryId: string }, delayMs: number): Promise<void>;
  };
  readonly operator: Operator;
  readonly memory: Pick<Memory, 'keep'>;
  readonly signal: AbortSignal;
}

/** Idempotent, and silent to whom may not write here. */
export async function takeInReview(event: ReviewEvent, tools: ReviewTools, log: Log): Promise<void> {
  const github = tools.github.repository(event, { deliveryId: event.deliveryId, signal: tools.signal, records: [] });
  if (!maySteer(await github.permission(event.actor.login))) return log.info('review ignored: no write access');
  const settings = await readFollowSettings(github, event, tools);
  if (settings === null) return log.info('review ignored: the settings are broken, or say that nothing is done here');
  const mayWrite = async (login: string): Promise<boolean> => maySteer(await github.permission(login), settings['triggers.permission']);
  if (!(await mayWrite(event.actor.login))) return log.info('review ignored: the settings ask for more than write access');
  if (isUnnamedBot(event.actor.login, settings, tools.operator)) return log.info('review ignored: the settings do not name this bot');
  const pull = await github.pulls.read(event.number);
  const trigger = { kind: 'review' as const, reviewId: event.reviewId };
  if (event.instruction !== null && !(pull?.ours && pull.open)) {
    await askPull({ ...event, trigger, work: { kind: 'revise', instruction: event.instruction, requests: [] } }, { ...tools, github, values: settings, log });
    return;
  }
  if (!pull?.ours || !pull.open) return log.info('not an open pull request of ours');
  const quietMs = settings['followUps.quietSeconds'] * 1000;
  if (event.kind === 'remark') return await collect(event, tools, quietMs);
  const waiting = await findWaiting(await github.pulls.threads(event.number), { before: event.receivedAt, mayWrite });
  const again = event.kind === 'quiet' ? quietMs - sinceLatestMs(waiting) : isSingle(event, waiting) ? quietMs : 0;
  if (again > 0) return await collect(event, tools, again);
  await queueReview(event, { pull, waiting, github, tools, values: settings, log });
}

/** Null while they are broken, which has an issue of its own, and where Mayfly is off. */
export async function readFollowSettings(
  github: GitHubRepository,
  event: Pick<PullEvent, 'repository'>,
  { operator }: Pick<ReviewTools, 'operator'>,
): Promise<Values | null> {
  const settings = await readRepositorySettings({ github, owner: event.repository.owner, operator });
  return 'effective' in settings && settings.effective.values.enabled ? settings.effective.values : null;
}

/** GitHub makes a review of every single comment, too: one without words of its own. */
function isSingle({ kind, reviewId, state, body, instruction }: ReviewEvent, waiting: readonly Waiting[]): boolean {
  const own = waiting.flatMap(({ comments }) => comments).filter((comment) => comment.reviewId === reviewId);
  return kind === 'review' && state === 'commented' && body.trim() === '' && instruction === null && own.length <= 1;
}

const sinceLatestMs = (waiting: readonly Waiting[]): number => {
  const times = waiting.flatMap(({ comments }) => comments.map(({ at }) => Date.parse(at)));
  return times.length === 0 ? Infinity : Date.now() - Math.max(...times);
};

/** The comments of one stretch of time come back as one event. */
async function collect(event: ReviewEvent, { queue }: ReviewTools, delayMs: number): Promise<void> {
  const wait = Math.max(delayMs, 1000);
  const stretch = Math.floor((Date.now() + wait) / wait);
  const key = `quiet-${event.repository.id}-${event.number}-${wait}-${stretch}`;
  const receivedAt = new Date(Date.now() + wait).toISOString();
  const quiet: ReviewEvent = { ...event, kind: 'quiet', key, state: 'commented', body: '', instruction: null, receivedAt };
  await queue.later(quiet, wait);
}

async function queueReview(
  event: ReviewEvent,
  place: { pull: PullState; waiting: readonly Waiting[]; github: GitHubRepository; tools: ReviewTools; values: Values; log: Log },
): Promise<void> {
  const { pull, waiting, github, tools, values, log } = place;
  const instruction = instructionOf(event, waiting);
  if (waiting.length === 0 && instruction === null && !(await tools.queue.hasRun(event.key))) return log.info('the review asks for nothing');
  const work = { kind: 'revise' as const, instruction, requests: waiting.map(({ request }) => request) };
  await queueJob(event, { issue: pull, pull, work, trigger: { kind: 'review', reviewId: event.reviewId } }, { ...tools, github, values, log });
  // Afterwards, because it also says that a run has taken the comment up.
  for (const { id } of waiting.flatMap(({ comments }) => comments)) {
    await github.react({ kind: 'review_comment', id }, 'eyes').catch((thrown: unknown) => {
      if (asFixError(thrown).code !== 'github_refused') throw thrown;
      log.info({ err: thrown }, 'GitHub takes no reaction');
    });
  }
}

/** Words beside the lines count when they go with comments, or ask for changes by themselves. */
function instructionOf({ body, state, instruction }: ReviewEvent, waiting: readonly Waiting[]): string | null {
  if (instruction !== null) return instruction;
  const counts = state === 'changes_requested' || (waiting.length > 0 && state === 'commented');
  return counts && body.trim() !== '' ? body : null;
}
