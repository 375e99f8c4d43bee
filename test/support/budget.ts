/** A run's share of the day, in name only. */
import type { BudgetShare, Spent } from '../../src/job.ts';

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
