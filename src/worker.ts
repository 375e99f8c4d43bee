/** Composition of the worker role: GitHub, queue, VMs, model. Only wiring. */
import type { Config } from './config.ts';
import { FixError } from './errors.ts';
import { runJob } from './bot/run-job.ts';
import type { IntakeTools } from './bot/scene.ts';
import type { ReviewTools } from './bot/review-intake.ts';
import { takeInEvent } from './bot/take-in-event.ts';
import { createPlaceTeller } from './bot/tell-places.ts';
import type { JobTools } from './bot/work.ts';
import { createGitHub } from './github/create-github.ts';
import type { GitHub } from './github/github.ts';
import type { Log, Secrets } from './log.ts';
import type { DailyLimits } from './queue/daily-budget.ts';
import type { AllLimits } from './queue/open-run.ts';
import { createWorkerQueue } from './queue/worker-queue.ts';
import { createFetch, createLayersFrom, createMirrorsFrom, createRunTools, openReserves } from './run-tools.ts';
import { version } from './version.ts';
import { readEvent } from './webhook/event.ts';

/** For one event. A shutdown does not cut it short: an event that ends as stopped is not tried again, and GitHub sends it once. */
const intakeMs = 5 * 60_000;
/** How soon people read that their place changed. */
const placesEveryMs = 10_000;
const redeliverEveryMs = 5 * 60_000;
/** GitHub keeps deliveries for three days; what is older than this was seen by an earlier look. */
const redeliverSinceMs = 24 * 60 * 60_000;

export interface WorkerOptions {
  readonly log: Log;
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
  /** False only against a stand-in: GitHub asks for a second between writes and three between comments. Default true. */
  readonly paced?: boolean;
  readonly onEvent?: JobTools['onEvent'];
  readonly onReport?: JobTools['onReport'];
}

/** Asks GitHub for failed deliveries again, now and every few minutes, until the returned function is called. */
function startRedelivery(github: GitHub, log: Log, signal: AbortSignal): () => void {
  const redeliver = async (): Promise<void> => {
    try {
      const count = await github.redeliverFailed(new Date(Date.now() - redeliverSinceMs), signal);
      if (count > 0) log.info({ count }, 'failed deliveries asked for again');
    } catch (err) {
      log.warn({ err }, 'failed deliveries could not be listed');
    }
  };
  void redeliver();
  const timer = setInterval(() => void redeliver(), redeliverEveryMs);
  return () => clearInterval(timer);
}

/** Resolves when the worker takes runs. Throws `redis_unavailable`, `github_credentials`, `template_missing` and the like. */
export async function startWorker(config: Config, options: WorkerOptions): Promise<{ close(graceMs: number): Promise<void> }> {
  const { log, secrets, signal } = options;
  const { APP_ID: appId, privateKey, REDIS_URL: redisUrl, MAYFLY_JOB_KEY: signingKey } = config;
  if (appId === undefined || privateKey === null || redisUrl === null || signingKey === null) throw new FixError('config_invalid');
  const github = createGitHub({
    appId,
    privateKey,
    apiUrl: config.apiUrl,
    webUrl: config.webUrl,
    secrets,
    log,
    fetch: createFetch(config),
    paced: options.paced ?? true,
  });
  const { slug } = await github.whoAmI(signal);
  const { provider, ...runTools } = await createRunTools(config, { log, secrets, model: config.MAYFLY_MODEL });
  const swept = [...(await provider.sweep()), ...(await createLayersFrom(config, log).sweep())];
  log.info({ slug, swept, provider: provider.name, because: runTools.providerReason }, 'worker starts');
  const queue = await createWorkerQueue({
    redisUrl,
    signingKey,
    concurrency: config.MAYFLY_CONCURRENCY,
    limits: runLimits(config),
    daily: dailyLimits(config),
    about: { version, provider: provider.name },
    lockMs: config.MAYFLY_LOCK_SECONDS * 1000,
    log,
  });
  const memory: JobTools['memory'] = { ...queue.keepsakes, remember: queue.remember, past: queue.past };
  // Last of what can fail: from here on VMs of ours may be alive.
  const { close: closeReserves, ...reserves } = openReserves(config, provider, log);
  const jobTools: JobTools = {
    ...runTools,
    ...reserves,
    github,
    mirrors: createMirrorsFrom(config, log),
    onEvent: options.onEvent ?? (() => {}),
    onReport: options.onReport ?? (() => {}),
    memory,
    vault: queue.vault,
    inTurn: queue.inTurn,
  };
  const handlers: Parameters<typeof queue.consume>[0] = {
    intake: createIntakeHandler({ github, queue, memory, inTurn: queue.inTurn, operator: runTools.operator }),
    run: (job, context) => runJob(job, context, jobTools),
  };
  await queue.consume(handlers).catch(async (error: unknown) => {
    await Promise.all([queue.close(0), closeReserves()]);
    throw error;
  });
  const closing = new AbortController();
  queue.onPlaces(createPlaceTeller({ github, log, signal: closing.signal }), placesEveryMs);
  const stopRedelivery = startRedelivery(github, log, signal);
  return {
    close: async (graceMs) => {
      stopRedelivery();
      closing.abort();
      // Runs that still end meanwhile boot what they need by themselves.
      await Promise.all([queue.close(graceMs), closeReserves()]);
    },
  };
}

function runLimits(config: Config): AllLimits {
  return {
    perRepository: config.MAYFLY_RUNS_PER_REPOSITORY,
    perInstallation: config.MAYFLY_RUNS_PER_INSTALLATION,
    perUserAndHour: config.MAYFLY_RUNS_PER_USER_AND_HOUR,
    perRepositoryAndDay: config.MAYFLY_RUNS_PER_REPOSITORY_AND_DAY,
  };
}

function createIntakeHandler(tools: Omit<IntakeTools & ReviewTools, 'countOutsider' | 'signal'>): (event: unknown, log: Log) => Promise<void> {
  // Since the start of this worker; it is in the log, with each of them.
  let outsiders = 0;
  return async (event, log) => {
    const known = readEvent(event);
    using deadline = startDeadline();
    await takeInEvent(known, { ...tools, countOutsider: () => (outsiders += 1), signal: deadline.signal }, log);
  };
}

function dailyLimits(config: Config): DailyLimits {
  return {
    costUsdPerRepository: config.MAYFLY_DAILY_COST_USD_PER_REPOSITORY,
    costUsdPerInstallation: config.MAYFLY_DAILY_COST_USD_PER_INSTALLATION,
    costUsdPerUser: config.MAYFLY_DAILY_COST_USD_PER_USER,
    tokensPerRepository: config.MAYFLY_DAILY_TOKENS_PER_REPOSITORY,
    tokensPerInstallation: config.MAYFLY_DAILY_TOKENS_PER_INSTALLATION,
    tokensPerUser: config.MAYFLY_DAILY_TOKENS_PER_USER,
  };
}

/** Its reason makes the queue try again. */
function startDeadline(): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new FixError('github_unavailable', { details: { reason: 'intake took too long' } })), intakeMs);
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}
