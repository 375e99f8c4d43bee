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
import type { Log } from '../log.ts';
import { seenSeconds } from './lane.ts';
import type { Lane } from './lane.ts';
import { RunLimits } from './open-run.ts';
import type { AllLimits } from './open-run.ts';
import { enterScript, offerScript, parkScript, releaseScript, snapshotScript, straysScript, turnScript } from './ring-scripts.ts';

/** What holds a run that waits: another run of its issue or pull request; slots, which others have; counts, which begin anew; money; or a pause after a failure, or while GitHub does not answer. */
export const holdLimits = ['issue', 'repository', 'installation', 'total', 'user_hour', 'repository_day', 'daily_budget', 'retry', 'github'] as const;
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
  /** By the clock of Redis, like every time in it. */
  readonly now: number;
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

/** Ends at the earlier of the two: at a moment of Redis' clock, or after a time. */
export interface Pause {
  readonly limit: HoldLimit;
  readonly freeAt?: number;
  readonly pauseMs?: number;
}

export interface ParkOptions {
  /** Of this run alone. */
  readonly pause?: Pause;
  /** Of everything in its repository or installation, until one of their runs ends. */
  readonly pauseAll?: { readonly scope: 'repository' | 'installation'; readonly pause: Pause };
  /** It did not begin, so it does not count. */
  readonly refund?: boolean;
  /** Also one that was stopped. */
  readonly stopped?: boolean;
}

/** How a run ended: with a code of the error table when BullMQ has to hear that it failed, and after so many attempts. */
const Over = z.object({ code: z.string().max(50).nullable(), attemptsMade: z.number() });
export type Over = z.infer<typeof Over>;

export interface Ring {
  enter(jobId: string, job: FixJob, limits: RunLimits): Promise<void>;
  /** Whether a worker that was handed this run may do it. */
  take(jobId: string): Promise<boolean>;
  /** A run that was begun waits again, in its old place. False, and nothing happens, when it was stopped meanwhile. */
  park(jobId: string, options: ParkOptions): Promise<boolean>;
  /** Whether it waits for its turn. */
  waits(jobId: string): Promise<boolean>;
  /** A run is over, or does not wait any more. */
  release(jobId: string, options?: { readonly refund?: boolean; readonly over?: Over }): Promise<void>;
  /** How a run ended of which BullMQ does not know that it did, because its worker died just then. */
  over(jobId: string, attemptsMade: number): Promise<Over | null>;
  /** Gives slots away; the ids are to be promoted. */
  turn(): Promise<{ readonly promote: readonly string[]; readonly nextMs: number | null }>;
  /** Jobs in BullMQ of which the ring does not know. */
  strays(): Promise<readonly string[]>;
  /** Says for how many runs a worker has hands; after `keptMs` it has none. */
  offer(workerId: string, hands: { readonly number: number; readonly keptMs: number } | null): Promise<void>;
  /** Changes whenever anything does that `snapshot` tells. */
  version(): Promise<string>;
  snapshot(): Promise<Snapshot>;
}

export interface RingOptions {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly limits: AllLimits;
  readonly log: Log;
  /** Added to the clock of Redis. */
  readonly aheadMs: () => number;
}

/** Is there when a run was stopped: while it waits, while it works, or on its way between the two. */
export const cancelledKey = (prefix: string, jobId: string): string => `${prefix}:cancelled:${jobId}`;

export function createRing({ redis, lane, limits, log, aheadMs }: RingOptions): Ring {
  const base = `${lane.prefix}:ring:`;
  const ask = (script: string, ...parameters: string[]): Promise<unknown> =>
    redis.eval(script, 0, base, lane.queue.toKey(''), Math.round(aheadMs()), JSON.stringify(limits), ...parameters);
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
    async park(jobId, { pause, pauseAll, refund = false, stopped = false }) {
      const all = [pauseAll ? JSON.stringify(pauseAll.pause) : '', pauseAll?.scope === 'installation' ? 'i' : 'r'];
      const unless = stopped ? '' : cancelledKey(lane.prefix, jobId);
      return (await ask(parkScript, jobId, pause ? JSON.stringify(pause) : '', ...all, refund ? '1' : '0', unless)) === 1;
    },
    waits: async (jobId) => (await redis.hexists(`${base}jobs`, jobId)) === 1,
    async release(jobId, { refund = false, over } = {}) {
      const mark = over ? [lane.seenKey(jobId), JSON.stringify(over), String(seenSeconds)] : [];
      await ask(releaseScript, jobId, refund ? '1' : '0', ...mark);
    },
    async over(jobId, attemptsMade) {
      const { data } = inJson(Over).safeParse(await redis.get(lane.seenKey(jobId)));
      return data?.attemptsMade === attemptsMade ? data : null;
    },
    async turn() {
      const [nextMs = '-1', ...promote] = (await ask(turnScript)) as string[];
      return { promote, nextMs: nextMs === '-1' ? null : Number(nextMs) };
    },
    strays: async () => (await ask(straysScript)) as string[],
    async offer(workerId, hands) {
      if (hands === null) await redis.hdel(`${base}hands`, workerId);
      else await ask(offerScript, workerId, String(hands.number), String(hands.keptMs));
    },
    version: async () => (await redis.get(`${base}version`)) ?? '0',
    async snapshot() {
      const { unreadable, ...snapshot } = parseSnapshot((await ask(snapshotScript)) as RawSnapshot);
      if (unreadable.length > 0) log.warn({ count: unreadable.length, first: unreadable.slice(0, 5) }, 'the ring has entries that this version cannot read');
      return snapshot;
    },
  };
}

type RawSnapshot = [string, number, number, string[], string[], string[], string[], string[], string[]];

function parseSnapshot([version, hands, now, ...lists]: RawSnapshot): Snapshot & { readonly unreadable: readonly string[] } {
  const [waiting, granted, scores, holds, counts, working] = lists;
  const unreadable: string[] = [];
  const parsePairs = <T>(flat: readonly string[], type: z.ZodType<T>): Map<string, T> => {
    const map = new Map<string, T>();
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const name = flat[at] ?? '';
      const parsed = type.safeParse(flat[at + 1]);
      if (parsed.success) map.set(name, parsed.data);
      else unreadable.push(name);
    }
    return map;
  };
  return {
    version,
    hands,
    now,
    waiting: parsePairs(waiting, inJson(Entry)),
    granted: parsePairs(granted, inJson(Entry)),
    scores: parsePairs(scores, z.coerce.number()),
    holds: parsePairs(holds, inJson(Hold)),
    counts: parsePairs(counts, z.coerce.number()),
    working: new Set(working),
    unreadable,
  };
}

const inJson = <T>(type: z.ZodType<T>) =>
  z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue('not JSON');
        return z.NEVER;
      }
    })
    .pipe(type);
