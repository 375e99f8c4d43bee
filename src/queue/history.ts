/** The last runs of a repository: for estimates, and for `status`. */
import type { Redis } from 'ioredis';
import { z } from 'zod';

const kept = 50;
const keptSeconds = 180 * 24 * 60 * 60;

const amount = z.number().nonnegative();
export const RunSummary = z.object({
  runId: z.string().regex(/^r[0-9a-z]{15}$/),
  issue: z.number().int(),
  /** Words of ours: what kind of run, and how it ended. */
  kind: z.string().regex(/^[a-z_]{1,30}$/),
  outcome: z.string().regex(/^[a-z_]{1,30}$/),
  minutes: amount,
  steps: amount,
  tokens: amount,
  /** Null when the price of the model is not known. */
  costUsd: amount.nullable(),
  at: z.iso.datetime(),
});
export type RunSummary = z.infer<typeof RunSummary>;

export interface History {
  /** Told twice, it is kept once: as it was told last. */
  remember(repositoryId: number, summary: RunSummary): Promise<void>;
  /** The newest first. */
  past(repositoryId: number): Promise<readonly RunSummary[]>;
}

/** KEYS: list. ARGV: run id, summary, most, seconds to keep. */
const rememberScript = `
for _, text in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if string.find(text, '"runId":"' .. ARGV[1] .. '"', 1, true) then redis.call('LREM', KEYS[1], 1, text) end
end
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], 0, ARGV[3] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
`;

export function createHistory(redis: Redis, prefix: string): History {
  const keyOf = (repositoryId: number): string => `${prefix}:past:${repositoryId}`;
  return {
    async remember(repositoryId, summary) {
      await redis.eval(rememberScript, 1, keyOf(repositoryId), summary.runId, JSON.stringify(RunSummary.parse(summary)), kept, keptSeconds);
    },
    async past(repositoryId) {
      const texts = await redis.lrange(keyOf(repositoryId), 0, kept - 1);
      return texts.flatMap((text) => {
        const parsed = RunSummary.safeParse(parseJson(text));
        return parsed.success ? [parsed.data] : [];
      });
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
