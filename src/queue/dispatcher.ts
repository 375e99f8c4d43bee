/**
 * Makes BullMQ start what the ring gave a slot: when a run ends, when one is added, when a moment comes for which
 * something waits, and now and then in case that whoever should have done it is dead.
 */
import { randomUUID } from 'node:crypto';
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { within } from './deadline.ts';
import type { Lane } from './lane.ts';
import { openRun } from './open-run.ts';
import type { Ring } from './ring.ts';

const longestSweepMs = 10_000;
const partMs = 2_000;

export interface Dispatcher {
  /** Gives free slots away. Never throws: the next sweep does what could not be done now. */
  turn(): Promise<void>;
  /** This worker has hands from now on. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface DispatcherOptions {
  readonly ring: Ring;
  readonly lane: Lane;
  /** How many runs this worker takes at once. */
  readonly hands: () => number;
  /** Silent for so long, a worker has no hands. */
  readonly lockMs: number;
  readonly log: Log;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { ring, hands, lockMs, log } = options;
  const workerId = randomUUID();
  const sweepEveryMs = Math.min(longestSweepMs, lockMs / 3);
  let working = false;
  let offered = 0;
  let sweeping = false;
  let timer: NodeJS.Timeout | undefined;
  let wake: NodeJS.Timeout | undefined;
  const offer = async (): Promise<void> => {
    offered = hands();
    await ring.offer(workerId, { number: offered, keptMs: lockMs });
  };
  const turnOnce = async (): Promise<void> => {
    try {
      if (working && hands() !== offered) await offer();
      const { promote, nextMs } = await ring.turn();
      await Promise.all(promote.map((jobId) => promoteJob(jobId, options)));
      wakeIn(nextMs);
    } catch (err) {
      log.warn({ err }, 'no run could be started now');
    }
  };
  const turn = shareCalls(turnOnce);
  const wakeIn = (nextMs: number | null): void => {
    clearTimeout(wake);
    if (working && nextMs !== null && nextMs < sweepEveryMs) wake = setTimeout(() => void turn(), nextMs + 1);
  };
  const sweep = async (): Promise<void> => {
    // While Redis is away its client keeps commands: one of them is enough.
    if (sweeping) return;
    sweeping = true;
    try {
      await offer();
      await enterStrays(options);
    } catch (err) {
      log.warn({ err }, 'the queue could not be swept');
    } finally {
      sweeping = false;
    }
    await turn();
  };
  return {
    turn,
    async start() {
      working = true;
      await sweep();
      timer = setInterval(() => void sweep(), sweepEveryMs);
    },
    async stop() {
      working = false;
      clearInterval(timer);
      clearTimeout(wake);
      await within(partMs, ring.offer(workerId, null)).catch((err: unknown) => log.debug({ err }, 'hands were not taken back'));
    },
  };
}

/** Calls that come while one is under way share the next one, which begins after all of them. */
function shareCalls(work: () => Promise<void>): () => Promise<void> {
  let current = Promise.resolve();
  let next: Promise<void> | null = null;
  return () => {
    next ??= current.then(() => {
      next = null;
      current = work();
      return current;
    });
    return next;
  };
}

async function promoteJob(jobId: string, { lane, log }: DispatcherOptions): Promise<void> {
  const job = await lane.queue.getJob(jobId);
  // Another worker was faster, or the run is on its way back into the delayed set: the next turn sees which.
  await job?.promote().catch((err: unknown) => log.debug({ err, jobId }, 'run was not promoted'));
}

async function enterStrays({ ring, lane, log }: DispatcherOptions): Promise<void> {
  const newer: string[] = [];
  for (const jobId of await ring.strays()) {
    const job = await lane.queue.getJob(jobId);
    if (!job) continue;
    try {
      const run = openRun(lane, job);
      await ring.enter(jobId, run.job, run.limits);
      log.warn({ jobId }, 'a run was found that waited outside of the ring');
    } catch (thrown) {
      if (asFixError(thrown).code === 'job_newer') newer.push(jobId);
      // Not signed by us: it is refused where all of those are.
      else await job.promote().catch((err: unknown) => log.debug({ err, jobId }, 'run was not promoted'));
    }
  }
  if (newer.length > 0)
    log.warn({ count: newer.length, first: newer.slice(0, 5) }, 'runs of a newer version wait for a worker of that version; update this one');
}
