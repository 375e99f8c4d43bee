/** What people read on an issue or a pull request. Plain, short, readable on a phone; hostile text goes through neutral.ts. */
import type { FixJob, FixOutcome } from '../job.ts';
import { inlineCode, neutralise } from '../fix/neutral.ts';
import { sentence } from '../fix/outcome-text.ts';
import { proofSection, proofSentence } from '../fix/proof-text.ts';
import type { RunReport } from '../fix/report.ts';
import { footer, notes, refusedHosts, spendSentence } from './report-texts.ts';

/** Hidden in the one living comment of an issue, so that it is found again after a crash. */
export const commentMarker = '<!-- mayfly:status -->';

export function queuedComment(job: Pick<FixJob, 'actor' | 'runId'>): string {
  return [commentMarker, `**Mayfly: queued.** Asked for by ${inlineCode(job.actor.login)}. This comment follows the run.`, '', footer(job.runId)].join('\n');
}

export function runningComment(job: Pick<FixJob, 'runId'>): string {
  return [
    commentMarker,
    '**Mayfly: running.** A clean micro-VM works on this issue. A draft pull request follows, or one sentence that says why not.',
    '',
    footer(job.runId),
  ].join('\n');
}

export function stoppedComment(runIds: readonly string[]): string {
  return [commentMarker, '**Mayfly: stopped.** Label the issue again to start anew.', '', ...runIds.map(footer)].join('\n');
}

/** How it ended, what was seen, what it cost. */
export function doneComment(report: RunReport, outcome: FixOutcome): string {
  const lines = [commentMarker, `**Mayfly: ${headline(outcome)}** ${sentence(outcome)}`, ''];
  if (outcome.kind === 'no_change' && report.summary !== '') lines.push('What the agent says:', '', quoted(report.summary, 2000), '');
  if (report.heldBranch !== null) lines.push(`The work so far is on the branch ${inlineCode(report.heldBranch)}. No workflow has run on it.`, '');
  if (outcome.kind === 'refused' && outcome.reason === 'regressed') lines.push(proofSection(report.proof), '');
  else if (report.proof) lines.push(`Proof: ${proofSentence(report.proof)}`, '');
  lines.push(...notes(report), spendSentence(report), ...refusedHosts(report), '', footer(report.runId));
  return lines.join('\n');
}

/** The short reply for endings without a pull request: edits notify nobody. */
export function endingReply(job: Pick<FixJob, 'actor'>, outcome: FixOutcome): string {
  return `@${job.actor.login} ${sentence(outcome)}`;
}

export const helpReply = [
  'Mayfly works on an issue in a throwaway micro-VM and opens a draft pull request.',
  '',
  '- label the issue, or comment `/agent fix`, to start',
  '- `/agent <instruction>` starts with an instruction of your own',
  '- `/agent stop` ends the run',
].join('\n');

function headline(outcome: FixOutcome): string {
  const names: Record<FixOutcome['kind'], string> = {
    published: 'done.',
    pushed: 'done.',
    patched: 'done.',
    no_change: 'no change.',
    gave_up: 'gave up.',
    stopped: 'gave up.',
    refused: 'refused.',
    cancelled: 'stopped.',
    failed: 'failed.',
  };
  return names[outcome.kind];
}

const quoted = (text: string, maxLength: number): string => neutralise(text, maxLength).replace(/^/gm, '> ');
