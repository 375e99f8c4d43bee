/** Runs that wait learn in their living comments where they stand. */
import { asFixError } from '../errors.ts';
import type { GitHub } from '../github/github.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { Waiting } from './comment-texts.ts';
import { sayQueued } from './living-comment.ts';

/** The run of a place, as the queue tells that it changed. */
interface Change {
  readonly place: Waiting;
  /** Null when it is gone by now. */
  job(): Promise<FixJob | null>;
}

/** Each edit is a handful of requests, and GitHub counts them: of a thousand that wait, only those that come next, or wait for a time, are told. */
const toldPlaces = 10;
const maxEdits = 20;
const editMs = 60_000;

export async function tellPlaces(changes: readonly Change[], { github, log, signal }: { github: GitHub; log: Log; signal: AbortSignal }): Promise<void> {
  const worth = changes.filter(({ place }) => place.heldBy !== null || place.place > 1).filter(({ place }) => place.place <= toldPlaces || place.heldBy?.until);
  for (const { place, job: open } of worth.slice(0, maxEdits)) {
    if (signal.aborted) return;
    const job = await open();
    if (job === null) continue;
    const during = AbortSignal.any([signal, AbortSignal.timeout(editMs)]);
    const repository = github.repository(job, { deliveryId: job.deliveryId, signal: during, records: [] });
    await sayQueued(repository, job, place).catch((thrown: unknown) => log.info({ err: asFixError(thrown), runId: job.runId }, 'place could not be told'));
  }
}
