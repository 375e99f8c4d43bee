/**
 * The runs of this worker and the one signal of each. The signals are ours, not BullMQ's: those carry strings as reasons,
 * and nothing aborts them when a lock is lost.
 */
import type { FixError } from '../errors.ts';

export interface ActiveRuns {
  /** The signal of a run that is not here; the first reason that aborts it stays. */
  begin(jobId: string): AbortSignal;
  end(jobId: string): void;
  /** Resolves when an earlier attempt at this run, that this worker still has in hand, is over; null when there is none. */
  earlier(jobId: string): Promise<void> | null;
  abort(jobId: string, reason: FixError): void;
  /** Also every run that begins later. */
  abortAll(reason: FixError): void;
  /** Resolves when no run is left. */
  idle(): Promise<void>;
  ids(): string[];
}

interface Active {
  readonly controller: AbortController;
  readonly over: PromiseWithResolvers<void>;
}

export function createActiveRuns(): ActiveRuns {
  const runs = new Map<string, Active>();
  let reasonForAll: FixError | null = null;
  let waiting: (() => void)[] = [];
  return {
    begin(jobId) {
      const controller = new AbortController();
      runs.set(jobId, { controller, over: Promise.withResolvers() });
      if (reasonForAll) controller.abort(reasonForAll);
      return controller.signal;
    },
    end(jobId) {
      const run = runs.get(jobId);
      runs.delete(jobId);
      run?.over.resolve();
      if (runs.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    earlier: (jobId) => runs.get(jobId)?.over.promise ?? null,
    abort: (jobId, reason) => runs.get(jobId)?.controller.abort(reason),
    idle: () => (runs.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    abortAll(reason) {
      reasonForAll = reason;
      for (const { controller } of runs.values()) controller.abort(reason);
    },
    ids: () => [...runs.keys()],
  };
}
