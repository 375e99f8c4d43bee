/** The places of all that waits: worked out when something changed, and told to one worker, which tells people. */
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

export interface PlaceChange {
  readonly place: Place;
  /** Null when it is gone by now. */
  job(): Promise<FixJob | null>;
}

export interface PlaceBook {
  /** By job id. */
  read(): Promise<ReadonlyMap<string, Place>>;
  /**
   * Calls back with the waiting runs whose place, or what holds them, changed, after `callback` is done with those before:
   * on one worker of all. The first call on it has all that wait. Returns what ends it.
   */
  watch(callback: (changes: readonly PlaceChange[]) => Promise<void>, everyMs: number): () => void;
}

export interface PlaceBookParts {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly ring: Ring;
  readonly limits: AllLimits;
  readonly log: Log;
  readonly now: () => number;
}

export function createPlaceBook(parts: PlaceBookParts): PlaceBook {
  const { ring, limits, log, now } = parts;
  let known: { version: string; at: number; places: ReadonlyMap<string, Place> } | null = null;
  const read = async (): Promise<ReadonlyMap<string, Place>> => {
    const version = await ring.version();
    if (known?.version === version && now() - known.at < freshMs) return known.places;
    const snapshot = await ring.snapshot();
    const places = placesOf(snapshot, limits, now());
    known = { version: snapshot.version, at: now(), places };
    return places;
  };
  return {
    read,
    watch(callback, everyMs) {
      const workerId = randomUUID();
      let told = new Map<string, string>();
      let busy = false;
      const look = async (): Promise<void> => {
        if (!(await isTeller(parts, workerId))) {
          told = new Map();
          return;
        }
        const places = [...(await read())].filter(([, { state }]) => state === 'waiting');
        const changed = places.filter(([jobId, place]) => told.get(jobId) !== textOf(place));
        told = new Map(places.map(([jobId, place]) => [jobId, textOf(place)]));
        if (changed.length > 0) await callback(changed.map(([jobId, place]) => ({ place, job: () => openJob(parts.lane, jobId) })));
      };
      const timer = setInterval(() => {
        if (busy) return;
        busy = true;
        look()
          .catch((err: unknown) => log.warn({ err }, 'places could not be told'))
          .finally(() => {
            busy = false;
          });
      }, everyMs);
      return () => clearInterval(timer);
    },
  };
}

/** How many wait behind it is no news. */
const textOf = ({ place, heldBy }: Place): string => JSON.stringify([place, heldBy]);

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
