/** What a Redis is like, for `mayfly doctor`: one short connection that does not try again. */
import { Redis } from 'ioredis';

export interface RedisFacts {
  readonly version: string;
  /** Every write goes to its file. */
  readonly appendOnly: boolean;
  /** Snapshots now and then; null when the server does not tell its settings. */
  readonly snapshots: boolean | null;
  /** The last write of either kind reached the disk. */
  readonly writesWork: boolean;
  readonly evictionPolicy: string;
}

const answerMs = 5_000;
/** Then the socket is closed without the server's consent, so that a server that hangs keeps no process alive. */
const partMs = 100;

/** Throws what the connection or the server said. */
export async function readRedisFacts(redisUrl: string, signal: AbortSignal): Promise<RedisFacts> {
  const timing = { connectTimeout: answerMs, commandTimeout: answerMs, disconnectTimeout: partMs };
  const redis = new Redis(redisUrl, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0, ...timing });
  let reason: Error | null = null;
  redis.on('error', (error: Error) => {
    reason = error;
  });
  const stop = (): void => redis.disconnect();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await redis.connect();
    const [info, save] = await Promise.all([redis.info(), readSave(redis)]);
    return parseInfo(info, save);
  } catch (thrown) {
    // The promise only says that the connection is closed; the event before it knows why.
    throw reason ?? thrown;
  } finally {
    signal.removeEventListener('abort', stop);
    redis.disconnect();
  }
}

/** Servers that others run often have no CONFIG. */
async function readSave(redis: Redis): Promise<string | null> {
  const pairs = await redis.config('GET', 'save').catch(() => null);
  return Array.isArray(pairs) && typeof pairs[1] === 'string' ? pairs[1] : null;
}

/** From the text of INFO, and the setting `save`. */
export function parseInfo(info: string, save: string | null): RedisFacts {
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  return {
    version: field('redis_version'),
    appendOnly: field('aof_enabled') === '1',
    snapshots: save === null ? null : save !== '',
    writesWork: ['rdb_last_bgsave_status', 'aof_last_write_status', 'aof_last_bgrewrite_status'].every((name) => ['', 'ok'].includes(field(name))),
    evictionPolicy: field('maxmemory_policy'),
  };
}
