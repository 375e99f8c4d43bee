/** The agent: a small linear loop. Asks the model, acts in the sandbox, until it submits or a limit ends it. */
import type { Limit, Usage } from '../job.ts';
import type { Log } from '../log.ts';
import type { Model } from '../model/model.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

export interface AgentLimits {
  readonly steps: number;
  readonly costUsd: number;
  readonly tokens: number;
  /** One bash command. */
  readonly commandTimeoutMs: number;
  /** Wall clock at which the agent is asked to wrap up, and at which it is stopped; counted from the start of solve. */
  readonly softTimeMs: number;
  readonly hardTimeMs: number;
}

export interface Task {
  readonly title: string;
  readonly body: string;
  /** What the commenter asked for beyond the issue, if anything. */
  readonly instruction: string | null;
  /** AGENTS.md or CLAUDE.md of the base commit, size-capped; lower trust than the operator's prompt. */
  readonly instructions: string | null;
  readonly testCommand: string | null;
  /** Hosts that the guest may reach in this phase. */
  readonly allowedHosts: readonly string[];
}

export interface Submission {
  readonly summary: string;
  readonly files: readonly string[];
  readonly commands: readonly string[];
}

export interface Attempt {
  readonly ended: { readonly kind: 'submitted'; readonly submission: Submission } | { readonly kind: 'stopped' } | { readonly kind: 'limit'; readonly limit: Limit };
  readonly steps: number;
  readonly usage: Usage;
  /** Null when the price of the model is not known. */
  readonly costUsd: number | null;
}

/** Appends one record to the transcript of the run; on disk before the next step begins. */
export interface Transcript {
  readonly file: string;
  write(record: Record<string, unknown>): Promise<void>;
}

export interface SolveOptions {
  readonly task: Task;
  readonly sandbox: Sandbox;
  readonly model: Model;
  readonly limits: AgentLimits;
  readonly transcript: Transcript;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** For people who watch: one short line per step. */
  readonly onStep?: (step: { readonly number: number; readonly line: string }) => void;
}
