import { describe, expect, it } from 'vitest';
import { costOf, findPrice } from '../../../src/model/prices.ts';

describe('findPrice', () => {
  it('knows a model also by its dated name', () => {
    for (const name of [
      'anthropic/claude-sonnet-4-5',
      'anthropic/claude-sonnet-4-5-20250929',
      'anthropic/claude-3-5-haiku-latest',
      'openai/gpt-5-2025-08-07',
      'anthropic/claude-opus-4-0',
    ]) {
      expect(findPrice(name)).not.toBeNull();
    }
  });

  it('knows no price of a model that is not in the table, however alike its name', () => {
    for (const name of [
      'anthropic/claude-sonnet-9',
      'openai/gpt-5-pro',
      'compatible/claude-sonnet-4-5',
      'openai/gpt-5-mini-high',
      '__proto__',
      'constructor',
    ]) {
      expect(findPrice(name)).toBeNull();
    }
  });
});

describe('costOf', () => {
  it('counts cached input at its own price, and only once', () => {
    const usage = { inputTokens: 1_000_000, outputTokens: 100_000, cachedInputTokens: 900_000 };

    expect(costOf({ input: 10, output: 50, cached: 1 }, usage)).toBeCloseTo(1 + 0.9 + 5);
  });

  it('is never negative, whatever a server counts', () => {
    expect(costOf({ input: 10, output: 50, cached: 0 }, { inputTokens: 1, outputTokens: 0, cachedInputTokens: 100 })).toBe(0);
  });
});
