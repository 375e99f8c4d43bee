/**
 * The runs of this worker and the one signal of each. The signals are ours, not BullMQ's: those carry strings as reasons,
 * and nothing aborts them when a lock is lost.
 */
import type { FixError } from '../errors.ts';

export interface ActiveRuns {
  /** The signal of a run; the first reason that aborts it stays. */
  begin(jobId: string): AbortSignal;
  end(jobId: string): void;
  abort(jobId: string, reason: FixError): void;
  /** Also every run that begins later. */
  abortAll(reason: FixError): void;
  /** Resolves when no run is left. */
  idle(): Promise<void>;
  ids(): string[];
}

export function createActiveRuns(): ActiveRuns {
  const controllers = new Map<string, AbortController>();
  let reasonForAll: FixError | null = null;
  let waiting: (() => void)[] = [];
  return {
    begin(jobId) {
      const controller = new AbortController();
      controllers.set(jobId, controller);
      if (reasonForAll) controller.abort(reasonForAll);
      return controller.signal;
    },
    end(jobId) {
      controllers.delete(jobId);
      if (controllers.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    abort: (jobId, reason) => controllers.get(jobId)?.abort(reason),
    idle: () => (controllers.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    abortAll(reason) {
      reasonForAll = reason;
      for (const controller of controllers.values()) controller.abort(reason);
    },
    ids: () => [...controllers.keys()],
  };
}
