/**
 * How many runs of one repository, and of one installation, may run at once, over all workers.
 * A slot is held by a job as long as BullMQ's lock of that job lives: a worker that died needs nobody to clean up.
 */
import type { Redis } from 'ioredis';
import type { FixJob } from '../job.ts';
import type { Lane } from './lane.ts';

/**
 * KEYS: one set of job ids per limit. ARGV: job id, prefix of BullMQ's job keys, then one limit per set.
 * Takes a slot in every set or in none; returns 1 or 0.
 */
const takeScript = `
for index, key in ipairs(KEYS) do
  local held = 0
  for _, holder in ipairs(redis.call('SMEMBERS', key)) do
    if redis.call('EXISTS', ARGV[2] .. holder .. ':lock') == 0 then redis.call('SREM', key, holder)
    elseif holder ~= ARGV[1] then held = held + 1 end
  end
  if held >= tonumber(ARGV[2 + index]) then return 0 end
end
for _, key in ipairs(KEYS) do redis.call('SADD', key, ARGV[1]) end
return 1
`;

export interface SlotLimits {
  readonly perRepository: number;
  readonly perInstallation: number;
}

export interface Slots {
  take(jobId: string, job: FixJob): Promise<boolean>;
  release(jobId: string, job: FixJob): Promise<void>;
}

export function createSlots(redis: Redis, lane: Lane, limits: SlotLimits): Slots {
  const keysOf = (job: FixJob): string[] => [`${lane.prefix}:slots:repository:${job.repository.id}`, `${lane.prefix}:slots:installation:${job.installationId}`];
  return {
    async take(jobId, job) {
      const keys = keysOf(job);
      const taken = await redis.eval(takeScript, keys.length, ...keys, jobId, lane.queue.toKey(''), limits.perRepository, limits.perInstallation);
      return taken === 1;
    },
    async release(jobId, job) {
      const pipeline = redis.pipeline();
      for (const key of keysOf(job)) pipeline.srem(key, jobId);
      await pipeline.exec();
    },
  };
}
