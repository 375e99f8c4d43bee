/** Every sentence that a user of GitHub sees. Plain, short, readable on a phone; hostile text goes through neutral.ts. */
import { errorTable } from '../errors.ts';
import type { Budget, FixJob, FixOutcome, Limit, RefusalReason, StopReason } from '../job.ts';
import { proofSection, proofSentence } from './proof-text.ts';
import { inlineCode, neutralise, titleText } from './neutral.ts';
import type { ModelUse, RunReport } from './report.ts';

/** Hidden in the one living comment of an issue, so that it is found again after a crash. */
export const commentMarker = '<!-- mayfly:status -->';
/** Hidden in a pull request's body; the run finds its own pull request by it. */
export const runMarker = (runId: string): string => `<!-- mayfly:run ${runId} -->`;

const refusals: Record<RefusalReason, string> = {
  not_permitted: 'write access to this repository is needed to start a run.',
  issue_closed: 'the issue is closed or locked.',
  pull_request_open: 'there is already an open pull request for this issue. Review it, or close it and label the issue again.',
  settings_invalid: 'the settings file `.github/mayfly.yml` on the default branch is not valid.',
  regressed: 'tests that pass without the patch fail with it, so no pull request was opened.',
  patch_too_large: 'the patch is larger than this installation allows.',
  patch_protected_path: 'the patch touches a protected file.',
  patch_mode: 'the patch holds something else than plain files.',
  patch_path: 'the patch has a path that a repository should not hold.',
  patch_secret: 'the patch holds a secret.',
  stale_base: 'the branch has moved since the run began. Label the issue again.',
  daily_budget: 'a daily budget is spent, or set aside for runs that work now.',
};

const limits: Record<Limit, string> = {
  steps: 'the number of steps',
  tokens: 'the number of tokens',
  cost: 'the money for one run',
  time: 'the time for one run',
  malformed_calls: 'three calls in a row that could not be understood',
  daily_budget: 'what was left of a daily budget',
};

const stops: Record<StopReason, string> = {
  silent: 'The agent stopped without a change, and without handing anything in: three replies in a row asked for nothing to be done.',
  cut: 'The agent stopped before it was finished: three replies in a row were too long and were cut off.',
  refusal: 'The agent stopped before it was finished: the model refused to go on with this issue. Word the issue differently, or take another model.',
  loop: 'The agent stopped before it was finished: it went round in circles, with the same command again and again.',
};

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

/** One sentence for an outcome; complete by itself. */
export function sentence(outcome: FixOutcome): string {
  switch (outcome.kind) {
    case 'published':
      return `Draft pull request #${outcome.pullRequest.number} is ready for review.`;
    case 'patched':
      return 'The patch was written.';
    case 'no_change':
      return 'The run ended without a change: the agent found nothing to fix, or could not fix it.';
    case 'gave_up':
      if (outcome.budget) return `The run used up what was left of ${budgetName(outcome.budget)} before it was finished. ${budgetAdvice(outcome.budget)}`;
      return `The run reached a limit (${limits[outcome.limit]}) before it was finished.`;
    case 'stopped':
      return stops[outcome.reason];
    case 'refused':
      if (outcome.budget) return `Not done: ${budgetName(outcome.budget)} is spent, or set aside for runs that work now. ${budgetAdvice(outcome.budget)}`;
      return `Not done: ${refusals[outcome.reason]}${outcome.detail ? ` ${inlineCode(outcome.detail, 500)}` : ''}`;
    case 'cancelled':
      return 'The run was stopped before it was finished.';
    case 'failed':
      return errorTable[outcome.code].user + (errorTable[outcome.code].retry === 'later' ? ' It was tried several times.' : '');
  }
}

function budgetName({ scope, unit, limit }: Budget): string {
  const amount = unit === 'usd' ? `${limit} USD` : `${limit.toLocaleString('en')} tokens`;
  return `today's budget of this ${scope} (${amount})`;
}

function budgetAdvice({ scope, unit }: Budget): string {
  return `That budget begins anew at 00:00 UTC; label the issue again then. The operator sets it with \`MAYFLY_DAILY_${unit === 'usd' ? 'COST_USD' : 'TOKENS'}_PER_${scope.toUpperCase()}\`.`;
}

export function pullRequestTitle(job: Pick<FixJob, 'issue'>): string {
  return `Fix #${job.issue.number}: ${titleText(job.issue.title, 80)}`;
}

/** No model text: commit messages act (closing keywords, mentions, trailers). */
export function commitMessage(job: Pick<FixJob, 'issue' | 'actor'>, ci: 'hold' | 'run'): string {
  const trailers = [`Co-authored-by: ${job.actor.login} <${job.actor.id}+${job.actor.login}@users.noreply.github.com>`];
  // GitHub reads this trailer as "start no workflow": nothing that an agent wrote runs with secrets before a person looked.
  // It has to be the last one, and two empty lines have to come before the trailers:
  // https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
  if (ci === 'hold') trailers.push('skip-checks: true');
  return `Fix issue ${job.issue.number}\n\n\n${trailers.join('\n')}\n`;
}

export function pullRequestBody(job: Pick<FixJob, 'issue' | 'runId'>, report: RunReport, ci: 'hold' | 'run'): string {
  const lines = [runMarker(job.runId), `Closes #${job.issue.number}`, ''];
  if (report.summary !== '') lines.push('## What the agent says', '', neutralise(report.summary, 4000), '');
  lines.push('## What the host saw', '', proofSection(report.proof), '', ...notes(report));
  if (ci === 'hold') lines.push('Workflows have not run on this commit: read it first, then start them.', '');
  lines.push(...contextSection(report), spendSentence(report), ...refusedHosts(report), '', footer(job.runId));
  return lines.join('\n');
}

/** Folded: who could have put words into the agent's mouth. */
function contextSection({ context }: RunReport): readonly string[] {
  if (context.length === 0) return [];
  const rows = context.slice(0, 60).map(({ item, source, trust, characters, hidden }) => {
    return `| ${[inlineCode(item, 60), inlineCode(source, 120), trust, characters.toLocaleString('en'), hidden].join(' | ')} |`;
  });
  const head = ['| text | from | whose word | characters | hidden, left out |', '| --- | --- | --- | --- | --- |'];
  return ['<details><summary>What the agent was given to read</summary>', '', ...head, ...rows, '', '</details>', ''];
}

function spendSentence(report: RunReport): string {
  return `${spent(report)}.${report.models.length === 0 ? '' : ` ${modelSentence(report.models)}`}`;
}

/** `3 steps, 12,000 tokens, 0.20 USD`. */
export function spent({ steps, usage, costUsd }: Pick<RunReport, 'steps' | 'usage' | 'costUsd'>): string {
  const cost = costUsd === null ? 'price not known' : costUsd > 0 && costUsd < 0.01 ? 'under 0.01 USD' : `${costUsd.toFixed(2)} USD`;
  return `${steps} ${steps === 1 ? 'step' : 'steps'}, ${(usage.inputTokens + usage.outputTokens).toLocaleString('en')} tokens, ${cost}`;
}

/** Which model did what, and whose price it was. */
export function modelSentence(models: readonly ModelUse[], show: (name: string) => string = (name) => inlineCode(name, 220)): string {
  const [first, ...others] = models;
  if (first === undefined) return '';
  if (others.length === 0) return `Model: ${show(first.name)} (${first.price ?? 'its price is not known, so only tokens are counted'}).`;
  const parts = models.map((use) => `${show(use.name)} (${spent(use)}${use.price === null ? ', so only tokens are counted' : `; ${use.price}`})`);
  return `Models: ${parts.join(', then ')}, because the first one did not answer.`;
}

/** Facts of the host; the names in them (commands, paths) are not its own. */
function notes(report: RunReport): readonly string[] {
  return report.notes.length === 0 ? [] : [...report.notes.slice(0, 10).map((note) => `- ${neutralise(note, 600)}`), ''];
}

const quoted = (text: string, maxLength: number): string => neutralise(text, maxLength).replace(/^/gm, '> ');

function refusedHosts(report: RunReport): readonly string[] {
  const hosts = [...new Set(report.egress.filter((entry) => entry.decision === 'refused').map((entry) => entry.host))].slice(0, 20);
  return hosts.length === 0 ? [] : ['', `Hosts that were refused: ${hosts.map((host) => inlineCode(host, 100)).join(', ')}.`];
}

const footer = (runId: string): string => `<sub>run ${runId}</sub>`;
