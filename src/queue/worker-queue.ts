/** The worker role's end of the queue: takes events and runs, adds runs, stops them. */
import { UnrecoverableError } from 'bullmq';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { FixError, asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createActiveRuns } from './active-runs.ts';
import type { ActiveRuns } from './active-runs.ts';
import { createCancellation } from './cancellation.ts';
import type { Cancellation } from './cancellation.ts';
import { connect, isConnectionError } from './connection.ts';
import { createDailyBudgets } from './daily-budget.ts';
import type { DailyLimits } from './daily-budget.ts';
import { within } from './deadline.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { Heartbeat, HeartbeatTiming } from './heartbeat.ts';
import { intakeJobOptions, runJobOptions } from './job-options.ts';
import { createLane } from './lane.ts';
import type { Lane } from './lane.ts';
import { createRunProcessor } from './process-run.ts';
import { QueueLoop } from './queue-loop.ts';
import type { WorkerQueue } from './queue.ts';
import { createSlots } from './slots.ts';

export interface WorkerQueueOptions {
  readonly redisUrl: string;
  /** Of every key in Redis. Default `mayfly`. */
  readonly prefix?: string;
  readonly signingKey: string;
  /** Runs at once on this worker. */
  readonly concurrency: number;
  /** Runs at once over all workers. Defaults 1 and 3. */
  readonly perRepository?: number;
  readonly perInstallation?: number;
  /** What runs may spend in a day (UTC), over all workers. Default: no limit. */
  readonly daily?: DailyLimits;
  /** How often a run is tried whose error says `later`. Default 3. */
  readonly attempts?: number;
  readonly backoffMs?: number;
  /** A worker that is silent for so long has lost its runs. Default 30 s. */
  readonly lockMs?: number;
  /** What the heartbeat tells of this worker; without it there is none. */
  readonly about?: Pick<Heartbeat, 'version' | 'provider'>;
  readonly heartbeat?: HeartbeatTiming;
  readonly log: Log;
}

const startMs = 5_000;
const addMs = 10_000;
const intakeConcurrency = 4;
const maxIntakeLost = 3;
/** Given to aborted runs for throwing their VMs away. */
export const abortMs = 60_000;
const closeMs = 5_000;
const unlimited: DailyLimits = { costUsdPerRepository: 1e6, costUsdPerInstallation: 1e6, tokensPerRepository: 1e12, tokensPerInstallation: 1e12 };

type Handlers = Parameters<WorkerQueue['consume']>[0];

interface Parts {
  readonly redis: Redis;
  readonly intake: Lane;
  readonly runs: Lane;
  readonly active: ActiveRuns;
  readonly cancellation: Cancellation;
  readonly loops: QueueLoop[];
  draining: boolean;
  heartbeat: { stop(): Promise<void> } | null;
}

/** Redis answers when it resolves. Throws `redis_unavailable` within seconds, `config_invalid`. */
export async function createWorkerQueue(options: WorkerQueueOptions): Promise<WorkerQueue> {
  const parts = createParts(options);
  try {
    await within(startMs, parts.redis.ping());
  } catch (thrown) {
    await closeParts(parts);
    throw thrown;
  }
  return {
    async addRun(job) {
      await within(addMs, parts.cancellation.index(job));
      return await parts.runs.add(job.key, job, addMs);
    },
    later: async (event, delayMs) => void (await parts.intake.add(event.key, event, addMs, delayMs)),
    hasRun: (key) => within(addMs, parts.runs.has(key)),
    cancelIssue: (repositoryId, issue, reason) => within(addMs, parts.cancellation.cancelIssue(repositoryId, issue, reason)),
    async consume(handlers) {
      await within(startMs, parts.cancellation.listen());
      parts.loops.push(...createLoops(handlers, parts, options));
      if (options.about) parts.heartbeat = await beat(parts, { ...options, about: options.about });
    },
    close: (graceMs) => drain(parts, graceMs),
  };
}

function createParts({ redisUrl, prefix = 'mayfly', signingKey, attempts = 3, backoffMs = 10_000, log }: WorkerQueueOptions): Parts {
  const redis = connect(redisUrl, log);
  const shared = { prefix, signingKey, redis, log };
  const intake = createLane({ ...shared, name: 'intake', jobOptions: intakeJobOptions });
  const runs = createLane({ ...shared, name: 'runs', jobOptions: runJobOptions(attempts, backoffMs) });
  const active = createActiveRuns();
  return { redis, intake, runs, active, cancellation: createCancellation({ redis, lane: runs, active, log }), loops: [], draining: false, heartbeat: null };
}

function createLoops(handlers: Handlers, parts: Parts, options: WorkerQueueOptions): QueueLoop[] {
  const { redis, intake, runs, active, cancellation } = parts;
  const { attempts = 3, lockMs = 30_000, perRepository = 1, perInstallation = 3, daily = unlimited, log, concurrency } = options;
  const { idleMs = 5_000, silentMs = 60_000 } = options.heartbeat ?? {};
  const shared = { redis, lockMs, log, idleMs, silentMs };
  const slots = createSlots(redis, runs, { perRepository, perInstallation });
  const budgets = createDailyBudgets({ redis, lane: runs, limits: daily, log });
  const runProcessor = createRunProcessor({ redis, lane: runs, slots, budgets, active, cancellation, attempts, lockMs, log, run: handlers.run });
  const intakeLoop = createLoop(intake, createIntakeProcessor(intake, handlers.intake, log), { ...shared, concurrency: intakeConcurrency });
  const runLoop = createLoop(runs, runProcessor, { ...shared, concurrency });
  // BullMQ only tells that a lock could not be renewed; the run would go on beside the worker that takes it next.
  runLoop.on('lockRenewalFailed', (jobIds) => {
    for (const jobId of jobIds) active.abort(jobId, new FixError('lock_lost', { details: { reason: 'renewal' } }));
  });
  return [intakeLoop, runLoop];
}

type Processor = ConstructorParameters<typeof QueueLoop>[1];

interface LoopOptions {
  readonly redis: Redis;
  readonly concurrency: number;
  readonly lockMs: number;
  readonly idleMs: number;
  readonly silentMs: number;
  readonly log: Log;
}

function createLoop(lane: Lane, processor: Processor, options: LoopOptions): QueueLoop {
  const { redis, concurrency, lockMs, idleMs, silentMs, log } = options;
  const loop = new QueueLoop(lane.name, processor, {
    connection: redis,
    prefix: lane.prefix,
    concurrency,
    silentMs,
    drainDelay: idleMs / 1000,
    lockDuration: lockMs,
    stalledInterval: lockMs,
    // We count lost workers ourselves: BullMQ would fail such a job without telling anyone.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    runRetryDelay: 1_000,
  });
  loop.on('error', (err) => {
    if (!isConnectionError(err)) log.warn({ err }, 'queue error');
  });
  loop.on('stalled', (jobId) => log.warn({ jobId, lane: lane.name }, 'a worker lost this job; it is taken again'));
  return loop;
}

function createIntakeProcessor(lane: Lane, handle: Handlers['intake'], log: Log): Processor {
  return async (job: Job) => {
    try {
      const event = lane.open(job.id, job.data);
      // An event that ends the process must not end the next one for ever.
      if (job.stalledCounter > maxIntakeLost) throw new FixError('internal', { details: { lost: job.stalledCounter } });
      await lane.remember(job.id ?? '');
      const { deliveryId } = event as { deliveryId?: unknown };
      await handle(event, log.child({ deliveryId, attempt: job.attemptsMade + 1 }));
    } catch (thrown) {
      const error = asFixError(thrown);
      log.error({ err: error, jobId: job.id, code: error.code, retry: error.row.retry }, 'intake failed');
      throw error.row.retry === 'later' ? new Error(error.code) : new UnrecoverableError(error.code);
    }
  };
}

/** Takes nothing new, waits for what runs, aborts what is left, and waits again while VMs are thrown away. */
async function drain(parts: Parts, graceMs: number): Promise<void> {
  parts.draining = true;
  const closed = Promise.all(parts.loops.map((loop) => loop.close()));
  await settled(parts.active.idle(), graceMs);
  parts.active.abortAll(new FixError('lock_lost', { details: { reason: 'shutdown' } }));
  await settled(parts.active.idle(), abortMs);
  // With Redis away BullMQ would wait for it; the jobs are then found stalled and taken again.
  await settled(closed, closeMs);
  await parts.heartbeat?.stop();
  await closeParts(parts);
}

function beat(
  parts: Parts,
  { prefix = 'mayfly', about, concurrency, heartbeat, log }: WorkerQueueOptions & { about: NonNullable<WorkerQueueOptions['about']> },
) {
  return startHeartbeat({
    redis: parts.redis,
    prefix,
    about: { ...about, concurrency },
    look: () => {
      const { draining } = parts;
      if (!draining && !parts.loops.every((loop) => loop.isTurning())) return null;
      return { runs: parts.active.ids().length, draining };
    },
    ...heartbeat,
    log,
  });
}

async function closeParts({ redis, intake, runs, cancellation }: Parts): Promise<void> {
  cancellation.close();
  await settled(Promise.all([intake.queue.close(), runs.queue.close()]), closeMs);
  redis.disconnect();
}

async function settled(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  return await within(timeoutMs, work).then(
    () => true,
    () => false,
  );
}
