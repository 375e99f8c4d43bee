/**
 * What a worker says of itself in Redis every few seconds, for it has no port to ask. The key goes by itself soon after
 * its worker: dead, hung, cut off from Redis, or alive with a loop that takes nothing any more.
 */
import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Log } from '../log.ts';
import { connect } from './connection.ts';
import { within } from './deadline.ts';

const everyMs = 5_000;
const keptMs = 20_000;
const askMs = 3_000;

/** Anyone who can write to Redis can write this: sizes are bounded, and control characters are refused. */
const word = z.string().regex(/^[\w.:+-]{1,255}$/);
export const Heartbeat = z.object({
  host: word,
  pid: z.number().int(),
  version: word,
  provider: word,
  /** Runs in hand, and how many it takes. */
  runs: z.number().int(),
  concurrency: z.number().int(),
  /** It was told to stop, and ends what it has in hand. */
  draining: z.boolean(),
  startedAt: z.iso.datetime(),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** Defaults: a beat every 5 s that is kept for 20 s; a loop that asks for work every 5 s, and is dead when it got no answer for 60 s. */
export interface HeartbeatTiming {
  readonly everyMs?: number;
  readonly keptMs?: number;
  readonly idleMs?: number;
  readonly silentMs?: number;
}

interface HeartbeatOptions extends HeartbeatTiming {
  readonly redis: Redis;
  readonly prefix: string;
  readonly log: Log;
  readonly about: Pick<Heartbeat, 'version' | 'provider' | 'concurrency'>;
  /** Null when the worker does not work any more. */
  readonly look: () => Pick<Heartbeat, 'runs' | 'draining'> | null;
}

/** The first beat has been written when it resolves. `stop` takes the key away. */
export async function startHeartbeat(options: HeartbeatOptions): Promise<{ stop(): Promise<void> }> {
  const { redis, prefix, log, about, look } = options;
  const own = { host: hostname(), pid: process.pid, ...about, startedAt: new Date().toISOString() };
  const key = keyOf(prefix);
  let beating = false;
  let silent = false;
  const beat = async (): Promise<void> => {
    const seen = look();
    if (seen === null && !silent) log.error('this worker takes nothing any more; start it again');
    silent = seen === null;
    if (seen !== null) await redis.set(key, JSON.stringify({ ...own, ...seen }), 'PX', options.keptMs ?? keptMs);
  };
  const timer = setInterval(() => {
    // While Redis is away its client keeps commands: one of them is enough.
    if (beating) return;
    beating = true;
    beat()
      .catch((err: unknown) => log.warn({ err }, 'heartbeat could not be written'))
      .finally(() => {
        beating = false;
      });
  }, options.everyMs ?? everyMs);
  await within(askMs, beat()).catch((thrown: unknown) => {
    clearInterval(timer);
    throw thrown;
  });
  return {
    async stop() {
      clearInterval(timer);
      await within(askMs, redis.del(key)).catch((err: unknown) => log.debug({ err }, 'heartbeat was not taken away'));
    },
  };
}

/** What the worker of this host says of itself; null when none reports. Throws `redis_unavailable`. */
export async function readHeartbeat({ redisUrl, prefix = 'mayfly', log }: { redisUrl: string; prefix?: string; log: Log }): Promise<Heartbeat | null> {
  const redis = connect(redisUrl, log);
  try {
    return parse(await within(askMs, redis.get(keyOf(prefix))));
  } finally {
    redis.disconnect();
  }
}

/** One worker for a host name, so that whoever stands on the host knows the key. */
const keyOf = (prefix: string): string => `${prefix}:worker:${hostname()}`;

function parse(text: string | null): Heartbeat | null {
  try {
    return text === null ? null : Heartbeat.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
