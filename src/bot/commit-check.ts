/**
 * The check runs beside a commit: what was proven of it, and, on the head of a pull request, the run that works on it.
 * Two names, because GitHub shows the newest check of each: a run that comes to nothing must not hide the proof.
 */
import { asFixError } from '../errors.ts';
import { sentence } from '../fix/outcome-text.ts';
import { proofCheck } from '../fix/proof-text.ts';
import type { CheckRequest } from '../github/github.ts';
import type { FixOutcome } from '../job.ts';
import { stateOf } from './comment-texts.ts';
import { spendSentence } from './report-texts.ts';
import type { TalkContext } from './work.ts';

const proofName = 'Mayfly proof';
const runName = 'Mayfly run';

/** Where a commit is there already: the head of a pull request. */
export async function beginCheck(context: TalkContext): Promise<void> {
  const { pull } = context.job;
  if (pull === null) return;
  await write(context, {
    name: runName,
    headSha: pull.headSha,
    conclusion: null,
    title: 'Working',
    summary: 'Mayfly works on this commit. Its comment on the pull request follows the run.',
  });
}

/** A commit of ours: the proof is about it. */
export async function checkCommit(context: TalkContext, headSha: string): Promise<void> {
  const { proof } = context.report;
  if (proof !== null) await write(context, { name: proofName, headSha, ...proofCheck(proof) });
}

/** The commit that the run began with. It says how the run ended, and nothing about what that commit does: another one was proven. */
export async function endCheck(context: TalkContext, outcome: FixOutcome): Promise<void> {
  const { job, report } = context;
  if (job.pull === null || (outcome.kind === 'published' && outcome.pullRequest.headSha === job.pull.headSha)) return;
  const state = stateOf(outcome);
  const title = `${state[0]?.toUpperCase()}${state.slice(1)}`;
  const next = outcome.kind === 'published' ? `The work is in ${outcome.pullRequest.headSha}, with a check of its own.` : sentence(outcome);
  const conclusion = outcome.kind === 'cancelled' ? 'cancelled' : 'neutral';
  await write(context, { name: runName, headSha: job.pull.headSha, conclusion, title, summary: `${next}\n\n${spendSentence(report)}` });
}

/** What is published stands whatever becomes of the check, also when the run is stopped here. */
async function write({ job, github, attempt }: TalkContext, check: Omit<CheckRequest, 'externalId'>): Promise<void> {
  try {
    await github.check({ externalId: job.runId, ...check });
  } catch (thrown) {
    attempt.log.error({ err: asFixError(thrown) }, 'check could not be written');
  }
}
