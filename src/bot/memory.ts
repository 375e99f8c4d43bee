/** What is known of an issue and its repository beyond one run: for retry, resume, approve and estimates. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Work } from '../job.ts';
import type { FixJob, FixOutcome } from '../job.ts';
import type { RunReport } from '../fix/report.ts';

/** An issue or a pull request: they share their numbers. */
export interface Subject {
  readonly repositoryId: number;
  readonly issue: number;
}

/** What a run was like. */
export interface PastRun {
  readonly runId: string;
  readonly issue: number;
  readonly kind: string;
  readonly outcome: string;
  readonly minutes: number;
  readonly steps: number;
  readonly tokens: number;
  /** Null when the price of the model is not known. */
  readonly costUsd: number | null;
  readonly at: string;
}

export interface Memory {
  /** Over the one before. */
  keep(subject: Subject, name: 'job' | 'held' | 'plan', value: unknown): Promise<void>;
  /** Null when there is none, or it was not kept by us. */
  recall(subject: Subject, name: 'job' | 'held' | 'plan'): Promise<unknown>;
  remember(repositoryId: number, run: PastRun): Promise<void>;
  /** The newest first. */
  past(repositoryId: number): Promise<readonly PastRun[]>;
}

/** Where the unfinished work of an issue lies, and what had been asked for. */
const Held = z.object({
  branch: z.string().max(255),
  headSha: z.string().regex(/^[0-9a-f]{40}$/),
  instruction: z.string().max(65_536).nullable(),
  plan: z.string().max(16_384).nullable(),
});
export type Held = z.infer<typeof Held>;

/** A plan that waits for approval. */
const KeptPlan = z.object({
  digest: z.string().length(64),
  plan: z.string().min(1).max(16_384),
  instruction: z.string().max(65_536).nullable(),
  /** That made it. */
  runId: z.string().max(20).default(''),
});
export type KeptPlan = z.infer<typeof KeptPlan>;

export const subjectOf = ({ repository, issue }: Pick<FixJob, 'repository'> & { readonly issue: { readonly number: number } }): Subject => {
  return { repositoryId: repository.id, issue: issue.number };
};

export async function recallHeld(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<Held | null> {
  return Held.safeParse(await memory.recall(subject, 'held')).data ?? null;
}

export async function recallPlan(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<KeptPlan | null> {
  return KeptPlan.safeParse(await memory.recall(subject, 'plan')).data ?? null;
}

/** What was asked last. */
export async function recallWork(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<Work | null> {
  return Work.safeParse(await memory.recall(subject, 'job')).data ?? null;
}

/** What an approval is for: these words of the plan, for these words of the issue. */
export function digestPlan(issue: { readonly title: string; readonly body: string }, { plan, instruction }: Pick<KeptPlan, 'plan' | 'instruction'>): string {
  return createHash('sha256')
    .update(JSON.stringify([issue.title, issue.body, instruction, plan]))
    .digest('hex');
}

export function summariseRun(job: FixJob, { report, outcome, startedAt }: { report: RunReport; outcome: FixOutcome; startedAt: number }): PastRun {
  const { steps, usage, costUsd } = report;
  return {
    runId: job.runId,
    issue: job.issue.number,
    kind: job.work.kind,
    outcome: outcome.kind,
    minutes: Math.round((Date.now() - startedAt) / 6000) / 10,
    steps,
    tokens: usage.inputTokens + usage.outputTokens,
    costUsd,
    at: new Date().toISOString(),
  };
}
