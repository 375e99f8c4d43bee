/** What people read on an issue or a pull request. Plain, short, readable on a phone; hostile text goes through neutral.ts. */
import type { FixJob, FixOutcome } from '../job.ts';
import { fitText, folded } from '../fix/fit-text.ts';
import { inlineCode, neutralise } from '../fix/neutral.ts';
import { sentence } from '../fix/outcome-text.ts';
import { proofSection, proofSentence } from '../fix/proof-text.ts';
import type { RunReport } from '../fix/report.ts';
import { backgroundSections, refusedSection } from './background-texts.ts';
import { clock, duration } from './durations.ts';
import { footer, notes, settingsAdvice, spendSentence } from './report-texts.ts';
import { hiddenRuns, isLive } from './run-history.ts';
import type { RunEntry, RunState } from './run-history.ts';

/** Hidden in the one living comment of an issue, so that it is found again after a crash. */
export const commentMarker = '<!-- mayfly:status -->';

/** Where a run stands that waits, as the queue says it. */
export interface Waiting {
  /** From 1. */
  readonly place: number;
  /** How many wait. */
  readonly of: number;
  /** Null when it is about to start. */
  readonly heldBy: { readonly limit: keyof typeof holds; readonly until?: Date } | null;
}

const holds = {
  issue: 'another run works here',
  repository: 'this repository has as many runs at work as it may',
  installation: 'this account has as many runs at work as it may',
  total: 'every worker is busy',
  user_hour: 'the person who asked has begun as many runs in this hour as one person may',
  repository_day: 'this repository has begun as many runs today as it may',
  daily_budget: 'a daily budget is spent, or set aside for runs that work now',
  retry: 'the last attempt failed, and the next one begins soon',
  github: 'GitHub does not take more from here now; what is finished is kept, and goes on by itself',
};

/** The whole comment: the run that it is about, what else there is of this issue, and what the next writer has to know. */
export function livingComment(lines: readonly string[], own: RunEntry, runs: readonly RunEntry[], now: Date): string {
  const others = runs.filter(({ id }) => id !== own.id);
  const live = others.filter(isLive).map((run) => `Another run of this ${run.state === 'running' ? 'works' : 'waits'}: ${runName(run, now)}.`);
  const ended = others.filter((run) => !isLive(run)).map((run) => `- ${endedLine(run, now)}`);
  const count = ended.length === 1 ? 'One earlier run' : `${ended.length} earlier runs`;
  const parts = [...lines, '', ...live.flatMap((line) => [line, '']), ...folded(count, ended), footer(own.id), hiddenRuns(runs)];
  return fitText([commentMarker, ...parts]).replace(/\n{3,}/g, '\n\n');
}

const runName = ({ id, at }: RunEntry, now: Date): string => `${inlineCode(id)}, asked for at ${clock(new Date(at), now)}`;

function endedLine(run: RunEntry, now: Date): string {
  const facts = [run.pull === null ? '' : `#${run.pull}`, run.ms === null ? '' : duration(run.ms), run.costUsd === null ? '' : `${run.costUsd.toFixed(2)} USD`];
  return [`**${run.state}**`, ...facts.filter(Boolean), runName(run, now)].join(', ');
}

export function queuedLines(job: Pick<FixJob, 'actor'>, waiting: Waiting | null, now: Date): readonly string[] {
  return [`**Mayfly: queued.** ${waiting === null ? '' : waitingSentence(waiting, now)}${askedBy(job)} This comment follows the run.`];
}

function waitingSentence({ place, of, heldBy }: Waiting, now: Date): string {
  const where = `Place ${place} of ${of}. `;
  if (heldBy === null) return where;
  return `${where}It waits because ${holds[heldBy.limit]}${heldBy.until === undefined ? '' : `, until ${clock(heldBy.until, now)}`}. `;
}

const askedBy = ({ actor }: Pick<FixJob, 'actor'>): string => `Asked for by ${inlineCode(actor.login)}.`;

export function runningLines(job: Pick<FixJob, 'actor'>, checklist: readonly string[], elapsedMs: number): readonly string[] {
  const time = elapsedMs < 1000 ? '' : `${duration(elapsedMs)} so far. `;
  return [`**Mayfly: running.** ${time}${askedBy(job)} \`/agent stop\` ends it.`, '', ...checklist];
}

/** A run that ended before a worker had it, so that nobody else says it. */
export const stoppedLines: readonly string[] = [
  '**Mayfly: stopped.** It was still waiting, so nothing was done and nothing was spent. `/agent retry` starts anew.',
];

/** How it ended, what was seen, what it cost. */
export function doneLines(
  report: RunReport,
  outcome: FixOutcome,
  elapsedMs: number | null = null,
  job: Pick<FixJob, 'pull'> = { pull: null },
): readonly string[] {
  const branch = outcome.kind === 'published' ? ` Branch ${inlineCode(outcome.pullRequest.branch)}.` : '';
  const lines = [`**Mayfly: ${stateOf(outcome)}.** ${sentence(outcome)}${branch}`, ''];
  if (outcome.kind === 'no_change' && report.summary !== '') lines.push('What the agent says:', '', quoted(report.summary, 2000), '');
  if (report.heldBranch !== null)
    lines.push(
      `The work so far is on the branch ${inlineCode(report.heldBranch)}. No workflow has run on it.${job.pull === null ? ' `/agent resume` goes on from there.' : ''}`,
      '',
    );
  if (outcome.kind === 'refused' && outcome.reason === 'regressed') lines.push(...proofSection(report.proof));
  else if (report.proof) lines.push(proofSentence(report.proof), '');
  lines.push(...notes(report), `${elapsedMs === null ? '' : `${duration(elapsedMs)}, `}${spendSentence(report)}`, '');
  // Where there is a pull request, it says the rest.
  const background = outcome.kind === 'published' || outcome.kind === 'pushed' ? refusedSection(report) : backgroundSections(report);
  return [...lines, ...background, ...settingsAdvice(report, outcome)];
}

/** When nothing else of an ending may be shown. */
export const withheldLines: readonly string[] = [
  '**Mayfly: failed.** What the run had to say carried a secret of this installation, so it is not shown. The operator finds the run in the log.',
];

/** The short reply for endings without a pull request: edits notify nobody. What nobody asked for, and is not needed any more, calls nobody. */
export function endingReply({ actor, trigger }: Pick<FixJob, 'actor' | 'trigger'>, outcome: FixOutcome): string {
  return trigger.kind === 'event' && outcome.kind === 'refused' ? sentence(outcome) : `@${actor.login} ${sentence(outcome)}`;
}

export function stateOf(outcome: FixOutcome): RunState {
  const names: Record<FixOutcome['kind'], RunState> = {
    published: 'done',
    pushed: 'done',
    patched: 'done',
    no_change: 'no change',
    gave_up: 'gave up',
    stopped: 'gave up',
    refused: 'refused',
    cancelled: 'stopped',
    planned: 'waiting for you',
    failed: 'failed',
  };
  return names[outcome.kind];
}

const quoted = (text: string, maxLength: number): string => neutralise(text, maxLength).replace(/^/gm, '> ');
