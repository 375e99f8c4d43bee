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
  abortAll(reason: FixError): void;
  ids(): string[];
}

export function createActiveRuns(): ActiveRuns {
  const controllers = new Map<string, AbortController>();
  return {
    begin(jobId) {
      const controller = new AbortController();
      controllers.set(jobId, controller);
      return controller.signal;
    },
    end: (jobId) => void controllers.delete(jobId),
    abort: (jobId, reason) => controllers.get(jobId)?.abort(reason),
    abortAll(reason) {
      for (const controller of controllers.values()) controller.abort(reason);
    },
    ids: () => [...controllers.keys()],
  };
}
