/** The web role's end of the queue. */
import type { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { connect } from './connection.ts';
import { within } from './deadline.ts';
import { createLane } from './lane.ts';
import { intakeJobOptions } from './job-options.ts';
import type { IntakeQueue } from './queue.ts';

export interface IntakeQueueOptions {
  readonly redisUrl: string;
  /** Of every key in Redis. Default `mayfly`. */
  readonly prefix?: string;
  readonly signingKey: string;
  readonly log: Log;
}

const closeMs = 2_000;
const readyKeptMs = 60_000;

/** Starts although Redis is away: the web process answers 503 until it comes. Throws `config_invalid`. */
export function createIntakeQueue({ redisUrl, prefix = 'mayfly', signingKey, log }: IntakeQueueOptions): IntakeQueue {
  const redis = connect(redisUrl, log);
  const lane = createLane({ name: 'intake', prefix, signingKey, redis, log, jobOptions: intakeJobOptions });
  return {
    add: async (event, deadlineMs) => ((await lane.add(event.key, event, deadlineMs)) ? 'queued' : 'duplicate'),
    // A full Redis, or one that became a replica, still answers PING: only a write tells.
    check: async (deadlineMs) => void (await within(deadlineMs, redis.set(`${prefix}:web-ready`, '1', 'PX', readyKeptMs))),
    async close() {
      await within(closeMs, lane.queue.close()).catch((err: FixError) => log.debug({ err }, 'queue was not closed in time'));
      redis.disconnect();
    },
  };
}
