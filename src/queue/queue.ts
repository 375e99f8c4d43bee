/** The port of the queue: intake events from the web role, runs for the workers. The only link between the two. */
import type { Budget, BudgetShare, FixJob } from '../job.ts';
import type { Log } from '../log.ts';

export interface IntakeQueue {
  /** Durable when it returns. Throws `redis_unavailable` after `deadlineMs`, whatever the Redis client does. */
  add(event: { readonly key: string; readonly deliveryId: string }, deadlineMs: number): Promise<'queued' | 'duplicate'>;
  /** Whether an event could be added now: Redis answers and takes writes. Throws `redis_unavailable` after `deadlineMs`. */
  check(deadlineMs: number): Promise<void>;
  close(): Promise<void>;
}

/** What a run is given beside its job. */
export interface RunContext {
  readonly attempt: number;
  readonly lastAttempt: boolean;
  /**
   * One per run. Its reason is a FixError: `cancelled` (details.reason says by what), `lock_lost` (another worker has the
   * run, or this one shuts down: throw it, say nothing), `run_lost` (aborted from the start: workers died of this run
   * twice, so all that is left to do is to tell).
   */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** True while this worker still owns the run: asked before each step of publishing. */
  ownsRun(): Promise<boolean>;
  /** Sets a share of the day's budgets aside for this run, or names the one that is spent. Throws `redis_unavailable`. */
  openBudget(wanted: { readonly costUsd: number | null; readonly tokens: number }): Promise<BudgetShare | { readonly reached: Budget }>;
}

export interface StoppedRun {
  readonly runId: string;
  /** True when no worker had it, so nobody else will say that it was stopped. */
  readonly waited: boolean;
}

export interface WorkerQueue {
  /** False when this trigger was queued before. */
  addRun(job: FixJob): Promise<boolean>;
  /** Brings an event back to intake after a time, once for its key, whatever ends in between. */
  later(event: { readonly key: string; readonly deliveryId: string }, delayMs: number): Promise<void>;
  /** Whether this trigger was queued before. */
  hasRun(key: string): Promise<boolean>;
  /** Stops what waits or runs for an issue, on whatever worker. What waits is gone in silence; what runs has its signal aborted. */
  cancelIssue(repositoryId: number, issue: number, reason: 'stop' | 'unlabeled' | 'closed'): Promise<readonly StoppedRun[]>;
  consume(handlers: {
    /** Parsed by the caller: it crossed a boundary. Throwing a FixError decides by its table row whether it is tried again. */
    readonly intake: (event: unknown, log: Log) => Promise<void>;
    readonly run: (job: FixJob, context: RunContext) => Promise<void>;
  }): Promise<void>;
  /** Takes nothing new, waits for what runs up to `graceMs`, then aborts it. */
  close(graceMs: number): Promise<void>;
}
