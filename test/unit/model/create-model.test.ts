import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createModel } from '../../../src/model/create-model.ts';
import type { ModelOptions } from '../../../src/model/create-model.ts';

const options: ModelOptions = { name: 'anthropic/claude-sonnet-4-5', apiKey: 'k', baseUrl: null, log: pino({ level: 'silent' }) };
const usage = { inputTokens: 1_000_000, outputTokens: 0, cachedInputTokens: 0 };

describe('createModel', () => {
  it.each(['', 'gpt-5', 'openai/', '/gpt-5', 'mistral/large', 'constructor/x', 'OpenAI/gpt-5', 'openai/a b'])('does not take %j for a model', (name) => {
    expect(() => createModel({ ...options, name })).toThrow(expect.objectContaining({ code: 'model_unknown' }));
  });

  it('takes a name with further slashes', () => {
    expect(createModel({ ...options, name: 'compatible/org/model:free', baseUrl: 'http://127.0.0.1:1' }).name).toBe('compatible/org/model:free');
  });

  it.each([null, 'not a url'])('needs the address of a compatible server, and %j is none', (baseUrl) => {
    expect(() => createModel({ ...options, name: 'compatible/x', baseUrl })).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });

  it('takes the price of the table, of the operator, or none', () => {
    expect(createModel(options).cost(usage)).toBeCloseTo(3.75);
    expect(createModel({ ...options, price: { input: 1, output: 1, cached: 1, source: 'x' } }).cost(usage)).toBe(1);
    expect(createModel({ ...options, price: null }).cost(usage)).toBeNull();
  });
});
