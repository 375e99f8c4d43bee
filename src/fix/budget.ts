/** How the day's budgets bound one run. */
import type { AgentLimits } from '../agent/loop.ts';
import type { Budget, BudgetShare, Limit } from '../job.ts';

/** The limits of a run, lowered to what is left of the day. */
export function capByBudget(limits: AgentLimits, share: BudgetShare | null): AgentLimits {
  if (share === null) return limits;
  return { ...limits, costUsd: Math.min(limits.costUsd, share.usd.amount), tokens: Math.min(limits.tokens, share.tokens.amount) };
}

/** The budget behind a limit that was reached; null when it was the run's own. */
export function findBudget(reached: Limit, limits: AgentLimits, share: BudgetShare | null): Budget | null {
  if (share === null) return null;
  if (reached === 'cost' && share.usd.amount < limits.costUsd) return share.usd.budget;
  if (reached === 'tokens' && share.tokens.amount < limits.tokens) return share.tokens.budget;
  return null;
}
