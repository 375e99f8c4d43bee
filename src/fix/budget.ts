/** How the day's budgets bound one run. */
import type { AgentLimits } from '../agent/loop.ts';
import { lessSpent } from '../agent/spend.ts';
import type { Budget, BudgetShare, Limit } from '../job.ts';
import type { RunReport } from './report.ts';

/** The limits of a run, lowered to what is left of the day. */
export function capByBudget(limits: AgentLimits, share: BudgetShare | null): AgentLimits {
  if (share === null) return limits;
  return { ...limits, costUsd: Math.min(limits.costUsd, share.usd.amount), tokens: Math.min(limits.tokens, share.tokens.amount) };
}

/** What an attempt may still use of what the run may. */
export function leftOfRun(limits: AgentLimits, { earlier }: Pick<RunReport, 'earlier'>): Pick<AgentLimits, 'costUsd' | 'tokens'> {
  const { costUsd, tokens } = earlier === null ? limits : lessSpent(limits, earlier);
  return { costUsd: Math.max(0, costUsd), tokens: Math.max(0, tokens) };
}

/** The budget behind a limit that was reached; null when it was the run's own. */
export function findBudget(reached: Limit, limits: AgentLimits, share: BudgetShare | null): Budget | null {
  if (share === null) return null;
  if (reached === 'cost' && share.usd.amount < limits.costUsd) return share.usd.budget;
  if (reached === 'tokens' && share.tokens.amount < limits.tokens) return share.tokens.budget;
  return null;
}
