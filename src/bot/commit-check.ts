/** The check run beside a commit: in progress while a run works on it, then the outcome. */
import { asFixError } from '../errors.ts';
import { sentence } from '../fix/outcome-text.ts';
import { proofCheck } from '../fix/proof-text.ts';
import type { CheckRequest } from '../github/github.ts';
import type { FixOutcome } from '../job.ts';
import { stateOf } from './comment-texts.ts';
import { spendSentence } from './report-texts.ts';
import type { TalkContext } from './work.ts';

/** Where a commit is there already: the head of a pull request. */
export async function beginCheck(context: TalkContext): Promise<void> {
  const { pull } = context.job;
  if (pull === null) return;
  await write(context, {
    headSha: pull.headSha,
    conclusion: null,
    title: 'Working',
    summary: 'Mayfly works on this commit. Its comment on the pull request follows the run.',
  });
}

/** A commit of ours: the proof is about it. */
export async function checkCommit(context: TalkContext, headSha: string): Promise<void> {
  const { proof } = context.report;
  if (proof !== null) await write(context, { headSha, ...proofCheck(proof) });
}

/** The commit that the run began with. It says how the run ended, and nothing about what that commit does: another one was proven. */
export async function endCheck(context: TalkContext, outcome: FixOutcome): Promise<void> {
  const { job, report } = context;
  if (job.pull === null || (outcome.kind === 'published' && outcome.pullRequest.headSha === job.pull.headSha)) return;
  const state = stateOf(outcome);
  const title = `${state[0]?.toUpperCase()}${state.slice(1)}`;
  const next = outcome.kind === 'published' ? `The work is in ${outcome.pullRequest.headSha}, with a check of its own.` : sentence(outcome);
  const conclusion = outcome.kind === 'cancelled' ? 'cancelled' : 'neutral';
  await write(context, { headSha: job.pull.headSha, conclusion, title, summary: `${next}\n\n${spendSentence(report)}` });
}

/** What is published stands whatever becomes of the check, also when the run is stopped here. */
async function write({ job, github, attempt }: TalkContext, check: Omit<CheckRequest, 'name' | 'externalId'>): Promise<void> {
  try {
    await github.check({ name: 'Mayfly proof', externalId: job.runId, ...check });
  } catch (thrown) {
    attempt.log.error({ err: asFixError(thrown) }, 'check could not be written');
  }
}
