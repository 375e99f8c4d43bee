/**
 * What the runs of a repository, of an installation, and of one person in it, may spend in one day (UTC), over all workers.
 *
 * Reserve, then settle: a run that begins sets its share of what is left aside, so two runs at once never get the same
 * dollar; what it spends moves from there to the day's sum as it goes, so a run that is killed has spent it all the same;
 * the rest is given back at its end. A share is worth something as long as BullMQ's lock of its job is held with the same
 * token: a worker that died needs nobody to clean up. Totals are told, not differences, so telling twice counts once.
 * Which day it is says the clock of Redis: one for all workers.
 */
import type { Redis } from 'ioredis';
import type { Budget, BudgetShare, FixJob } from '../job.ts';
import { openScript, refundScript, tellScript } from './daily-budget-scripts.ts';
import type { Log } from '../log.ts';
import { within } from './deadline.ts';
import type { Lane } from './lane.ts';

export interface DailyLimits {
  readonly costUsdPerRepository: number;
  readonly costUsdPerInstallation: number;
  readonly costUsdPerUser: number;
  readonly tokensPerRepository: number;
  readonly tokensPerInstallation: number;
  /** One person in one installation. */
  readonly tokensPerUser: number;
}

export const unlimited: DailyLimits = {
  costUsdPerRepository: 1e6,
  costUsdPerInstallation: 1e6,
  costUsdPerUser: 1e6,
  tokensPerRepository: 1e12,
  tokensPerInstallation: 1e12,
  tokensPerUser: 1e12,
};

/** What a run may spend at most. */
export interface Wanted {
  /** Null when nothing is known of prices: money is not looked at, then. */
  readonly costUsd: number | null;
  readonly tokens: number;
  /** What the repository itself allows in a day, if that is less than the operator does. */
  readonly costUsdPerDay?: number;
}

/** Who asks: a job, and the token of the lock that its worker holds. */
export interface Holder {
  readonly jobId: string;
  readonly token: string;
}

export interface RefundableShare extends BudgetShare {
  /** After `close`: what was spent is there for others, for the run failed by a fault of ours. A day has its budget once more for this, and no more. */
  refund(): Promise<void>;
}

export interface Reached {
  readonly reached: Budget;
  /** When there is a new one, by the clock of Redis. */
  readonly freeAt: number;
}

export interface DailyBudgets {
  /** A share of what is left, or the budget of which nothing is. Throws `redis_unavailable`. */
  open(job: FixJob, holder: Holder, wanted: Wanted): Promise<RefundableShare | Reached>;
}

interface DailyBudgetOptions {
  readonly redis: Redis;
  readonly lane: Lane;
  readonly limits: DailyLimits;
  readonly log: Log;
  /** Added to the clock of Redis. */
  readonly aheadMs: () => number;
}

/** Longer than a run may last that began before midnight. */
const keptSeconds = 3 * 24 * 60 * 60;
const answerMs = 10_000;
const perUsd = 1e6;
const dayMs = 24 * 60 * 60_000;

export function createDailyBudgets(options: DailyBudgetOptions): DailyBudgets {
  const { redis, lane, limits, aheadMs } = options;
  const budgetsFor = ({ costUsdPerDay = Infinity }: Wanted) =>
    [
      { scope: 'repository', usd: Math.min(limits.costUsdPerRepository, costUsdPerDay), tokens: limits.tokensPerRepository },
      { scope: 'installation', usd: limits.costUsdPerInstallation, tokens: limits.tokensPerInstallation },
      { scope: 'user', usd: limits.costUsdPerUser, tokens: limits.tokensPerUser },
    ] as const;
  return {
    async open(job, { jobId, token }, wanted) {
      const at = aheadMs() + (await clockOf(redis));
      const budgets = budgetsFor(wanted);
      const day = new Date(at).toISOString().slice(0, 10);
      const owners = [`repository:${job.repository.id}`, `installation:${job.installationId}`, `user:${job.installationId}:${job.actor.id}`];
      const keys = owners.map((owner) => `${lane.prefix}:spend:${owner}:${day}`);
      const id = crypto.randomUUID();
      const wantedCost = wanted.costUsd === null ? -1 : Math.ceil(wanted.costUsd * perUsd);
      const limitsInOrder = budgets.flatMap(({ usd, tokens }) => [Math.floor(usd * perUsd), Math.floor(tokens)]);
      const asked = redis.eval(
        openScript,
        keys.length,
        ...keys,
        id,
        jobId,
        token,
        lane.queue.toKey(''),
        keptSeconds,
        wantedCost,
        Math.ceil(wanted.tokens),
        ...limitsInOrder,
      );
      const [opened, ...left] = (await within(answerMs, asked)) as number[];
      const usd = leastOf(
        budgets.map(({ scope, usd: limit }, index) => ({
          amount: wanted.costUsd === null ? Infinity : (left[2 * index] ?? 0) / perUsd,
          budget: { scope, unit: 'usd', limit },
        })),
      );
      const tokens = leastOf(
        budgets.map(({ scope, tokens: limit }, index) => ({ amount: left[2 * index + 1] ?? 0, budget: { scope, unit: 'tokens', limit } })),
      );
      if (opened !== 1) return { reached: usd.amount === 0 ? usd.budget : tokens.budget, freeAt: (Math.floor(at / dayMs) + 1) * dayMs };
      return createShare({ ...options, keys, id, limitsInOrder }, { usd, tokens });
    },
  };
}

async function clockOf(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await within(answerMs, redis.time());
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

type Left = BudgetShare['usd'];

/** The one that ends first; of equals the narrower one. */
function leastOf(all: readonly Left[]): Left {
  return all.reduce((least, one) => (one.amount < least.amount ? one : least));
}

function createShare(
  { redis, log, keys, id, limitsInOrder }: { redis: Redis; log: Log; keys: readonly string[]; id: string; limitsInOrder: readonly number[] },
  left: Pick<BudgetShare, 'usd' | 'tokens'>,
): RefundableShare {
  let last = [0, 0];
  // Money that cannot be written down now is not worth a run: the next call tells it, and without Redis the run ends soon.
  const write = async (closed: 0 | 1): Promise<void> => {
    await within(answerMs, redis.eval(tellScript, keys.length, ...keys, id, ...last, closed)).catch((err: unknown) =>
      log.warn({ err, share: id }, 'what a run has spent could not be written down'),
    );
  };
  return {
    ...left,
    tell(spent) {
      last = [Math.ceil(spent.costUsd * perUsd), Math.ceil(spent.tokens)];
      return write(0);
    },
    close: () => write(1),
    async refund() {
      const refunded = redis.eval(refundScript, keys.length, ...keys, ...last, ...limitsInOrder);
      await within(answerMs, refunded).catch((err: unknown) => log.warn({ err, share: id }, 'what a run has spent could not be given back'));
    },
  };
}
