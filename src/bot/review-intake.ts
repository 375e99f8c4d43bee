/**
 * Reviews of our pull requests. One that was handed in is one run with all its comments. Single comments at lines are
 * collected until a review is handed in, or until nobody has added one for a while.
 */
import type { GitHub, GitHubRepository, PullState } from '../github/github.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import type { Resolved } from '../settings/resolve.ts';
import type { Values } from '../settings/values.ts';
import { reactIfTaken } from './answer.ts';
import { closedPullReply, manyThreadsReply } from './follow-texts.ts';
import type { Memory, Subject } from './memory.ts';
import { recallWork, subjectOf } from './memory.ts';
import { whyNot } from './pull-intake.ts';
import { queueJob } from './queue-job.ts';
import type { PullEvent, RunQueue } from './queue-job.ts';
import { isUnnamedBot, maySteer, readPermission, readRepositorySettings } from './repository-settings.ts';
import type { SettingsIssuePlace } from './repository-settings.ts';
import { findWaiting, maxRequests, ofReview } from './review-requests.ts';
import type { Waiting } from './review-requests.ts';
import { readValues } from './start.ts';

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
    /** What waits or works for a pull request. */
    find(subject: Subject): Promise<readonly unknown[]>;
  };
  readonly operator: Operator;
  readonly memory: Pick<Memory, 'keep' | 'recall'>;
  readonly inTurn: SettingsIssuePlace['inTurn'];
  readonly signal: AbortSignal;
}

/** Idempotent, and silent to whom may not write here. */
export async function takeInReview(event: ReviewEvent, tools: ReviewTools, log: Log): Promise<void> {
  const github = tools.github.repository(event, { deliveryId: event.deliveryId, signal: tools.signal, records: [] });
  const permission = await readPermission({ github, operator: tools.operator }, event.actor.login);
  if (!maySteer(permission)) return log.info('review ignored: no write access');
  const resolved = await readRepositorySettings({ github, owner: event.repository.owner, operator: tools.operator });
  const settings = valuesOf(resolved);
  if (settings === null) {
    // Whoever asks by name is told.
    const values = event.instruction === null ? null : await readValues({ event, github, settings: resolved, tools });
    if (values !== null && 'refusal' in values && values.refusal !== null) await github.reply(event.number, values.refusal);
    return log.info('review ignored: the settings are broken, or say that nothing is done here');
  }
  if (!maySteer(permission, settings['triggers.permission'])) return log.info('review ignored: the settings ask for more than write access');
  if (isUnnamedBot(event.actor.login, settings, tools.operator)) return log.info('review ignored: the settings do not name this bot');
  const pull = await github.pulls.read(event.number);
  if (event.instruction === null && !(pull?.ours && pull.open)) return log.info('not an open pull request of ours');
  const why = whyNot(pull, { kind: 'revise' });
  if (pull === null || why !== null) return void (await github.reply(event.number, why ?? closedPullReply));
  const quietMs = settings['followUps.quietSeconds'] * 1000;
  if (event.kind === 'remark') return await collect(event, tools, quietMs);
  const threads = await github.pulls.threads(event.number);
  const mayWrite = async (login: string): Promise<boolean> => maySteer(await github.permission(login), settings['triggers.permission']);
  // On a person's pull request, what others said there is no business of ours.
  const waiting = await findWaiting(pull.ours ? threads : ofReview(threads, event.reviewId), { before: event.receivedAt, mayWrite });
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
  return valuesOf(await readRepositorySettings({ github, owner: event.repository.owner, operator }));
}

const valuesOf = (settings: Resolved): Values | null => ('effective' in settings && settings.effective.values.enabled ? settings.effective.values : null);

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

interface ReviewPlace {
  readonly pull: PullState;
  readonly waiting: readonly Waiting[];
  readonly github: GitHubRepository;
  readonly tools: ReviewTools;
  readonly values: Values;
  readonly log: Log;
}

/** One run for as many threads as a run takes; what is beyond gets a run of its own behind it. */
async function queueReview(event: ReviewEvent, place: ReviewPlace): Promise<void> {
  const { pull, waiting, github, tools, values, log } = place;
  const instruction = instructionOf(event, waiting);
  const keyOf = (part: number): string => (part === 1 ? event.key : `${event.key}-${part}`.slice(0, 200));
  let part = 1;
  while (await tools.queue.hasRun(keyOf(part))) part++;
  let rest = waiting;
  if (part > 1) {
    const taken = await takenBefore(event, place);
    await markTaken(taken, place);
    rest = waiting.filter((one) => !taken.includes(one));
  }
  if (rest.length === 0 && (part > 1 || instruction === null)) return log.info('the review asks for nothing, or has its run');
  if (rest.length > maxRequests) await github.reply(event.number, manyThreadsReply(event.actor.login, rest.length, maxRequests));
  do {
    const now = rest.slice(0, maxRequests);
    const work = { kind: 'revise' as const, instruction, requests: now.map(({ request }) => request) };
    const trigger = { kind: 'review' as const, reviewId: event.reviewId };
    await queueJob({ ...event, key: keyOf(part) }, { issue: pull, pull, work, trigger }, { ...tools, github, values, log });
    await markTaken(now, place);
    rest = rest.slice(maxRequests);
    part++;
  } while (rest.length > 0);
}

/** This event was taken in before, up to a run that is queued: what that run has, and is not marked yet. */
async function takenBefore(event: ReviewEvent, { waiting, tools }: ReviewPlace): Promise<readonly Waiting[]> {
  const work = await recallWork(tools.memory, subjectOf({ repository: event.repository, issue: event }));
  const latest = new Set(work?.kind === 'revise' ? work.requests.map(({ latestId }) => latestId) : []);
  return waiting.filter(({ request }) => latest.has(request.latestId));
}

/** Afterwards, because it also says that a run has taken the comments up. */
async function markTaken(taken: readonly Waiting[], { github, log }: ReviewPlace): Promise<void> {
  for (const { id } of taken.flatMap(({ comments }) => comments)) await reactIfTaken(github, log, { kind: 'review_comment', id }, 'eyes');
}

/** Words beside the lines count when they go with comments, or ask for changes by themselves. */
function instructionOf({ body, state, instruction }: ReviewEvent, waiting: readonly Waiting[]): string | null {
  if (instruction !== null) return instruction;
  const counts = state === 'changes_requested' || (waiting.length > 0 && state === 'commented');
  return counts && body.trim() !== '' ? body : null;
}
