/** What a run leaves for people and programs to read: filled in as the run goes, whole even when it fails half-way. */
import type { Reply } from '../agent/submission.ts';
import type { Spend } from '../agent/spend.ts';
import type { SeenText } from '../agent/task.ts';
import type { TokenRecord } from '../github/github.ts';
import type { FixOutcome, Patch, Proof, TestRun, Usage } from '../job.ts';
import type { SandboxInfo } from '../sandbox/sandbox.ts';
import type { Grant } from './capabilities.ts';
import type { EgressEntry } from './egress.ts';
import type { SensitivePath } from './sensitive.ts';

/** What a run had from a repository template. */
export interface TemplateUse {
  /** The commit whose setup it was. */
  readonly commit: string;
  /** Its commands ran again on top of it. */
  readonly again: boolean;
  /** From boot to ready. */
  readonly readyMs: number;
  /** The same, of the run that had no template. */
  readonly wholeMs: number;
}

export type Phase = 'fetch' | 'image' | 'boot' | 'clone' | 'setup' | 'tests' | 'solve' | 'patch' | 'prove' | 'publish' | 'discard';

/** What an onlooker is told while a run goes on. Texts from the agent are hostile: whoever shows them makes them safe. */
export type RunEvent =
  | { readonly kind: 'started'; readonly phase: Phase; readonly vm?: string }
  | { readonly kind: 'done'; readonly phase: Phase; readonly durationMs: number; readonly failed: boolean; readonly vm?: string }
  /** The patch goes back to the agent. */
  | { readonly kind: 'round'; readonly number: number; readonly of: number }
  | { readonly kind: 'tested'; readonly tree: string; readonly run: TestRun }
  | { readonly kind: 'proved'; readonly proof: Proof }
  | { readonly kind: 'step'; readonly number: number; readonly line: string };

/** What one model gave to a run. */
export interface ModelUse {
  readonly name: string;
  /** Where its price comes from, in words; null when it is not known. */
  readonly price: string | null;
  steps: number;
  usage: Usage;
  /** Null when the price is not known. */
  costUsd: number | null;
}

export type Timings = Partial<Record<Phase, number>>;

export interface RunReport {
  readonly runId: string;
  outcome: FixOutcome | null;
  /** Kept also when a limit or a refusal ended the run. */
  patch: Patch | null;
  /** What of it a person should look at first. */
  sensitive: readonly SensitivePath[];
  /** Where unfinished work is kept; null when there is none, or it is in a pull request. */
  heldBranch: string | null;
  /** What the run may do, and by whose word; empty until that is decided. */
  grants: readonly Grant[];
  /** Every text that the agent was given, and whose word it is. */
  context: readonly SeenText[];
  /** The agent's words. Hostile. */
  summary: string;
  /** The agent claims that the change does all that was asked for. */
  resolves: boolean;
  /** Its answers to the comments of a review. Hostile. */
  replies: readonly Reply[];
  proof: Proof | null;
  /** What earlier attempts at this run have used; the next three have it in them. */
  earlier: Spend | null;
  steps: number;
  usage: Usage;
  /** What is known of it: null when nothing is, because the price of no model that answered is known. */
  costUsd: number | null;
  /** The models that worked, in the order in which they began: more than one when a fallback had to go on. */
  readonly models: ModelUse[];
  sandbox: SandboxInfo | null;
  /** Why that provider: half a sentence that follows "because". */
  providerReason: string;
  /** The setup that the agent's VM began with; null when it had its own. */
  template: TemplateUse | null;
  /** Version of Node in the first VM. */
  node: string | null;
  /** Setup steps that ran, and what could not be done; facts of the host, in words. */
  readonly notes: string[];
  readonly egress: EgressEntry[];
  readonly tokens: TokenRecord[];
  /** Names of what a VM left behind on the host. Empty, or something is wrong. */
  readonly leftovers: string[];
  /** Over all VMs. */
  readonly timingsMs: Timings;
  /** The same for each VM by itself, in their order. */
  readonly vms: { readonly id: string; readonly timingsMs: Timings }[];
  transcriptFile: string | null;
}

export function createReport(runId: string): RunReport {
  return {
    runId,
    outcome: null,
    patch: null,
    sensitive: [],
    heldBranch: null,
    grants: [],
    context: [],
    summary: '',
    resolves: false,
    replies: [],
    proof: null,
    earlier: null,
    steps: 0,
    usage: { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 },
    costUsd: 0,
    models: [],
    sandbox: null,
    providerReason: '',
    template: null,
    node: null,
    notes: [],
    egress: [],
    tokens: [],
    leftovers: [],
    timingsMs: {},
    vms: [],
    transcriptFile: null,
  };
}

/** What an onlooker has to hear who comes when all the work is done. */
export function eventsOf({ timingsMs, steps, proof }: RunReport): readonly RunEvent[] {
  const done = Object.entries(timingsMs) as [Phase, number][];
  return [
    ...done.filter(([phase]) => phase !== 'publish').map(([phase, durationMs]): RunEvent => ({ kind: 'done', phase, durationMs, failed: false })),
    { kind: 'step', number: steps, line: '' },
    ...(proof === null ? [] : [{ kind: 'proved' as const, proof }]),
  ];
}

/** Runs one phase: its time is added to the report, the onlooker hears of its start and end. */
export type Timer = <T>(phase: Phase, work: () => Promise<T>) => Promise<T>;

/** `vm` is the suffix of a VM's id, for what happens in one. */
export function createTimer({ report, onEvent }: { report: RunReport; onEvent: (event: RunEvent) => void }, vm: string | null = null): Timer {
  const own: Timings = {};
  if (vm !== null) report.vms.push({ id: vm, timingsMs: own });
  const where = vm === null ? {} : { vm };
  return async (phase, work) => {
    const start = performance.now();
    onEvent({ kind: 'started', phase, ...where });
    let failed = true;
    try {
      const result = await work();
      failed = false;
      return result;
    } finally {
      const durationMs = Math.round(performance.now() - start);
      for (const timings of [report.timingsMs, own]) timings[phase] = (timings[phase] ?? 0) + durationMs;
      onEvent({ kind: 'done', phase, durationMs, failed, ...where });
    }
  };
}
