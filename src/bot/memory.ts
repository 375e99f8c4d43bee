/** What is known of an issue and its repository beyond one run: for retry, resume, approve and estimates. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Sha, Work } from '../job.ts';
import type { FixJob, FixOutcome } from '../job.ts';
import type { RunReport } from '../fix/report.ts';
import type { PersonMessage } from './message-desk.ts';

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

/**
 * `job`: what was asked last. `held`: where unfinished work lies. `plan`: what waits for approval. `unheard`: what people
 * said to a run that did not read it. `spend`: what the run that works has used so far. `repairs`: which failed checks had
 * their run. `stopped`: when somebody said stop.
 */
export type KeptName = 'job' | 'held' | 'plan' | 'unheard' | 'spend' | 'repairs' | 'stopped';

export interface Memory {
  /** Over the one before. */
  keep(subject: Subject, name: KeptName, value: unknown): Promise<void>;
  /** Null when there is none, or it was not kept by us. */
  recall(subject: Subject, name: KeptName): Promise<unknown>;
  remember(repositoryId: number, run: PastRun): Promise<void>;
  /** The newest first. */
  past(repositoryId: number): Promise<readonly PastRun[]>;
}

/** Where the unfinished work of an issue lies, and what had been asked for. */
const Held = z.object({
  branch: z.string().max(255),
  headSha: Sha,
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
  /** The comment that shows it; null before it is shown. Nothing, of a version that did not note it. */
  commentId: z.number().int().nullable().optional(),
});
export type KeptPlan = z.infer<typeof KeptPlan>;

const Unheard = z.array(z.object({ id: z.number().int(), login: z.string().max(100), text: z.string().max(65_536) })).max(60);

/** Which failed checks of the head of a pull request had a run. */
const KeptRepairs = z.object({ headSha: z.string().max(40), runs: z.number().int().min(0), checks: z.array(z.number().int()).max(100) });
export type KeptRepairs = z.infer<typeof KeptRepairs>;

/** So far, of the run that works. */
const KeptSpend = z.object({
  runId: z.string().max(20),
  steps: z.number().int(),
  usage: z.object({ inputTokens: z.number(), outputTokens: z.number(), cachedInputTokens: z.number() }),
  costUsd: z.number().nullable(),
});
export type KeptSpend = z.infer<typeof KeptSpend>;

export const subjectOf = ({ repository, issue }: Pick<FixJob, 'repository'> & { readonly issue: { readonly number: number } }): Subject => {
  return { repositoryId: repository.id, issue: issue.number };
};

export async function recallHeld(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<Held | null> {
  return Held.safeParse(await memory.recall(subject, 'held')).data ?? null;
}

export async function recallPlan(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<KeptPlan | null> {
  return KeptPlan.safeParse(await memory.recall(subject, 'plan')).data ?? null;
}

/** Null for another commit than the head. */
export async function recallRepairs(memory: Pick<Memory, 'recall'>, subject: Subject, headSha: string): Promise<KeptRepairs | null> {
  const kept = KeptRepairs.safeParse(await memory.recall(subject, 'repairs')).data ?? null;
  return kept?.headSha === headSha ? kept : null;
}

export async function recallUnheard(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<readonly PersonMessage[]> {
  return Unheard.safeParse(await memory.recall(subject, 'unheard')).data ?? [];
}

export async function recallSpend(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<KeptSpend | null> {
  return KeptSpend.safeParse(await memory.recall(subject, 'spend')).data ?? null;
}

const KeptStop = z.object({ at: z.iso.datetime() });

/** When somebody said stop here; null when nobody did lately. */
export async function recallStop(memory: Pick<Memory, 'recall'>, subject: Subject): Promise<string | null> {
  return KeptStop.safeParse(await memory.recall(subject, 'stopped')).data?.at ?? null;
}

/** The last one counts, in whatever order they are taken in. */
export async function noteStop(memory: Pick<Memory, 'keep' | 'recall'>, subject: Subject, at: string): Promise<void> {
  const before = await recallStop(memory, subject);
  if (before === null || before < at) await memory.keep(subject, 'stopped', { at } satisfies z.infer<typeof KeptStop>);
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
