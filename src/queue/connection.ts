/** One connection to Redis, which comes back by itself and says in the log when it went and when it returned. */
import { Redis } from 'ioredis';
import type { Log } from '../log.ts';

const longestPauseMs = 2_000;

/** `redis://`, `rediss://` or the path of a Unix socket. The connection is made in the background. */
export function connect(redisUrl: string, log: Log): Redis {
  const redis = new Redis(redisUrl, {
    // BullMQ demands it of a worker's connection; whoever cannot wait has a deadline.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(times * 100, longestPauseMs),
    connectTimeout: 5_000,
  });
  return watch(redis, log);
}

/** A second connection with the same settings. */
export function connectAgain(redis: Redis, log: Log): Redis {
  return watch(redis.duplicate(), log);
}

/** Two lines for an outage, however many attempts it takes. */
function watch(redis: Redis, log: Log): Redis {
  let away = false;
  const goes = (err?: Error): void => {
    if (!away) log.warn({ err }, 'redis does not answer');
    away = true;
  };
  redis.on('error', goes);
  // A server that ends closes the connection without an error.
  redis.on('reconnecting', () => goes());
  redis.on('ready', () => {
    if (away) log.info('redis is back');
    away = false;
  });
  return redis;
}

/** BullMQ tells every lost connection again as an error of its own; `watch` has logged it. */
export function isConnectionError(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined ? /^E[A-Z]+$/.test(code) : error.message === 'Connection is closed.';
}
