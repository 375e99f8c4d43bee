/** The places of all that waits: worked out when something changed, and told on one worker, which tells people. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { Lane } from './lane.ts';
import { openRun } from './open-run.ts';
import type { AllLimits } from './open-run.ts';
import { placesOf } from './places.ts';
import type { Place } from './places.ts';
import type { Ring } from './ring.ts';

/** Slots are taken and locks come without a change of the version. */
const freshMs = 5_000;
const tellerMs = 15_000;

export interface WaitingRun {
  readonly place: Place;
  /** Null when it is gone by now. */
  job(): Promise<FixJob | null>;
}

export interface PlaceBook {
  /** By job id. */
  read(): Promise<ReadonlyMap<string, Place>>;
  /**
   * Calls back with all that wait, in their order, on one worker of all; with none on the others. Not before `callback`
   * is done with those before. Returns what ends it.
   */
  watch(callback: (waiting: readonly WaitingRun[]) => Promise<void>, everyMs: number): () => void;
}

export interface PlaceBookParts {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly ring: Ring;
  readonly limits: AllLimits;
  readonly log: Log;
}

export function createPlaceBook(parts: PlaceBookParts): PlaceBook {
  const { ring, limits, log } = parts;
  let known: { version: string; at: number; places: ReadonlyMap<string, Place> } | null = null;
  const read = async (): Promise<ReadonlyMap<string, Place>> => {
    const version = await ring.version();
    if (known?.version === version && performance.now() - known.at < freshMs) return known.places;
    const snapshot = await ring.snapshot();
    const places = placesOf(snapshot, limits);
    known = { version: snapshot.version, at: performance.now(), places };
    return places;
  };
  return {
    read,
    watch(callback, everyMs) {
      const workerId = randomUUID();
      const waiting = async (): Promise<WaitingRun[]> =>
        [...(await read())].flatMap(([jobId, place]) => (place.state === 'waiting' ? [{ place, job: () => openJob(parts.lane, jobId) }] : []));
      const tell = oneAtATime(async (isOurs: boolean) => await callback(isOurs ? await waiting() : []), log);
      // Also while the callback works, or another worker would begin beside it.
      const ask = oneAtATime(async () => tell(await isTeller(parts, workerId)), log);
      const timer = setInterval(ask, everyMs);
      return () => clearInterval(timer);
    },
  };
}

/** A call while one is under way does nothing. */
function oneAtATime<T extends unknown[]>(work: (...given: T) => Promise<void>, log: Log): (...given: T) => void {
  let busy = false;
  return (...given) => {
    if (busy) return;
    busy = true;
    work(...given)
      .catch((err: unknown) => log.warn({ err }, 'places could not be told'))
      .finally(() => {
        busy = false;
      });
  };
}

async function isTeller({ redis, lane }: PlaceBookParts, workerId: string): Promise<boolean> {
  const key = `${lane.prefix}:places-teller`;
  if ((await redis.set(key, workerId, 'PX', tellerMs, 'NX')) !== null) return true;
  if ((await redis.get(key)) !== workerId) return false;
  await redis.pexpire(key, tellerMs);
  return true;
}

async function openJob(lane: Lane, jobId: string): Promise<FixJob | null> {
  const job = await lane.queue.getJob(jobId);
  return job ? openRun(lane, job).job : null;
}
