/**
 * What models cost, in USD per million tokens. List prices as known in December 2025; vendors change them without notice,
 * so the operator can give another price, and a model that is not here has no price: only its tokens are counted.
 * Change the date with every change of the table: people see it beside what a run cost.
 */
import type { Usage } from '../job.ts';

/** USD per million tokens. */
export interface Price {
  readonly input: number;
  readonly output: number;
  /** Input that the vendor read from its cache. */
  readonly cached: number;
}

/** A price, and whose word it is: half a sentence for people. */
export interface KnownPrice extends Price {
  readonly source: string;
}

const listedIn = '2025-12';

const price = (input: number, output: number, cached: number): Price => ({ input, output, cached });

/** Anthropic bills what is written to its cache at 1.25 times the input, and we write nearly all of it; reads cost a tenth. */
const anthropic = (input: number, output: number): Price => price(input * 1.25, output, input * 0.1);

const prices: Readonly<Record<string, Price>> = {
  'anthropic/claude-opus-4-6': anthropic(5, 25),
  'anthropic/claude-opus-4-5': anthropic(5, 25),
  'anthropic/claude-opus-4-1': anthropic(15, 75),
  'anthropic/claude-opus-4': anthropic(15, 75),
  'anthropic/claude-sonnet-4-6': anthropic(3, 15),
  'anthropic/claude-sonnet-4-5': anthropic(3, 15),
  'anthropic/claude-sonnet-4': anthropic(3, 15),
  'anthropic/claude-3-7-sonnet': anthropic(3, 15),
  'anthropic/claude-haiku-4-5': anthropic(1, 5),
  'anthropic/claude-3-5-haiku': anthropic(0.8, 4),
  'openai/gpt-5.2': price(1.75, 14, 0.175),
  'openai/gpt-5.1': price(1.25, 10, 0.125),
  'openai/gpt-5': price(1.25, 10, 0.125),
  'openai/gpt-5-mini': price(0.25, 2, 0.025),
  'openai/gpt-5-nano': price(0.05, 0.4, 0.005),
  'openai/gpt-4.1': price(2, 8, 0.5),
  'openai/gpt-4.1-mini': price(0.4, 1.6, 0.1),
  'openai/gpt-4o': price(2.5, 10, 1.25),
  'openai/o3': price(2, 8, 0.5),
  'openai/o4-mini': price(1.1, 4.4, 0.275),
  // Prompts beyond 200,000 tokens cost twice as much at Google; we stay below.
  'google/gemini-3-pro-preview': price(2, 12, 0.2),
  'google/gemini-2.5-pro': price(1.25, 10, 0.125),
  'google/gemini-2.5-flash': price(0.3, 2.5, 0.03),
};

/** The price of `vendor/name`, also of a dated or `-latest` name of the same model; the operator's word comes first. Null when it is not known. */
export function findPrice(name: string, ofOperator: Readonly<Record<string, Price>> = {}): KnownPrice | null {
  const undated = name.replace(/-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest|0)$/, '');
  const lists = [
    { table: ofOperator, source: 'price set by the operator' },
    { table: prices, source: `list price of ${listedIn}` },
  ];
  for (const { table, source } of lists) {
    for (const key of [name, undated]) {
      const found = Object.hasOwn(table, key) ? table[key] : undefined;
      if (found !== undefined) return { ...found, source };
    }
  }
  return null;
}

/** USD for a usage. `cachedInputTokens` are part of `inputTokens`. */
export function costOf(rate: Price, usage: Usage): number {
  const fresh = Math.max(0, usage.inputTokens - usage.cachedInputTokens);
  return (fresh * rate.input + usage.cachedInputTokens * rate.cached + usage.outputTokens * rate.output) / 1e6;
}
