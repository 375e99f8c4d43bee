/** Every state of the living comment, and the pull request, as Markdown. */
import { doneLines, livingComment, queuedLines, runningLines, stateOf, stoppedLines } from '../../src/bot/comment-texts.ts';
import { createProgress } from '../../src/bot/progress.ts';
import type { AgentMessage } from '../../src/bot/progress.ts';
import { pullRequestBody, pullRequestTitle } from '../../src/bot/pull-texts.ts';
import type { RunEntry } from '../../src/bot/run-history.ts';
import type { RunEvent } from '../../src/fix/report.ts';
import type { RunReport } from '../../src/fix/report.ts';
import { findTitleStyle } from '../../src/fix/title-style.ts';
import type { FixOutcome } from '../../src/job.ts';
import { eventsToAgent, eventsToProof, job, published, reports, template } from './reports.ts';

export interface Picture {
  readonly name: string;
  /** Above the text, as the title of a pull request. */
  readonly title?: string;
  readonly markdown: string;
  readonly unfolded?: boolean;
}

const now = new Date('2026-11-28T12:04:30.000Z');
const runEntry = (state: RunEntry['state'], more: Partial<RunEntry> = {}): RunEntry => ({
  id: job.runId,
  state,
  at: job.requestedAt,
  ms: null,
  pull: null,
  costUsd: null,
  ...more,
});
const earlier: readonly RunEntry[] = [
  runEntry('failed', { id: 'r0mgz2a00aaaaaaa', at: '2026-11-27T16:20:00.000Z', ms: 31_000, costUsd: 0 }),
  runEntry('gave up', { id: 'r0mgz1b00bbbbbbb', at: '2026-11-26T09:02:00.000Z', ms: 2_700_000, costUsd: 3.92 }),
];

const comment = (name: string, lines: readonly string[], own: RunEntry, others: readonly RunEntry[] = []): Picture => ({
  name,
  markdown: livingComment(lines, own, [own, ...others], now),
});

function running(name: string, events: readonly RunEvent[], elapsedMs: number, messages: readonly AgentMessage[] = []): Picture {
  const progress = createProgress('Draft pull request');
  for (const event of events) progress.event(event);
  for (const message of messages) progress.message(message);
  return comment(name, runningLines(job, progress.lines(), elapsedMs), runEntry('running'), messages.length > 0 ? earlier : []);
}

function done(name: string, report: RunReport, outcome: FixOutcome, others: readonly RunEntry[] = []): Picture {
  const ms = 214_000;
  return comment(name, doneLines(report, outcome, ms), runEntry(stateOf(outcome), { ms }), others);
}

const messages: readonly AgentMessage[] = [
  { id: '1', login: 'grace', text: 'also handle an empty title', givenAtStep: 5 },
  { id: '2', login: 'ada', text: 'keep the public signature as it is', givenAtStep: null },
];

const pull = (name: string, report: RunReport, subjects: readonly string[], more: { template?: typeof template; unfolded?: boolean } = {}): Picture => ({
  name,
  title: pullRequestTitle(job, report, findTitleStyle(subjects)),
  markdown: pullRequestBody(job, report, { ci: 'hold', template: more.template ?? null, signs: true }),
  unfolded: more.unfolded ?? false,
});

const sentences = ['Add a changelog', 'Drop Node 18', 'Explain the cache'];
const conventional = ['fix(slug): keep digits', 'feat: add a cache (#201)', 'chore: drop Node 18'];

export const pictures: readonly Picture[] = [
  comment('queued', queuedLines(job, { place: 3, of: 5, heldBy: { limit: 'repository' } }, now), runEntry('queued')),
  comment(
    'queued-until',
    queuedLines(job, { place: 1, of: 1, heldBy: { limit: 'repository_day', until: new Date('2026-11-29T00:00:00Z') } }, now),
    runEntry('queued'),
    earlier.slice(0, 1),
  ),
  running('running', eventsToAgent, 48_000),
  running('messages', eventsToAgent, 48_000, messages),
  running('proof', eventsToProof, 201_000),
  { ...done('done', reports.proven, published, earlier), unfolded: true },
  done('no-change', reports.noChange, { kind: 'no_change' }),
  done('gave-up', reports.gaveUp, { kind: 'gave_up', limit: 'steps' }),
  done('regressed', reports.regressed, { kind: 'refused', reason: 'regressed' }),
  { ...done('failed', reports.setupFailed, { kind: 'failed', code: 'setup_failed' }), unfolded: true },
  comment('stopped', stoppedLines, runEntry('stopped')),
  pull('pull-request', reports.proven, sentences),
  pull('pull-request-unfolded', reports.proven, sentences, { unfolded: true }),
  pull('pull-request-template', reports.proven, conventional, { template }),
  pull('pull-request-sensitive', reports.sensitive, conventional),
  pull('pull-request-unproven', reports.noTests, sentences, { unfolded: true }),
];
