/** The worker role's end of the queue: takes events and runs, adds runs, stops them. */
import type { Redis } from 'ioredis';
import { FixError } from '../errors.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import { createActiveRuns } from './active-runs.ts';
import type { ActiveRuns } from './active-runs.ts';
import { createCancellation } from './cancellation.ts';
import type { Cancellation } from './cancellation.ts';
import { connect, isConnectionError } from './connection.ts';
import { createDailyBudgets, unlimited } from './daily-budget.ts';
import type { DailyLimits } from './daily-budget.ts';
import { within } from './deadline.ts';
import { createDispatcher } from './dispatcher.ts';
import type { Dispatcher } from './dispatcher.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { Heartbeat, HeartbeatTiming } from './heartbeat.ts';
import { createHistory } from './history.ts';
import { createInbox } from './inbox.ts';
import type { Inbox } from './inbox.ts';
import { intakeJobOptions, intakePauseMs, runJobOptions } from './job-options.ts';
import { createKeepsakes } from './keepsakes.ts';
import { createLane } from './lane.ts';
import type { Lane } from './lane.ts';
import type { AllLimits, RunLimits } from './open-run.ts';
import { createOutages } from './outages.ts';
import type { Outages } from './outages.ts';
import { createPlaceBook } from './place-book.ts';
import type { PlaceBook } from './place-book.ts';
import type { Place } from './places.ts';
import { createIntakeProcessor } from './process-intake.ts';
import { createRunProcessor } from './process-run.ts';
import { QueueLoop } from './queue-loop.ts';
import type { WorkerQueue } from './queue.ts';
import { createRing } from './ring.ts';
import type { Ring } from './ring.ts';
import { createSeal } from './seal.ts';
import { createSubjects } from './subjects.ts';
import type { Subject, Subjects } from './subjects.ts';
import { createInTurn } from './turns.ts';
import { createVault } from './vault.ts';

export interface WorkerQueueOptions {
  readonly redisUrl: string;
  /** Of every key in Redis. Default `mayfly`. */
  readonly prefix?: string;
  readonly signingKey: string;
  /** Runs at once on this worker. */
  readonly concurrency: number;
  /** Over all workers. Default: one run at once in a repository, three in an installation, and as many as there are hands. */
  readonly limits?: Partial<AllLimits>;
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
  /** Added to the clock of Redis, which decides about limits and pauses: for tests that cannot wait for midnight. */
  readonly aheadMs?: () => number;
}

const startMs = 5_000;
const addMs = 10_000;
const intakeConcurrency = 4;
/** Given to aborted runs for throwing their VMs away. */
export const abortMs = 60_000;
const closeMs = 5_000;
const defaultLockMs = 30_000;
const watchMs = 2_000;

const unlimitedRuns = 1e9;
const onTime = (): number => 0;

type Handlers = Parameters<WorkerQueue['consume']>[0];

interface Parts {
  readonly redis: Redis;
  readonly intake: Lane;
  readonly runs: Lane;
  readonly ring: Ring;
  readonly dispatcher: Dispatcher;
  readonly places: PlaceBook;
  readonly subjects: Subjects;
  readonly inbox: Inbox;
  readonly outages: Outages;
  readonly active: ActiveRuns;
  readonly cancellation: Cancellation;
  readonly loops: QueueLoop[];
  readonly watches: (() => void)[];
  readonly state: { draining: boolean };
  heartbeat: { stop(): Promise<void> } | null;
}

/** Redis answers when it resolves. Throws `redis_unavailable` within seconds, `config_invalid`. */
export async function createWorkerQueue(options: WorkerQueueOptions): Promise<WorkerQueue> {
  const parts = createParts(options);
  await within(startMs, parts.redis.ping()).catch(async (thrown: unknown) => {
    await closeParts(parts);
    throw thrown;
  });
  const { prefix = 'mayfly', signingKey } = options;
  const shared = { redis: parts.redis, prefix, signingKey };
  const history = createHistory(parts.redis, prefix);
  const vault = createVault(shared);
  return {
    keepsakes: createKeepsakes({ ...shared, seal: createSeal(signingKey, 'keepsakes') }),
    vault,
    addRun: (job, limits = {}) => addRun(job, limits, parts),
    later: async (event, delayMs) => void (await parts.intake.add(event.key, event, addMs, delayMs)),
    hasRun: (key) => within(addMs, parts.runs.has(key)),
    async cancelIssue(repositoryId, issue, reason, { login, event } = {}) {
      const stopped = await within(addMs, parts.cancellation.cancel({ repositoryId, issue }, { reason, login }, event ?? null));
      void parts.dispatcher.turn();
      // Nobody asks any more for what such a run had finished before GitHub went away.
      await Promise.all(stopped.filter(({ waited }) => waited).map(({ runId }) => vault.drop(runId)));
      return stopped;
    },
    find: async (subject) => (await within(addMs, placesFor(subject, parts))).map(([, place]) => place),
    async tell(subject, message) {
      const [first] = await within(addMs, placesFor(subject, parts));
      if (!first) return 'none';
      const [jobId, { state }] = first;
      const put = await within(addMs, parts.inbox.put(jobId, message));
      return put === 'kept' ? state : put;
    },
    inTurn: createInTurn(parts.redis, prefix),
    onPlaces: (callback, everyMs = watchMs) => void parts.watches.push(parts.places.watch(callback, everyMs)),
    remember: (repositoryId, summary) => within(addMs, history.remember(repositoryId, summary)),
    past: (repositoryId) => within(addMs, history.past(repositoryId)),
    async consume(handlers) {
      await within(startMs, parts.cancellation.listen());
      parts.loops.push(...createLoops(handlers, parts, options));
      await within(startMs, parts.dispatcher.start());
      if (options.about) parts.heartbeat = await beat(parts, { ...options, about: options.about });
    },
    close: (graceMs) => drain(parts, graceMs),
  };
}

async function addRun(job: FixJob, limits: RunLimits, { runs, ring, subjects, dispatcher }: Parts): Promise<boolean> {
  await within(addMs, subjects.note(job));
  const added = await runs.add(job.key, { ...job, limits }, addMs);
  // Whoever dies here leaves a run that the next sweep enters.
  if (added) await within(addMs, ring.enter(runs.jobId(job.key), job, limits));
  await within(addMs, dispatcher.turn());
  return added;
}

/** What works first, then what starts first. */
async function placesFor(subject: Subject, { subjects, places }: Parts): Promise<(readonly [jobId: string, place: Place])[]> {
  const jobIds = await subjects.jobsOf(subject);
  if (jobIds.length === 0) return [];
  const all = await places.read();
  const found = jobIds.flatMap((jobId) => {
    const place = all.get(jobId);
    return place ? [[jobId, place] as const] : [];
  });
  return found.toSorted(([, one], [, other]) => one.place - other.place);
}

function createParts(options: WorkerQueueOptions): Parts {
  const { redisUrl, prefix = 'mayfly', signingKey, attempts = 3, lockMs = defaultLockMs, concurrency, log, aheadMs = onTime } = options;
  const limits: AllLimits = { perRepository: 1, perInstallation: 3, perUserAndHour: unlimitedRuns, perRepositoryAndDay: unlimitedRuns, ...options.limits };
  const redis = connect(redisUrl, log);
  const shared = { prefix, signingKey, redis, log };
  const intake = createLane({ ...shared, name: 'intake', jobOptions: intakeJobOptions });
  const runs = createLane({ ...shared, name: 'runs', jobOptions: runJobOptions(attempts) });
  const active = createActiveRuns();
  const state = { draining: false };
  const ring = createRing({ redis, lane: runs, limits, log, aheadMs });
  const hands = (): number => (state.draining ? active.ids().length : concurrency);
  const inbox = createInbox({ redis, prefix, seal: createSeal(signingKey, 'messages') });
  const subjects = createSubjects(redis, runs);
  const outages = createOutages(redis, prefix);
  const onGone = async (jobId: string): Promise<void> => void (await Promise.all([ring.release(jobId), inbox.clear(jobId), outages.forget(jobId)]));
  return {
    redis,
    intake,
    runs,
    ring,
    dispatcher: createDispatcher({ ring, lane: runs, hands, lockMs, log }),
    places: createPlaceBook({ redis, lane: runs, ring, limits, log }),
    subjects,
    inbox,
    outages,
    active,
    cancellation: createCancellation({ redis, lane: runs, ring, active, subjects, seal: createSeal(signingKey, 'cancelled'), onGone, log }),
    loops: [],
    watches: [],
    state,
    heartbeat: null,
  };
}

function createLoops(handlers: Handlers, parts: Parts, options: WorkerQueueOptions): QueueLoop[] {
  const { redis, intake, runs, active } = parts;
  const { attempts = 3, backoffMs = 10_000, lockMs = defaultLockMs, daily = unlimited, log, concurrency, aheadMs = onTime } = options;
  const { idleMs = 5_000, silentMs = 60_000 } = options.heartbeat ?? {};
  const shared = { redis, lockMs, log, idleMs, silentMs };
  const budgets = createDailyBudgets({ redis, lane: runs, limits: daily, log, aheadMs });
  const runProcessor = createRunProcessor({ ...parts, lane: runs, budgets, attempts, backoffMs, lockMs, log, run: handlers.run });
  const intakeLoop = createLoop(intake, createIntakeProcessor(intake, handlers.intake, log), {
    ...shared,
    concurrency: intakeConcurrency,
    pauseMs: intakePauseMs,
  });
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
  readonly pauseMs?: (attemptsMade: number) => number;
  readonly log: Log;
}

function createLoop(lane: Lane, processor: Processor, options: LoopOptions): QueueLoop {
  const { redis, concurrency, lockMs, idleMs, silentMs, pauseMs, log } = options;
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
    ...(pauseMs && { settings: { backoffStrategy: pauseMs } }),
  });
  loop.on('error', (err) => {
    if (!isConnectionError(err)) log.warn({ err }, 'queue error');
  });
  loop.on('stalled', (jobId) => log.warn({ jobId, lane: lane.name }, 'a worker lost this job; it is taken again'));
  return loop;
}

/** Takes nothing new, waits for what runs, aborts what is left, and waits again while VMs are thrown away. */
async function drain(parts: Parts, graceMs: number): Promise<void> {
  parts.state.draining = true;
  for (const end of parts.watches) end();
  void parts.dispatcher.turn();
  const closed = Promise.all(parts.loops.map((loop) => loop.close()));
  await settled(parts.active.idle(), graceMs);
  parts.active.abortAll(new FixError('lock_lost', { details: { reason: 'shutdown' } }));
  await settled(parts.active.idle(), abortMs);
  // With Redis away BullMQ would wait for it; the jobs are then found stalled and taken again.
  await settled(closed, closeMs);
  await parts.dispatcher.stop();
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
      const { draining } = parts.state;
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
