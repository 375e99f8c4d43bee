/** Money and tokens of a day: small limits, and a run's share in name only. */
import type { BudgetShare, Spent } from '../../src/job.ts';
import type { DailyLimits } from '../../src/queue/daily-budget.ts';

/** One run of `wantedOfDay` fits into each, two into none. */
export const dailyLimits: DailyLimits = {
  costUsdPerRepository: 2,
  costUsdPerInstallation: 3,
  costUsdPerUser: 3,
  tokensPerRepository: 1_000,
  tokensPerInstallation: 1_500,
  tokensPerUser: 1_500,
};

export const wantedOfDay = { costUsd: 1.5, tokens: 600 };

export interface FakeShare extends BudgetShare {
  /** What it was told, in order, and `closed` at the end. */
  readonly told: readonly (Spent | 'closed')[];
}

export function aShare({ usd = Infinity, tokens = Infinity }: { usd?: number; tokens?: number } = {}): FakeShare {
  const told: (Spent | 'closed')[] = [];
  return {
    usd: { amount: usd, budget: { scope: 'repository', unit: 'usd', limit: 25 } },
    tokens: { amount: tokens, budget: { scope: 'installation', unit: 'tokens', limit: 1_000_000 } },
    told,
    tell: async (spent) => void told.push(spent),
    close: async () => void told.push('closed'),
  };
}
