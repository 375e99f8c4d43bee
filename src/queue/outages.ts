/** How often each run was put off because GitHub did not answer: such an attempt is not counted by BullMQ. */
import type { Redis } from 'ioredis';

const keptSeconds = 2 * 24 * 60 * 60;

export interface Outages {
  count(jobId: string): Promise<number>;
  /** Returns how many there are with this one. */
  add(jobId: string): Promise<number>;
  forget(jobId: string): Promise<void>;
}

export function createOutages(redis: Redis, prefix: string): Outages {
  const keyOf = (jobId: string): string => `${prefix}:outages:${jobId}`;
  return {
    count: async (jobId) => Number(await redis.get(keyOf(jobId))) || 0,
    async add(jobId) {
      const count = await redis.incr(keyOf(jobId));
      await redis.expire(keyOf(jobId), keptSeconds);
      return count;
    },
    forget: async (jobId) => void (await redis.del(keyOf(jobId))),
  };
}
