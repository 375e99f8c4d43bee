/** What people say to a run while it waits or works. Each attempt gets all of it: one that starts again knows nothing. */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Log } from '../log.ts';
import { within } from './deadline.ts';
import type { Seal } from './seal.ts';

const maxMessages = 20;
const maxTextBytes = 16 * 1024;
const keptSeconds = 14 * 24 * 60 * 60;
/** The last line of a run that hears nothing any more. It outlives the run for those who looked for it just before. */
const closed = 'closed';
const closedSeconds = 10 * 60;
const answerMs = 5_000;

/** From a person with write access. */
export const Message = z.object({
  /** Of the comment: the same one is said once. */
  id: z.number().int(),
  login: z.string().max(100),
  text: z.string().refine((text) => Buffer.byteLength(text) <= maxTextBytes),
  at: z.iso.datetime(),
});
export type Message = z.infer<typeof Message>;

export interface Inbox {
  put(jobId: string, message: Message): Promise<'kept' | 'full' | 'too_long' | 'closed'>;
  /** What is new, each time: for one attempt. Nothing new while Redis does not answer. */
  reader(jobId: string, log: Log): () => Promise<readonly Message[]>;
  /** Nothing can be put any more, until a reader begins anew; what was put before can still be read. */
  close(jobId: string): Promise<void>;
  /** The run is over. */
  clear(jobId: string): Promise<void>;
}

/** KEYS: list. ARGV: id, sealed message, most, seconds to keep. Returns 1, 0 when it is full, or -1 when it is closed. */
const putScript = `
local messages = redis.call('LRANGE', KEYS[1], 0, -1)
for _, message in ipairs(messages) do if string.sub(message, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then return 1 end end
if messages[#messages] == '${closed}' then return -1 end
if #messages >= tonumber(ARGV[3]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
`;

export function createInbox({ redis, prefix, seal }: { redis: Redis; prefix: string; seal: Seal }): Inbox {
  const keyOf = (jobId: string): string => `${prefix}:messages:${jobId}`;
  return {
    async put(jobId, message) {
      if (!Message.safeParse(message).success) return 'too_long';
      const put = await redis.eval(putScript, 1, keyOf(jobId), String(message.id), JSON.stringify(seal.close(jobId, message)), maxMessages, keptSeconds);
      return put === 1 ? 'kept' : put === -1 ? 'closed' : 'full';
    },
    reader(jobId, log) {
      const taken = new Set<number>();
      let at = 0;
      let isOpened = false;
      return async () => {
        try {
          // An attempt before this one may have closed it, and could not say its end.
          if (!isOpened) await within(answerMs, redis.lrem(keyOf(jobId), 0, closed));
          isOpened = true;
          // Bounded, whoever wrote them.
          const lines = at >= maxMessages ? [] : await within(answerMs, redis.lrange(keyOf(jobId), at, maxMessages - 1));
          at += lines.length;
          return lines
            .filter((line) => line !== closed)
            .flatMap((line) => openLine(line, { jobId, seal, log }))
            .filter(({ id }) => !taken.has(id) && taken.add(id));
        } catch (err) {
          log.warn({ err }, 'messages could not be read');
          return [];
        }
      };
    },
    close: async (jobId) => void (await redis.multi().lrem(keyOf(jobId), 0, closed).rpush(keyOf(jobId), closed).expire(keyOf(jobId), keptSeconds).exec()),
    clear: async (jobId) => void (await redis.multi().del(keyOf(jobId)).rpush(keyOf(jobId), closed).expire(keyOf(jobId), closedSeconds).exec()),
  };
}

function openLine(line: string, { jobId, seal, log }: { jobId: string; seal: Seal; log: Log }): Message[] {
  try {
    return [Message.parse(seal.open(jobId, JSON.parse(line.slice(line.indexOf(' ') + 1))))];
  } catch (err) {
    log.error({ err }, 'a message was refused that we did not sign');
    return [];
  }
}
