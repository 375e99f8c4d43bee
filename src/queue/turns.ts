/**
 * Work that two workers must not do at once, though nothing in the world outside would stop them: each takes its turn.
 * A turn is a key with a short life that its holder renews, so one that died with its worker is over soon.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { within } from './deadline.ts';

/** Waits for the turn of that name, then works. Throws `redis_unavailable`, the reason of the signal, and what the work throws. */
export type InTurn = <T>(name: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

const answerMs = 10_000;
const pollMs = 100;

/** KEYS: turn. ARGV: holder, life in ms; 0 ends it. Only whoever holds it may. */
const renewScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

export function createInTurn(redis: Redis, prefix: string, lifeMs = 30_000): InTurn {
  return async (name, signal, work) => {
    const key = `${prefix}:turn:${name}`;
    const holder = randomUUID();
    const renew = async (forMs: number): Promise<unknown> => await within(answerMs, redis.eval(renewScript, 1, key, holder, forMs));
    while ((await within(answerMs, redis.set(key, holder, 'PX', lifeMs, 'NX'))) === null)
      await setTimeout(pollMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    // A failed one is made up for by the next; without any, the turn is over for the others, too.
    const timer = setInterval(() => void renew(lifeMs).catch(() => {}), lifeMs / 3);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      await renew(0).catch(() => {});
    }
  };
}
