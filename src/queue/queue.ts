/** The port of the queue: intake events from the web role, runs for the workers. The only link between the two. */
import type { BudgetShare, FixJob, FixOutcome } from '../job.ts';
import type { Log } from '../log.ts';
import type { RunSummary } from './history.ts';
import type { Message } from './inbox.ts';
import type { Keepsakes } from './keepsakes.ts';
import type { RunLimits } from './open-run.ts';
import type { WaitingRun } from './place-book.ts';
import type { Place } from './places.ts';
import type { Subject } from './subjects.ts';
import type { InTurn } from './turns.ts';
import type { Vault } from './vault.ts';

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
   * Whether `github_unavailable` with `details.waits` puts the run off without counting an attempt: to be thrown when
   * the next one pays for nothing again. `details.waitMs` is how long GitHub wants it to be.
   */
  readonly canWait: boolean;
  /**
   * One per run. Its reason is a FixError: `cancelled` (details.reason says by what, details.login by whom), `lock_lost`
   * (another worker has the run, or this one shuts down: throw it, say nothing), `run_lost` (aborted from the start:
   * workers died of this run twice, so all that is left to do is to tell).
   */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** True while this worker still owns the run: asked before each step of publishing. */
  ownsRun(): Promise<boolean>;
  /**
   * Sets a share of the day's budgets aside for this run. Throws `redis_unavailable`, and `over_limit` when nothing is
   * left: throw that on and say nothing, for the run waits until there is.
   */
  openBudget(wanted: { readonly costUsd: number | null; readonly tokens: number; readonly costUsdPerDay?: number }): Promise<BudgetShare>;
  /** What people said to this run since the last call; the first call of an attempt has all of it. Never throws. */
  takeMessages(): Promise<readonly Message[]>;
  /** Nothing can be said to this run any more; `takeMessages` has what was said until now. Never throws. */
  closeMessages(): Promise<void>;
}

export interface StoppedRun {
  readonly runId: string;
  /** True when no worker had it, so nobody else will say that it was stopped. */
  readonly waited: boolean;
}

export interface StoppedBy {
  /** The person who said it. */
  readonly login?: string;
  /** That it came with: told again, it stops the same runs, and it stops none that was asked for later. */
  readonly event?: { readonly key: string; readonly receivedAt: string };
}

export interface WorkerQueue {
  /** What has to be known of an issue later. */
  readonly keepsakes: Keepsakes;
  /** For what runs have finished and could not publish yet. */
  readonly vault: Vault;
  /** False when this trigger was queued before. The limits narrow the operator's; what is over one waits. */
  addRun(job: FixJob, limits?: RunLimits): Promise<boolean>;
  /** Brings an event back to intake after a time, once for its key, whatever ends in between. */
  later(event: { readonly key: string; readonly deliveryId: string }, delayMs: number): Promise<void>;
  /** Whether this trigger was queued before. */
  hasRun(key: string): Promise<boolean>;
  /** Stops what waits or runs for an issue, on whatever worker. What waits is gone in silence; what runs has its signal aborted. */
  cancelIssue(repositoryId: number, issue: number, reason: 'stop' | 'unlabeled' | 'closed', by?: StoppedBy): Promise<readonly StoppedRun[]>;
  /** What waits or works for an issue, the one that works first. */
  find(subject: Subject): Promise<readonly Place[]>;
  /** Hands a message to the run that works on an issue, or to the first that waits for it. Told twice, it is heard once. `closed`: that run is at its end. */
  tell(subject: Subject, message: Message): Promise<'working' | 'waiting' | 'none' | 'full' | 'too_long' | 'closed'>;
  /** Of all workers, one at a time does work of that name. */
  readonly inTurn: InTurn;
  /**
   * Calls back with all that wait, in their order, on one worker of all; with none on the others. Default: every 2 s,
   * and not before the call before has settled. Ends with `close`.
   */
  onPlaces(callback: (waiting: readonly WaitingRun[]) => Promise<void>, everyMs?: number): void;
  /** Keeps what a run was like, for `past`: the last 50 of each repository. */
  remember(repositoryId: number, summary: RunSummary): Promise<void>;
  /** The newest first. */
  past(repositoryId: number): Promise<readonly RunSummary[]>;
  consume(handlers: {
    /** Parsed by the caller: it crossed a boundary. Throwing a FixError decides by its table row whether it is tried again. */
    readonly intake: (event: unknown, log: Log) => Promise<void>;
    /** An outcome that is a failure of ours, and an error that is one, is not counted against limits and budgets. */
    readonly run: (job: FixJob, context: RunContext) => Promise<FixOutcome | void>;
  }): Promise<void>;
  /** Takes nothing new, waits for what runs up to `graceMs`, then aborts it. */
  close(graceMs: number): Promise<void>;
}
