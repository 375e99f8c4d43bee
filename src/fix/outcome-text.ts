/** How a run ended, in words that stand by themselves: for a comment, a terminal, a log. Hostile text goes through neutral.ts. */
import { errorTable } from '../errors.ts';
import type { Budget, FixOutcome, Limit, RefusalReason, StopReason } from '../job.ts';
import { inlineCode } from './neutral.ts';
import type { ModelUse, RunReport } from './report.ts';

const refusals: Record<RefusalReason, string> = {
  not_permitted: 'write access to this repository is needed to start a run.',
  issue_closed: 'the issue is closed or locked.',
  pull_request_open: 'there is already an open pull request for this issue. Review it, or close it and label the issue again.',
  settings_invalid: 'the settings file `.github/mayfly.yml` on the default branch is not valid.',
  disabled: 'the settings of this repository say `enabled: false`.',
  isolation: 'the settings ask for a stronger wall around the VM than this worker has.',
  image: 'no VM can be made of the image that the settings name (`sandbox.image`).',
  regressed: 'tests that pass without the patch fail with it, so no pull request was opened.',
  patch_too_large: 'the patch is larger than this installation allows.',
  patch_protected_path: 'the patch touches a protected file.',
  patch_mode: 'the patch holds something else than plain files.',
  patch_path: 'the patch has a path that a repository should not hold.',
  patch_secret: 'the patch holds a secret.',
  stale_base: 'somebody has moved the branch since this was asked for, so nothing was written over it. Comment `/agent retry` to start from what is there now.',
  held_moved: 'the branch with the work so far has changed, or is gone, so the run did not go on from it. Comment `/agent fix` to start anew.',
  pull_request_closed: 'the pull request is closed.',
  pull_request_fork: 'the pull request comes from a fork, and Mayfly writes to this repository only.',
  conflict_markers: 'conflicts are left in the files, so nothing was merged.',
  nothing_to_merge: 'the branch has all of its base already.',
  base_changed: 'the pull request got another base while the run worked, so the old one was not merged into it. Comment `/agent merge` to merge the new one.',
  checks_not_failing: 'no check of this commit fails now.',
  checks_not_ours: 'what still fails on this commit fails on the base as well, ended for a reason outside of the code, or has no log to read.',
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
  too_long:
    'The agent stopped before it was finished: the model does not read as much as the task and the work come to, even shortened. Shorten the issue, or take a model that reads more; the operator sets how much it is given with `MAYFLY_CONTEXT_TOKENS`.',
};

/** One sentence for an outcome; complete by itself. */
export function sentence(outcome: FixOutcome): string {
  switch (outcome.kind) {
    case 'published':
      return `${outcome.pullRequest.draft ? 'Draft pull request' : 'Pull request'} #${outcome.pullRequest.number} is ready for review.`;
    case 'pushed':
      return `Commit ${outcome.pullRequest.headSha.slice(0, 7)} is on the branch of pull request #${outcome.pullRequest.number}.${outcome.held ? ' Workflows have not run on it: read it first, then start them with a comment: `/agent ci`.' : ''}`;
    case 'patched':
      return 'The patch was written.';
    case 'no_change':
      if (outcome.resumed) return 'The run added nothing to the work so far, so no pull request was opened, and that work stays where it is.';
      return 'The run ended without a change: the agent found nothing to fix, or could not fix it.';
    case 'gave_up':
      if (outcome.budget) return `The run used up what was left of ${budgetName(outcome.budget)} before it was finished. ${budgetAdvice(outcome.budget)}`;
      return `The run reached a limit (${limits[outcome.limit]}) before it was finished.`;
    case 'stopped':
      return stops[outcome.reason];
    case 'refused':
      return `Not done: ${refusals[outcome.reason]}${outcome.detail ? ` ${inlineCode(outcome.detail, 500)}` : ''}`;
    case 'cancelled':
      return `The run was stopped${outcome.by === undefined ? '' : ` by ${inlineCode(outcome.by, 100)}`} before it was finished.`;
    case 'planned':
      return 'The plan waits for `/agent approve`.';
    case 'failed':
      return errorTable[outcome.code].user + (errorTable[outcome.code].retry === 'later' ? ' It was tried several times.' : '');
  }
}

function budgetName({ scope, unit, limit }: Budget): string {
  const amount = unit === 'usd' ? `${limit} USD` : `${limit.toLocaleString('en')} tokens`;
  return `today's budget of ${scope === 'user' ? 'the person who asked' : `this ${scope}`} (${amount})`;
}

function budgetAdvice({ scope, unit }: Budget): string {
  return `That budget begins anew at 00:00 UTC; comment \`/agent retry\` then. The operator sets it with \`MAYFLY_DAILY_${unit === 'usd' ? 'COST_USD' : 'TOKENS'}_PER_${scope.toUpperCase()}\`.`;
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
