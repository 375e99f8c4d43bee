/**
 * Work that two workers must not do at once, though nothing in the world outside would stop them: each takes its turn,
 * in the order in which they came. A turn, and a place in its line, is a key with a short life that its holder renews, so
 * one that died with its worker is over soon.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { within } from './deadline.ts';

/** Waits for the turn of that name, then works. Throws `redis_unavailable`, the reason of the signal, and what the work throws. */
export type InTurn = <T>(name: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

const answerMs = 10_000;
const pollMs = 100;

/**
 * KEYS: turn, its line (who came when), until when each in it counts. ARGV: holder, life in ms. Returns 1 when it is the
 * holder's turn, which lives so long from now.
 */
const askScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do redis.call('ZREM', KEYS[2], gone) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  redis.call('ZADD', KEYS[2], (last[2] or 0) + 1, ARGV[1])
end
redis.call('ZADD', KEYS[3], now + ARGV[2], ARGV[1])
for _, key in ipairs({ KEYS[2], KEYS[3] }) do redis.call('PEXPIRE', key, ARGV[2]) end
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('ZRANGE', KEYS[2], 0, 0)[1] ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
`;

/** KEYS: turn, its line, until when each in it counts. ARGV: holder, life in ms; 0 ends it. Only whoever holds it may. */
const renewScript = `
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

export function createInTurn(redis: Redis, prefix: string, lifeMs = 30_000): InTurn {
  return async (name, signal, work) => {
    const key = `${prefix}:turn:${name}`;
    const holder = randomUUID();
    const run = async (script: string, forMs: number): Promise<unknown> =>
      await within(answerMs, redis.eval(script, 3, key, `${key}:line`, `${key}:until`, holder, forMs));
    let timer: NodeJS.Timeout | undefined;
    try {
      while ((await run(askScript, lifeMs)) !== 1) await setTimeout(pollMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      // A failed one is made up for by the next; without any, the turn is over for the others, too.
      timer = setInterval(() => void run(renewScript, lifeMs).catch(() => {}), lifeMs / 3);
      return await work();
    } finally {
      clearInterval(timer);
      await run(renewScript, 0).catch(() => {});
    }
  };
}
