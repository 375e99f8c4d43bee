/** Runs that wait learn in their living comments where they stand. */
import { asFixError } from '../errors.ts';
import type { GitHub } from '../github/github.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { Waiting } from './comment-texts.ts';
import { sayQueued } from './living-comment.ts';

/** A run that waits, as the queue tells it. */
interface WaitingRun {
  readonly place: Waiting & { readonly runId: string };
  /** Null when it is gone by now. */
  job(): Promise<FixJob | null>;
}

interface Told {
  /** What its comment says; null when that could not be written. */
  readonly news: string | null;
  /** When that was tried. */
  readonly turn: number;
}

/** Each edit is a handful of requests, and GitHub counts them: whoever is further back is told once, and of a new time. */
const nextPlaces = 10;
/** More than `nextPlaces`, so that all others have their turn, too. */
const maxEdits = 20;
const editMs = 60_000;

/**
 * One turn of telling: is given all that wait, in their order, and writes what their comments do not say yet, a bounded
 * number of them. What could not be written, or is left, has its turn later.
 */
export function createPlaceTeller({
  github,
  log,
  signal,
}: {
  github: GitHub;
  log: Log;
  signal: AbortSignal;
}): (waiting: readonly WaitingRun[]) => Promise<void> {
  let told = new Map<string, Told>();
  let turn = 0;
  const write = async ({ place, job: open }: WaitingRun): Promise<void> => {
    const job = await open();
    if (job === null) return;
    const during = AbortSignal.any([signal, AbortSignal.timeout(editMs)]);
    await sayQueued(github.repository(job, { deliveryId: job.deliveryId, signal: during, records: [] }), job, place);
  };
  const isWritten = async (run: WaitingRun): Promise<boolean> => {
    try {
      await write(run);
      return true;
    } catch (thrown) {
      const error = asFixError(thrown, 'github_unavailable');
      log.info({ err: error, runId: run.place.runId }, 'place could not be told');
      // An issue that was deleted or locked takes it no better the next time.
      return error.row.retry === 'never';
    }
  };
  return async (waiting) => {
    turn += 1;
    const ids = new Set(waiting.map(({ place }) => place.runId));
    told = new Map([...told].filter(([runId]) => ids.has(runId)));
    for (const run of choose(waiting, told)) {
      if (signal.aborted) return;
      told.set(run.place.runId, { news: (await isWritten(run)) ? newsOf(run) : null, turn });
    }
  };
}

/** Those that come next, then the others, the ones first that were tried longest ago. */
function choose(waiting: readonly WaitingRun[], told: ReadonlyMap<string, Told>): readonly WaitingRun[] {
  const since = (run: WaitingRun): number => (isNext(run) ? -1 : (told.get(run.place.runId)?.turn ?? 0));
  return waiting
    .filter((run) => !isStarting(run) && told.get(run.place.runId)?.news !== newsOf(run))
    .toSorted((one, other) => since(one) - since(other))
    .slice(0, maxEdits);
}

const isStarting = ({ place }: WaitingRun): boolean => place.place === 1 && place.heldBy === null;
const isNext = ({ place }: WaitingRun): boolean => place.place <= nextPlaces;

/** What is worth an edit when it changes. How many wait behind it is not. */
function newsOf(run: WaitingRun): string {
  const { place, heldBy } = run.place;
  return JSON.stringify(isNext(run) ? [place, heldBy] : [heldBy?.until ?? null]);
}
