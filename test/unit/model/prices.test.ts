import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
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

describe('a price of the operator', () => {
  const { MAYFLY_MODEL_PRICES: given } = loadConfig('tool', {
    MAYFLY_MODEL_PRICES: 'anthropic/claude-sonnet-4-5=1:2:0.1, compatible/org/model:free=0:0 compatible/big=10:50.5',
  });

  it('goes over the table, also for a dated name, and says whose it is', () => {
    expect(findPrice('anthropic/claude-sonnet-4-5-20250929', given)).toEqual({ input: 1, output: 2, cached: 0.1, source: 'price set by the operator' });
    expect(findPrice('openai/gpt-5', given)?.source).toMatch(/^list price of \d{4}-\d\d$/);
  });

  it('makes a model known that is in no table; without another word cached input costs as much as other input', () => {
    expect(findPrice('compatible/big', given)).toMatchObject({ input: 10, output: 50.5, cached: 10 });
    expect(findPrice('compatible/org/model:free', given)).toMatchObject({ input: 0, output: 0, cached: 0 });
  });

  it.each([
    'gpt-5=1:2',
    'openai/gpt-5',
    'openai/gpt-5=1',
    'openai/gpt-5=1:2:3:4',
    'openai/gpt-5=-1:2',
    'openai/gpt-5=1e3:2',
    'openai/gpt-5=$1:$2',
    'openai/gpt-5=1:2=3',
    'openai/gpt-5=1:2 openai/gpt-5=1:3',
    'openai/gpt-5 = 1:2',
  ])('is a problem of the configuration when it is written as %s', (text) => {
    expect(() => loadConfig('tool', { MAYFLY_MODEL_PRICES: text })).toThrow(
      expect.objectContaining({ code: 'config_invalid', details: { problems: expect.arrayContaining([expect.stringContaining('vendor/name=input:output')]) } }),
    );
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
