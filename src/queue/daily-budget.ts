/**
 * What the runs of a repository, and of an installation, may spend in one day (UTC), over all workers.
 *
 * Reserve, then settle: a run that begins sets its share of what is left aside, so two runs at once never get the same
 * dollar; what it spends moves from there to the day's sum as it goes, so a run that is killed has spent it all the same;
 * the rest is given back at its end. A share is worth something as long as BullMQ's lock of its job is held with the same
 * token: a worker that died needs nobody to clean up. Totals are told, not differences, so telling twice counts once.
 */
import type { Redis } from 'ioredis';
import type { Budget, BudgetShare, FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import { within } from './deadline.ts';
import type { Lane } from './lane.ts';

export interface DailyLimits {
  readonly costUsdPerRepository: number;
  readonly costUsdPerInstallation: number;
  readonly tokensPerRepository: number;
  readonly tokensPerInstallation: number;
}

/** What a run may spend at most. */
export interface Wanted {
  /** Null when nothing is known of prices: money is not looked at, then. */
  readonly costUsd: number | null;
  readonly tokens: number;
}

/** Who asks: a job, and the token of the lock that its worker holds. */
export interface Holder {
  readonly jobId: string;
  readonly token: string;
}

export interface DailyBudgets {
  /** A share of what is left, or the budget of which nothing is. Throws `redis_unavailable`. */
  open(job: FixJob, holder: Holder, wanted: Wanted): Promise<BudgetShare | { readonly reached: Budget }>;
}

/**
 * Whole numbers only: `HINCRBY` refuses others in the middle of a script, which is not taken back, and an answer loses them.
 * KEYS: one hash per budget, with the sums `cost` (millionths of a USD) and `tokens`, and `run:<share>` for each share.
 * ARGV: share, job id, token, prefix of BullMQ's job keys, seconds to keep, wanted cost (-1: not looked at) and tokens,
 * then the limit of cost and of tokens for each hash. Sets aside in all hashes or in none; returns 1 or 0, then what was
 * left of cost and tokens in each.
 */
const openScript = `
local wants = { cost = tonumber(ARGV[6]), tokens = tonumber(ARGV[7]) }
local share = { job = ARGV[2], token = ARGV[3], cost = 0, tokens = 0, held = { cost = math.max(0, wants.cost), tokens = wants.tokens } }
local answer = { 1 }
for index, key in ipairs(KEYS) do
  local held = { cost = 0, tokens = 0 }
  local fields = redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    if string.sub(fields[at], 1, 4) == 'run:' then
      local run = cjson.decode(fields[at + 1])
      if redis.call('GET', ARGV[4] .. run.job .. ':lock') == run.token then
        held.cost = held.cost + run.held.cost
        held.tokens = held.tokens + run.held.tokens
      end
    end
  end
  for number, unit in ipairs({ 'cost', 'tokens' }) do
    local spent = tonumber(redis.call('HGET', key, unit) or '0')
    local left = math.max(0, tonumber(ARGV[5 + 2 * index + number]) - spent - held[unit])
    if left == 0 and wants[unit] >= 0 then answer[1] = 0 end
    share.held[unit] = math.min(share.held[unit], left)
    answer[#answer + 1] = left
  end
end
if answer[1] == 1 then
  for _, key in ipairs(KEYS) do
    redis.call('HSET', key, 'run:' .. ARGV[1], cjson.encode(share))
    redis.call('EXPIRE', key, ARGV[5])
  end
end
return answer
`;

/**
 * KEYS: the same hashes. ARGV: share, what it has spent so far (cost, tokens), 1 when it is closed.
 * What is more than was told before is added to the sums. A share that is not there was closed.
 */
const tellScript = `
for _, key in ipairs(KEYS) do
  local text = redis.call('HGET', key, 'run:' .. ARGV[1])
  if text then
    local run = cjson.decode(text)
    for number, unit in ipairs({ 'cost', 'tokens' }) do
      local more = math.max(0, tonumber(ARGV[1 + number]) - run[unit])
      if more > 0 then redis.call('HINCRBY', key, unit, more) end
      run[unit] = run[unit] + more
      run.held[unit] = math.max(0, run.held[unit] - more)
    end
    if ARGV[4] == '1' then redis.call('HDEL', key, 'run:' .. ARGV[1])
    else redis.call('HSET', key, 'run:' .. ARGV[1], cjson.encode(run)) end
  end
end
`;

/** Longer than a run may last that began before midnight. */
const keptSeconds = 3 * 24 * 60 * 60;
const answerMs = 10_000;
const perUsd = 1e6;

export function createDailyBudgets(options: { redis: Redis; lane: Lane; limits: DailyLimits; log: Log; now?: () => Date }): DailyBudgets {
  const { redis, lane, limits, now = () => new Date() } = options;
  const budgets = [
    { scope: 'repository', usd: limits.costUsdPerRepository, tokens: limits.tokensPerRepository },
    { scope: 'installation', usd: limits.costUsdPerInstallation, tokens: limits.tokensPerInstallation },
  ] as const;
  return {
    async open(job, { jobId, token }, wanted) {
      const day = now().toISOString().slice(0, 10);
      const keys = [`${lane.prefix}:spend:repository:${job.repository.id}:${day}`, `${lane.prefix}:spend:installation:${job.installationId}:${day}`];
      const id = crypto.randomUUID();
      const wantedCost = wanted.costUsd === null ? -1 : Math.ceil(wanted.costUsd * perUsd);
      const limitsInOrder = budgets.flatMap(({ usd, tokens }) => [Math.floor(usd * perUsd), Math.floor(tokens)]);
      const asked = redis.eval(
        openScript,
        2,
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
      if (opened !== 1) return { reached: usd.amount === 0 ? usd.budget : tokens.budget };
      return createShare({ ...options, keys, id }, { usd, tokens });
    },
  };
}

type Left = BudgetShare['usd'];

/** The one that ends first; of equals the narrower one. */
function leastOf(all: readonly Left[]): Left {
  return all.reduce((least, one) => (one.amount < least.amount ? one : least));
}

function createShare(
  { redis, log, keys, id }: { redis: Redis; log: Log; keys: readonly string[]; id: string },
  left: Pick<BudgetShare, 'usd' | 'tokens'>,
): BudgetShare {
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
  };
}
