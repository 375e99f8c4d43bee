import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FixError } from '../../src/errors.ts';
import type { BudgetShare } from '../../src/job.ts';
import { createDailyBudgets } from '../../src/queue/daily-budget.ts';
import { createLane } from '../../src/queue/lane.ts';
import { dailyLimits as daily, wantedOfDay as wanted } from '../support/budget.ts';
import { aJob } from '../support/jobs.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { BenchWorker, QueueBench, Running } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { jobKey } from '../support/web-role.ts';

let bench: QueueBench;
let worker: BenchWorker;
let begun: number;

describe.skipIf(redisIsMissing())('the budgets of a day', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
    worker = await start();
    begun = 0;
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  async function start(): Promise<BenchWorker> {
    const made = await bench.worker({ daily, limits: { perRepository: 10, perInstallation: 10 }, concurrency: 10 });
    await made.consume();
    return made;
  }

  async function begin(repositoryId = 1, on = worker): Promise<Running> {
    const job = aJob({ key: crypto.randomUUID(), repositoryId, issue: begun + 1 });
    await worker.queue.addRun(job);
    return await on.run(begun++);
  }

  const open = (run: Running, more: Partial<typeof wanted | { costUsd: null }> = {}): Promise<BudgetShare> => run.context.openBudget({ ...wanted, ...more });

  /** The budget of which nothing is left. */
  async function reached(run: Running, more: Partial<typeof wanted | { costUsd: null }> = {}): Promise<unknown> {
    const thrown: unknown = await open(run, more).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: 'over_limit' });
    return (thrown as FixError).details['reached'];
  }

  test('let a run wait that would get less than a tenth of what it wants, of each budget', async () => {
    const [first, second] = [await begin(), await begin()];
    const share = await open(first);
    await share.tell({ costUsd: 1.9, tokens: 1 });
    await share.close();

    expect(await reached(second)).toMatchObject({ scope: 'repository', unit: 'usd' });
    expect((await open(second, { costUsd: 0.9 })).usd.amount).toBeCloseTo(0.1);
  });

  test('give two runs at once what is there once', async () => {
    const runs = [await begin(), await begin(), await begin()];

    const opened = await Promise.allSettled(runs.map((run) => run.context.openBudget({ costUsd: 1.5, tokens: 1 })));

    const amounts = opened.map((one) => (one.status === 'rejected' ? 0 : Math.min(1.5, one.value.usd.amount))).toSorted((one, other) => one - other);
    expect(amounts).toEqual([0, 0.5, 1.5]);
    expect(opened.find((one) => one.status === 'rejected')?.reason).toMatchObject({
      code: 'over_limit',
      details: { reached: { scope: 'repository', unit: 'usd', limit: 2 } },
    });
  });

  test('take what was spent as it is told, give the rest back at the end, and count nothing twice', async () => {
    const first = await open(await begin());
    await first.tell({ costUsd: 0.3, tokens: 100 });
    await first.tell({ costUsd: 0.5, tokens: 200 });
    await first.tell({ costUsd: 0.5, tokens: 200 });
    const during = await open(await begin());
    expect(during).toMatchObject({ usd: { amount: 0.5 }, tokens: { amount: 400 } });
    await during.close();

    await first.close();
    await first.close();

    expect(await open(await begin())).toMatchObject({ usd: { amount: 1.5 }, tokens: { amount: 800 } });
  });

  test('count what goes over, too', async () => {
    const first = await open(await begin());
    await first.tell({ costUsd: 5, tokens: 100 });
    await first.close();

    expect(await reached(await begin())).toEqual({ scope: 'repository', unit: 'usd', limit: 2 });
  });

  test('tell which one is spent: of the installation, or of tokens', async () => {
    for (const repositoryId of [1, 2]) {
      const share = await open(await begin(repositoryId));
      await share.tell({ costUsd: 1.5, tokens: 10 });
      await share.close();
    }
    expect(await reached(await begin(3))).toEqual({ scope: 'installation', unit: 'usd', limit: 3 });

    const unpriced = await open(await begin(4), { costUsd: null });
    expect(unpriced.usd.amount).toBe(Infinity);
    await unpriced.tell({ costUsd: 0, tokens: 1_000 });
    await unpriced.close();
    expect(await reached(await begin(4), { costUsd: null })).toEqual({ scope: 'repository', unit: 'tokens', limit: 1_000 });
  });

  test('keep what a run has spent whose worker died, and give its share to the next', async () => {
    const lost = await begin();
    const share = await open(lost);
    await share.tell({ costUsd: 0.5, tokens: 100 });
    const other = await begin(1);
    expect(await open(other).then((one) => one.usd.amount)).toBe(0.5);

    // A lock that was not renewed, and that another worker has by now.
    await bench.direct.set(await lockOf(lost), 'another token');

    const next = await begin();
    expect((await open(next)).usd.amount).toBe(1);
  });

  async function lockOf({ job }: Running): Promise<string> {
    const jobs = await bench.lane('runs').getActive();
    const id = jobs.find((one) => JSON.stringify(one.data).includes(job.runId))?.id ?? '';
    return bench.lane('runs').toKey(`${id}:lock`);
  }

  test('take fractions of tokens, rounded up, and leave no fraction of one', async () => {
    const share = await open(await begin(), { tokens: 600.5 });
    await share.tell({ costUsd: 0.5, tokens: 99.2 });
    await share.tell({ costUsd: 0.5, tokens: 99.7 });
    await share.close();
    expect(await open(await begin())).toMatchObject({ usd: { amount: 1.5 }, tokens: { amount: 900 } });

    const { budgets, lane, holder } = await aClock(() => new Date(), { ...daily, tokensPerRepository: 0.5 });
    expect(await budgets.open(aJob(), holder, wanted)).toMatchObject({ reached: { scope: 'repository', unit: 'tokens', limit: 0.5 } });
    await lane.queue.close();
  });

  test('have one for each person, whatever the repository, that leaves other people theirs', async () => {
    const { budgets, lane, holder } = await aClock(() => new Date('2026-01-01T12:00:00Z'), { ...daily, costUsdPerUser: 0.5 });
    const by = (login: string, id: number, repositoryId: number) => ({ ...aJob({ repositoryId }), actor: { id, login } });
    const share = await budgets.open(by('ada', 1, 5), holder, wanted);
    if ('reached' in share) throw new Error('there is nothing left at the beginning of a day');
    expect(share.usd).toEqual({ amount: 0.5, budget: { scope: 'user', unit: 'usd', limit: 0.5 } });
    await share.tell({ costUsd: 0.5, tokens: 1 });
    await share.close();

    expect(await budgets.open(by('ada', 1, 6), holder, wanted)).toMatchObject({ reached: { scope: 'user', unit: 'usd' } });
    expect(await budgets.open(by('grace', 2, 6), holder, wanted)).toMatchObject({ usd: { amount: 0.5 } });
    await lane.queue.close();
  });

  test('are as narrow as the settings of the repository want them, for that repository alone', async () => {
    const share = await begin().then((run) => run.context.openBudget({ ...wanted, costUsdPerDay: 0.25 }));
    expect(share.usd).toEqual({ amount: 0.25, budget: { scope: 'repository', unit: 'usd', limit: 0.25 } });
    await share.tell({ costUsd: 0.25, tokens: 1 });
    await share.close();

    const again = await begin();
    const refused: unknown = await again.context.openBudget({ ...wanted, costUsdPerDay: 0.25 }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'over_limit', details: { reached: { scope: 'repository', limit: 0.25 } } });
    expect(await begin(2).then((run) => run.context.openBudget({ ...wanted, costUsdPerDay: 9 }))).toMatchObject({ usd: { amount: 2 } });
  });

  /** Budgets of their own, by a clock of the test; `j` holds its lock. */
  async function aClock(now: () => Date, limits = daily) {
    const lane = createLane({ name: 'runs', prefix: 'other', signingKey: jobKey, redis: bench.direct, log: worker.log, jobOptions: {} });
    await bench.direct.set(lane.queue.toKey('j:lock'), 't');
    return {
      lane,
      holder: { jobId: 'j', token: 't' },
      budgets: createDailyBudgets({ redis: bench.direct, lane, limits, log: worker.log, aheadMs: () => now().getTime() - Date.now() }),
    };
  }

  test('give a day what is left of it when a clock steps back over midnight, and neither day more than its own', async () => {
    let today = '2026-01-01T23:59:00Z';
    const { budgets, lane, holder } = await aClock(() => new Date(today));
    const spend = async (costUsd: number): Promise<BudgetShare> => {
      const share = await budgets.open(aJob(), holder, { costUsd: 5, tokens: 1 });
      if ('reached' in share) throw new Error('nothing is left');
      await share.tell({ costUsd, tokens: 1 });
      return share;
    };
    await (await spend(1.5)).close();
    today = '2026-01-02T00:01:00Z';
    const next = await spend(0.5);

    today = '2026-01-01T23:58:00Z';
    await next.tell({ costUsd: 1, tokens: 1 });
    await next.close();
    expect(await budgets.open(aJob(), holder, { costUsd: 0.1, tokens: 1 })).toMatchObject({ usd: { amount: 0.5 } });
    await (await spend(0.4)).close();

    today = '2026-01-02T00:01:00Z';
    expect(await budgets.open(aJob(), holder, wanted)).toMatchObject({ usd: { amount: 1 } });
    await lane.queue.close();
  });

  test('begin anew at midnight UTC; a run counts for the day on which it began', async () => {
    let today = '2026-01-01T23:59:00Z';
    const { budgets, lane, holder } = await aClock(() => new Date(today));
    const old = await budgets.open(aJob(), holder, { costUsd: 5, tokens: 1 });
    if ('reached' in old) throw new Error('it is a new day');
    expect(await budgets.open(aJob(), holder, wanted)).toMatchObject({ reached: { unit: 'usd' } });

    today = '2026-01-02T00:01:00Z';
    await old.tell({ costUsd: 2, tokens: 1 });

    expect(await budgets.open(aJob(), holder, wanted)).toMatchObject({ usd: { amount: 2 } });
    await lane.queue.close();
  });

  test('have one key for each scope and day, which goes by itself and names no one', async () => {
    const share = await open(await begin());
    await share.tell({ costUsd: 0.000_001, tokens: 1 });
    await share.close();

    const keys = await bench.direct.keys('mayfly:spend:*');

    expect(keys.toSorted()).toEqual([
      expect.stringMatching(/^mayfly:spend:installation:55:\d{4}-\d\d-\d\d$/),
      expect.stringMatching(/^mayfly:spend:repository:1:\d{4}-\d\d-\d\d$/),
      expect.stringMatching(/^mayfly:spend:user:55:31:\d{4}-\d\d-\d\d$/),
    ]);
    for (const key of keys) {
      expect(await bench.direct.hgetall(key)).toEqual({ cost: '1', tokens: '1' });
      expect(await bench.direct.ttl(key)).toBeGreaterThan(2 * 24 * 60 * 60);
    }
  });

  test('are no reason to end a run when Redis does not answer: the next call tells it all', async () => {
    const share = await open(await begin());
    await bench.direct.call('CONFIG', 'SET', 'maxmemory', '1');
    await share.tell({ costUsd: 0.1, tokens: 10 });
    expect(worker.lines.some((line) => line.includes('could not be written down'))).toBe(true);

    await bench.direct.call('CONFIG', 'SET', 'maxmemory', '0');
    await share.tell({ costUsd: 0.2, tokens: 20 });

    await share.close();
    expect(await open(await begin())).toMatchObject({ usd: { amount: 1.8 }, tokens: { amount: 980 } });
  });
});
