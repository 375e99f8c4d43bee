/** What a run has used, against what it may use. */
import type { Limit, Usage } from '../job.ts';
import type { Model } from '../model/model.ts';
import type { AgentLimits } from './loop.ts';

type Metered = Exclude<Limit, 'malformed_calls'>;

/** Mutable: one per run, counted up by the loop. */
export interface Spend {
  steps: number;
  usage: Usage;
  /** Null when the price of the model is not known. */
  costUsd: number | null;
}

export function startSpend(): Spend {
  return { steps: 0, usage: { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 }, costUsd: 0 };
}

export function addStep(spend: Spend, usage: Usage, model: Model): void {
  const cost = model.cost(usage);
  spend.steps += 1;
  spend.costUsd = cost === null || spend.costUsd === null ? null : spend.costUsd + cost;
  spend.usage = {
    inputTokens: spend.usage.inputTokens + usage.inputTokens,
    outputTokens: spend.usage.outputTokens + usage.outputTokens,
    cachedInputTokens: spend.usage.cachedInputTokens + usage.cachedInputTokens,
  };
}

/** The limit that leaves no further step, or null. */
export function findReached(spend: Spend, limits: AgentLimits, elapsedMs: number): Metered | null {
  return shares(spend, limits, elapsedMs / limits.hardTimeMs).find(([, share]) => share >= 1)?.[0] ?? null;
}

const wrapUpShare = 0.8;

/** The limits that come near: 80 % of each, and of time what the soft limit says. */
export function findNear(spend: Spend, limits: AgentLimits, elapsedMs: number): Metered[] {
  const time = elapsedMs >= limits.softTimeMs ? 1 : 0;
  return shares(spend, limits, time)
    .filter(([, share]) => share >= wrapUpShare)
    .map(([limit]) => limit);
}

function shares(spend: Spend, limits: AgentLimits, time: number): [Metered, number][] {
  return [
    ['steps', spend.steps / limits.steps],
    ['tokens', (spend.usage.inputTokens + spend.usage.outputTokens) / limits.tokens],
    ['cost', (spend.costUsd ?? 0) / limits.costUsd],
    ['time', time],
  ];
}

/** How many more steps like the last one the tokens and the money pay for. */
export function stepsLeft(spend: Spend, limits: AgentLimits, last: { readonly usage: Usage; readonly costUsd: number | null }): number {
  const tokens = (limits.tokens - spend.usage.inputTokens - spend.usage.outputTokens) / (last.usage.inputTokens + last.usage.outputTokens);
  const money = (limits.costUsd - (spend.costUsd ?? 0)) / (last.costUsd ?? 0);
  // Where nothing was counted, nothing runs out.
  return Math.min(Number.isNaN(tokens) ? Infinity : tokens, Number.isNaN(money) ? Infinity : money);
}
