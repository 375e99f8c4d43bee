/** What a reply has used that broke on the way, and what a vendor may make us keep. Real HTTP. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createModel } from '../../src/model/create-model.ts';
import type { Model, Question } from '../../src/model/model.ts';
import { anthropicWire, brokenStream, chatWire, openStream, shortStream, startModelServer, stream } from '../support/model-server.ts';

const log = pino({ level: 'silent' });
const [claude, own] = ['anthropic/claude-sonnet-4-5', 'compatible/local'];
const aModel = (name: string, baseUrl: string): Model => createModel({ name, apiKey: 'key-0123456789', baseUrl, log, timing: { retryDelayMs: 1 } });

function aQuestion(more: Partial<Question> = {}): Question {
  const messages = [{ role: 'user' as const, text: 'x'.repeat(3000) }];
  return { system: 'Be careful.', messages, tools: [], maxOutputTokens: 1000, signal: new AbortController().signal, ...more };
}

/** Asks, and tells what was lost on the way. */
async function losses(name: string, baseUrl: string, more: Partial<Question> = {}): Promise<{ inputTokens: number; outputTokens: number }[]> {
  const lost: { inputTokens: number; outputTokens: number }[] = [];
  await aModel(name, baseUrl).ask(aQuestion({ onLost: ({ usage }) => lost.push(usage), ...more }));
  return lost;
}

describe.each([
  { name: claude, wire: anthropicWire, started: 1 },
  { name: own, wire: chatWire, started: 1 },
])('$name', ({ name, wire, started }) => {
  const fine = stream(wire({ text: 'Well.' }));

  it('is paid for its input when it breaks before a word of it is seen', async () => {
    await using server = await startModelServer(brokenStream(wire({ text: '' }).slice(0, started)), fine);

    const lost = await losses(name, server.baseUrl);

    expect(lost).toEqual([expect.objectContaining({ outputTokens: 0 })]);
    expect(lost[0]?.inputTokens).toBeGreaterThan(1000);
  });

  it('is not paid for what it never began', async () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    await using server = await startModelServer(shortStream([name === claude ? { type: 'error', error } : { error }]), fine);

    expect(await losses(name, server.baseUrl)).toEqual([]);
  });

  it('says what the vendor said, when the stream of that stays open', async () => {
    const error = { type: 'rate_limit_error', message: 'Too many.' };
    const begin = wire({ text: 'Half' }).slice(0, name === claude ? 4 : 2);
    await using server = await startModelServer(openStream([...begin, name === claude ? { type: 'error', error } : { error }]));
    const model = createModel({ name, apiKey: 'key-0123456789', baseUrl: server.baseUrl, log, maxRetries: 0 });

    await expect(model.ask(aQuestion())).rejects.toMatchObject({ code: 'model_busy', details: { said: 'Too many.' } });
  });

  it('estimates by bytes, so that no script is cheaper than it is', async () => {
    const messages = [{ role: 'user' as const, text: '修'.repeat(3000) }];
    await using server = await startModelServer(brokenStream(wire({ text: '好'.repeat(300) }).slice(0, -2)), fine);

    const [lost] = await losses(name, server.baseUrl, { messages });

    expect(lost?.inputTokens).toBeGreaterThan(2900);
    expect(lost?.outputTokens).toBeGreaterThan(290);
  });

  it('is not asked again once whoever pays for it says so', async () => {
    const stop = new AbortController();
    await using server = await startModelServer(brokenStream(wire({ text: 'on and on' }).slice(0, -2)));

    const asking = aModel(name, server.baseUrl).ask(aQuestion({ signal: stop.signal, onLost: () => stop.abort() }));

    await expect(asking).rejects.toMatchObject({ code: 'cancelled' });
    expect(server.asked).toHaveLength(1);
  });
});

it('takes the count of the vendor where it comes with a reply that has no end', async () => {
  const events = JSON.parse(JSON.stringify(chatWire({ text: 'Half' })).replace('"finish_reason":"stop"', '"finish_reason":null')) as unknown[];
  await using server = await startModelServer(shortStream(events), stream(chatWire({ text: 'Well.' })));

  expect(await losses(own, server.baseUrl)).toEqual([{ inputTokens: 45, outputTokens: 7, cachedInputTokens: 30 }]);
});

it('estimates what a server leaves out of its count', async () => {
  const events = JSON.parse(JSON.stringify(chatWire({ text: 'word '.repeat(100) })).replace('"prompt_tokens":45', '"prompt_tokens":0')) as unknown[];
  await using server = await startModelServer(stream(events));

  const { usage } = await aModel(own, server.baseUrl).ask(aQuestion());

  expect(usage.inputTokens).toBeGreaterThan(1000);
  expect(usage.outputTokens).toBe(7);
});

describe('opaque data of the vendor', () => {
  /** A reply that thinks first; thoughts are signed. */
  const signed = (signature: string): unknown[] => {
    const [start, ping, ...rest] = anthropicWire({ calls: [{ name: 'bash', json: '{}' }] });
    const thought = { type: 'thinking', thinking: '', signature: '' };
    const later = rest.map((event) => ('index' in (event as object) ? { ...(event as object), index: 1 } : event));
    const block = [
      { type: 'content_block_start', index: 0, content_block: thought },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm.' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature } },
      { type: 'content_block_stop', index: 0 },
    ];
    return [start, ping, ...block, ...later];
  };
  const whole = (events: readonly unknown[]) => shortStream(events);

  it('is kept within bounds: a reply with more of it cannot be used', async () => {
    await using server = await startModelServer(whole(signed('s'.repeat(600_000))));

    await expect(aModel(claude, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({
      code: 'model_reply_endless',
      details: { problem: 'the reply is too large' },
    });
    expect(server.asked).toHaveLength(1);
  });

  it('is kept as it came within them', async () => {
    await using server = await startModelServer(whole(signed('s'.repeat(100_000))));

    const { continuation } = await aModel(claude, server.baseUrl).ask(aQuestion());

    expect(JSON.stringify(continuation)).toContain('s'.repeat(100_000));
  });
});
