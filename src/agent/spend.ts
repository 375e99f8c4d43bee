/** What a run has used, against what it may use. */
import type { Limit, Usage } from '../job.ts';
import type { Model, Reply } from '../model/model.ts';
import type { AgentLimits } from './loop.ts';

type Metered = Exclude<Limit, 'malformed_calls' | 'daily_budget'>;

/** Mutable: one per run, counted up by the loop. */
export interface Spend {
  steps: number;
  usage: Usage;
  /** What is known of it: null when nothing is, because the price of no model that answered is known. */
  costUsd: number | null;
}

export function startSpend(): Spend {
  return { steps: 0, usage: { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 }, costUsd: 0 };
}

export function addStep(spend: Spend, reply: Pick<Reply, 'usage' | 'by'>, asked: Model): void {
  spend.steps += 1;
  addUsage(spend, reply, asked);
}

/** Each model at its own price. Also for what a reply has used that broke on the way: that is no step. */
export function addUsage(spend: Spend, { usage, by }: Pick<Reply, 'usage' | 'by'>, asked: Model): void {
  const cost = (by ?? asked).cost(usage);
  spend.costUsd = cost === null ? spend.costUsd || null : (spend.costUsd ?? 0) + cost;
  spend.usage = {
    inputTokens: spend.usage.inputTokens + usage.inputTokens,
    outputTokens: spend.usage.outputTokens + usage.outputTokens,
    cachedInputTokens: spend.usage.cachedInputTokens + usage.cachedInputTokens,
  };
}

/** Both together. */
export function addSpend(one: Spend, other: Spend): Spend {
  const costUsd = one.costUsd === null || other.costUsd === null ? (one.costUsd ?? other.costUsd) : one.costUsd + other.costUsd;
  return {
    steps: one.steps + other.steps,
    usage: {
      inputTokens: one.usage.inputTokens + other.usage.inputTokens,
      outputTokens: one.usage.outputTokens + other.usage.outputTokens,
      cachedInputTokens: one.usage.cachedInputTokens + other.usage.cachedInputTokens,
    },
    costUsd,
  };
}

/** What of the limits is left after that. Of one that was reached nothing is, so that is asked first. */
export function lessSpent(limits: AgentLimits, { steps, usage, costUsd }: Spend): AgentLimits {
  const { inputTokens, outputTokens } = usage;
  return { ...limits, steps: limits.steps - steps, tokens: limits.tokens - inputTokens - outputTokens, costUsd: limits.costUsd - (costUsd ?? 0) };
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
