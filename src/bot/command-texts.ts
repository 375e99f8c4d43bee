/** What is answered to a command. One sentence where one is enough; hostile text goes through neutral.ts. */
import { neutralise } from '../fix/neutral.ts';
import { spent } from '../fix/outcome-text.ts';
import type { Estimate } from './estimate.ts';
import type { KeptSpend } from './memory.ts';

export const helpReply = [
  'Comment one of these, at the beginning of a line:',
  '',
  '- `/agent` or `/agent fix`: work on this issue and open a draft pull request; so does the label',
  '- `/agent <instruction>`: the same with an instruction; while a run works, it is told to the agent',
  '- `/agent plan`: make a plan first; `/agent approve` carries it out',
  '- `/agent stop`: end the run and keep what it has done so far; `/agent resume` goes on from there',
  '- `/agent retry`: do the last thing again',
  '- `/agent status`: what waits or works here',
  '',
  'On a pull request of Mayfly: `/agent <instruction>` for one more commit, `/agent merge` to merge its base into it, `/agent ci` to start the workflows.',
].join('\n');

/** Why no run is started. */
export type NoStart =
  | { readonly why: 'closed' | 'locked' | 'too_short' | 'working' | 'waiting' }
  | { readonly why: 'pull_request_open'; readonly number: number }
  | { readonly why: 'no_plan' | 'newer_plan' | 'no_held' | 'no_job' };

export function noStartReply(login: string, reason: NoStart): string {
  return `@${login} Not started: ${sentenceOf(reason)}`;
}

function sentenceOf(reason: NoStart): string {
  switch (reason.why) {
    case 'closed':
      return 'the issue is closed. Open it again first.';
    case 'locked':
      return 'the conversation is locked. Unlock it first.';
    case 'too_short':
      return 'title and description together have fewer than 40 visible characters, which is too little to work on. Say what happens and what should happen instead.';
    case 'working':
      return 'a run works on this already. `/agent <message>` says something to it, `/agent stop` ends it.';
    case 'waiting':
      return 'a run waits for this already. `/agent <message>` adds to it, `/agent stop` takes it back.';
    case 'pull_request_open':
      return `pull request #${reason.number} of Mayfly for this issue is open. Comment \`/agent <instruction>\` there, or close it first.`;
    case 'no_plan':
      return 'there is no plan here to approve. `/agent plan` makes one.';
    case 'newer_plan':
      return 'the plan here was shown after you wrote that, so it is another one than you had read. Read it, and comment `/agent approve` again if it is right.';
    case 'no_held':
      return 'there is no unfinished work here to go on with. `/agent fix` starts anew.';
    case 'no_job':
      return 'nothing was asked for here in the last 30 days. `/agent fix` starts a run.';
  }
}

export const planOutdatedReply = (login: string): string =>
  `@${login} The issue has changed since the plan was made, so the approval does not hold. A new plan comes first.`;

export const onlyOnPulls = 'This belongs to a pull request of Mayfly: comment it there.';
export const onlyOnIssues = 'This belongs to an issue. On a pull request, `/agent <instruction>` says what to change.';

export const ciWhileWorking = 'Not released: a run works on this pull request, and a commit now would end it. Comment `/agent ci` again when it is done.';

export const nothingToStop = 'No run of this issue waits or works.';

export function notTold(login: string, why: 'full' | 'too_long'): string {
  const reason = why === 'full' ? 'the run has as many messages as it takes already' : 'it is longer than 16 KiB';
  return `@${login} Your message was not passed on: ${reason}.`;
}

/** For messages that came when the agent had taken its last step: they are kept. */
export function unheardReply(logins: readonly string[], { where, next }: { where: number | null; next: string }): string {
  const who = [...new Set(logins)].map((login) => `@${login}`).join(' ');
  return `${who} The run ended before its agent could read your last message. The next run ${where === null ? 'here' : `on #${where}`} begins with it: \`${next}\` starts one.`;
}

/** For one that came when nothing could be kept any more. */
export const tooLateReply = (login: string): string =>
  `@${login} The run has just ended, before its agent could read your message. Comment it again to start a new run with it.`;

/** What an agent planned, for a person to decide. */
export function planReply(plan: string, { login, estimate }: { login: string; estimate: Estimate | null }): string {
  return [
    `@${login} This is the plan. Nothing has been changed yet.`,
    '',
    neutralise(plan, 8000).replace(/^/gm, '> '),
    '',
    estimateSentence(estimate),
    '',
    'Comment `/agent approve` to have it carried out, or `/agent plan <what should be different>` for another one. The approval holds for this plan and for the issue as it reads now.',
  ].join('\n');
}

function estimateSentence(estimate: Estimate | null): string {
  if (estimate === null) return 'Estimate: none, because no run of this repository has ended yet.';
  return `Estimate, from the median of ${estimate.runs} earlier ${estimate.runs === 1 ? 'run' : 'runs'} of this repository: ${amounts(estimate)}.`;
}

function amounts({ minutes, tokens, costUsd }: Estimate): string {
  const cost = costUsd === null ? 'price not known' : `${costUsd.toFixed(2)} USD`;
  return `${Math.max(1, Math.round(minutes))} min, ${Math.round(tokens).toLocaleString('en')} tokens, ${cost}`;
}

/** What holds a run back, in words. */
const limitNames: Readonly<Record<string, string>> = {
  repository: 'runs at once in this repository',
  installation: 'runs at once in this organisation or account',
  total: 'runs at once on this Mayfly',
  user_hour: 'runs of one person in an hour',
  repository_day: 'runs of this repository in a day',
  daily_budget: "the day's budget",
  retry: 'a pause before it is tried again',
};

/** A run in the queue, as people are told of it. */
export interface PlaceOfRun {
  readonly runId: string;
  readonly state: 'waiting' | 'working';
  readonly place: number;
  readonly of: number;
  readonly heldBy: { readonly limit: string; readonly until?: Date } | null;
}

export interface StatusFacts {
  readonly estimate: Estimate | null;
  /** Of the run that works, as it last said. */
  readonly spend: KeptSpend | null;
  /** For the time since a run was asked for, which is in its id. */
  readonly now: number;
}

export function statusReply(places: readonly PlaceOfRun[], { estimate, spend, now }: StatusFacts): string {
  const lines = places
    .slice(0, 10)
    .map((place) => `- ${statusLine(place, spend)}, asked for ${minutesSince(place.runId, now)} ago <sub>run ${place.runId}</sub>`);
  if (lines.length === 0) lines.push('Nothing waits or works here. `/agent fix` starts a run.');
  if (estimate !== null) lines.push('', `Runs of this repository took ${amounts(estimate)} in the median.`);
  return lines.join('\n');
}

function statusLine({ runId, state, place, of, heldBy }: PlaceOfRun, spend: KeptSpend | null): string {
  if (state === 'working') return spend?.runId === runId ? `working, ${spent(spend)} so far` : 'working, nothing spent so far';
  const until = heldBy?.until ? ` until ${heldBy.until.toISOString().slice(0, 16).replace('T', ' ')} UTC` : '';
  return `waiting: place ${place} of ${of}${heldBy === null ? '' : `, held by ${limitNames[heldBy.limit] ?? 'a limit'}${until}`}`;
}

/** The time in a run's id is its last eight digits of base 36, which last for 89 years. */
function minutesSince(runId: string, now: number): string {
  const minutes = Math.max(0, Math.round((now - Number.parseInt(runId.slice(1, 9), 36)) / 60_000));
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
