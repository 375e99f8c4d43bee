/** A plan in words, which a person approves or not. Nothing is changed. */
import type { FixOutcome, Work } from '../job.ts';
import { FixError } from '../errors.ts';
import { planReply } from './command-texts.ts';
import { estimateFix } from './estimate.ts';
import { fixWork } from './fix-work.ts';
import { digestPlan, recallPlan, subjectOf } from './memory.ts';
import type { KeptPlan } from './memory.ts';
import type { JobContext, WorkKind } from './work.ts';

export const planWork: WorkKind = {
  ...fixWork,
  async check(context) {
    const found = await fixWork.check(context);
    if (found !== null) return found;
    // An earlier attempt ended between keeping and telling: a second plan would be another one.
    const kept = await recallPlan(context.tools.memory, subjectOf(context.job));
    return kept?.runId === context.job.runId ? await sayPlan(context, kept) : null;
  },
  async ask(context) {
    return { ...(await fixWork.ask(context)), planOnly: true };
  },
  deliver: () => Promise.reject(new FixError('internal', { details: { reason: 'a plan has no patch' } })),
};

/** Keeps the plan for the approval, then shows it. */
export async function presentPlan(context: JobContext, text: string): Promise<FixOutcome> {
  const { job, tools, finished } = context;
  const plan = text.trim();
  const instruction = instructionOf(job.work);
  const kept: KeptPlan = { digest: digestPlan(job.issue, { plan, instruction }), plan, instruction, runId: job.runId, commentId: null };
  await tools.memory.keep(subjectOf(job), 'plan', kept);
  finished.noteKept();
  return await sayPlan(context, kept);
}

async function sayPlan({ job, github, tools }: JobContext, kept: KeptPlan): Promise<FixOutcome> {
  // Shown by an earlier attempt: the estimate has changed since, and the same plan would be said twice.
  if (typeof kept.commentId === 'number') return { kind: 'planned' };
  const estimate = estimateFix(await tools.memory.past(job.repository.id));
  const { id: commentId } = await github.reply(job.issue.number, planReply(kept.plan, { login: job.actor.login, estimate }));
  await tools.memory.keep(subjectOf(job), 'plan', { ...kept, commentId } satisfies KeptPlan);
  return { kind: 'planned' };
}

const instructionOf = (work: Work): string | null => (work.kind === 'plan' ? work.instruction : null);
