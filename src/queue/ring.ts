/**
 * Who is next. BullMQ keeps every run and who works on it; it is told to start one only when the ring has a slot for it:
 * round robin over installations, then repositories, then users, first come first served inside.
 *
 * A run that waits lies in BullMQ's delayed set, with a delay that never ends; the ring is an index of it. So nothing is
 * ever between the two: a run that the ring does not know is entered again by whoever sweeps, and one that was granted a
 * slot and was not promoted is promoted by whoever looks next. A slot belongs to a run from its grant until its end,
 * also while its worker is dead and BullMQ has not noticed yet.
 *
 * Whoever can write to Redis can change the order. What is run is decided by the signature on the job alone.
 */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { FixJob } from '../job.ts';
import type { Lane } from './lane.ts';
import { RunLimits } from './open-run.ts';
import type { AllLimits } from './open-run.ts';
import { enterScript, parkScript, releaseScript, snapshotScript, straysScript, turnScript } from './ring-scripts.ts';

/** What holds a run that waits: slots, which others have; counts, which begin anew; money; or a pause after a failure. */
export const holdLimits = ['repository', 'installation', 'total', 'user_hour', 'repository_day', 'daily_budget', 'retry'] as const;
export type HoldLimit = (typeof holdLimits)[number];

const Hold = z.object({ limit: z.enum(holdLimits), freeAt: z.number() });
/** Nothing begins before `freeAt`, in ms. */
export type Hold = z.infer<typeof Hold>;

/** A run in the ring. */
const Entry = z.object({
  i: z.string(),
  r: z.string(),
  u: z.string(),
  runId: z.string().max(20),
  issue: z.number().int(),
  limits: RunLimits,
  seq: z.number(),
  /** Keys of the counts that it is part of: it began once. */
  counted: z.array(z.string()).optional(),
  hold: Hold.optional(),
});
export type Entry = z.infer<typeof Entry>;

export interface Snapshot {
  readonly version: string;
  /** Runs at once over all workers. */
  readonly hands: number;
  readonly waiting: ReadonlyMap<string, Entry>;
  readonly granted: ReadonlyMap<string, Entry>;
  /** When each had its last turn; lower is sooner. */
  readonly scores: ReadonlyMap<string, number>;
  readonly holds: ReadonlyMap<string, Hold>;
  /** Runs of a user in this hour, and of a repository in this day. */
  readonly counts: ReadonlyMap<string, number>;
  /** Granted, and a worker has it. */
  readonly working: ReadonlySet<string>;
}

export interface ParkOptions {
  /** Of this run alone. */
  readonly hold?: Hold;
  /** Of everything in its repository or installation, until one of their runs ends. */
  readonly holdAll?: { readonly scope: 'repository' | 'installation'; readonly hold: Hold };
  /** It did not begin, so it does not count. */
  readonly refund?: boolean;
}

export interface Ring {
  enter(jobId: string, job: FixJob, limits: RunLimits): Promise<void>;
  /** Whether a worker that was handed this run may do it. */
  take(jobId: string): Promise<boolean>;
  /** A run that was begun waits again, in its old place. */
  park(jobId: string, options: ParkOptions): Promise<void>;
  /** A run is over, or does not wait any more. */
  release(jobId: string, options?: { readonly refund?: boolean }): Promise<void>;
  /** Gives slots away; the ids are to be promoted. */
  turn(): Promise<{ readonly promote: readonly string[]; readonly nextAt: number | null }>;
  /** Jobs in BullMQ of which the ring does not know. */
  strays(): Promise<readonly string[]>;
  /** Says for how many runs a worker has hands; after `freeAt` it has none. */
  offer(workerId: string, hands: { readonly number: number; readonly freeAt: number } | null): Promise<void>;
  /** Changes whenever anything does that `snapshot` tells. */
  version(): Promise<string>;
  snapshot(): Promise<Snapshot>;
}

export interface RingOptions {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly limits: AllLimits;
  readonly now: () => number;
}

export function createRing({ redis, lane, limits, now }: RingOptions): Ring {
  const base = `${lane.prefix}:ring:`;
  const ask = (script: string, ...parameters: string[]): Promise<unknown> =>
    redis.eval(script, 0, base, lane.queue.toKey(''), now(), JSON.stringify(limits), ...parameters);
  return {
    async enter(jobId, job, runLimits) {
      const { installationId, repository, actor, runId, issue } = job;
      const who = { i: String(installationId), r: String(repository.id), u: String(actor.id) };
      await ask(enterScript, jobId, JSON.stringify({ ...who, runId, issue: issue.number, limits: runLimits }));
    },
    async take(jobId) {
      if ((await redis.hexists(`${base}granted`, jobId)) === 0) return false;
      await redis.incr(`${base}version`);
      return true;
    },
    async park(jobId, { hold, holdAll, refund = false }) {
      const all = [holdAll ? JSON.stringify(holdAll.hold) : '', holdAll?.scope === 'installation' ? 'i' : 'r'];
      await ask(parkScript, jobId, hold ? JSON.stringify(hold) : '', ...all, refund ? '1' : '0');
    },
    release: async (jobId, { refund = false } = {}) => void (await ask(releaseScript, jobId, refund ? '1' : '0')),
    async turn() {
      const [nextAt = '0', ...promote] = (await ask(turnScript)) as string[];
      return { promote, nextAt: nextAt === '0' ? null : Number(nextAt) };
    },
    strays: async () => (await ask(straysScript)) as string[],
    async offer(workerId, hands) {
      if (hands === null) await redis.hdel(`${base}hands`, workerId);
      else await redis.hset(`${base}hands`, workerId, JSON.stringify(hands));
    },
    version: async () => (await redis.get(`${base}version`)) ?? '0',
    snapshot: async () => parseSnapshot((await ask(snapshotScript)) as RawSnapshot),
  };
}

type RawSnapshot = [string, number, string[], string[], string[], string[], string[], string[]];

function parseSnapshot([version, hands, waiting, granted, scores, holds, counts, working]: RawSnapshot): Snapshot {
  return {
    version,
    hands,
    waiting: parsePairs(waiting, parseEntry),
    granted: parsePairs(granted, parseEntry),
    scores: parsePairs(scores, Number),
    holds: parsePairs(holds, (text) => Hold.parse(JSON.parse(text))),
    counts: parsePairs(counts, Number),
    working: new Set(working),
  };
}

/** Lua's JSON writes an empty table as an object, whatever it was. */
const parseEntry = (text: string): Entry => Entry.parse(JSON.parse(text));

function parsePairs<T>(flat: readonly string[], parse: (text: string) => T): Map<string, T> {
  const map = new Map<string, T>();
  for (let at = 0; at + 1 < flat.length; at += 2) map.set(flat[at] ?? '', parse(flat[at + 1] ?? ''));
  return map;
}
