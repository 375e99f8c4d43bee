import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createModel } from '../../src/model/create-model.ts';
import type { ModelOptions } from '../../src/model/create-model.ts';
import type { Message, Model, Question } from '../../src/model/model.ts';
import { anthropicWire, brokenConnection, brokenStream, chatWire, openStream, shortStream, startModelServer, status, stream } from '../support/model-server.ts';
import type { Wire } from '../support/model-server.ts';

const apiKey = 'sk-very-secret-0123456789';
const log = pino({ level: 'silent' });

function aModel(name: string, baseUrl: string, more: Partial<ModelOptions> = {}): Model {
  return createModel({ name, apiKey, baseUrl, log, maxRetries: 2, timing: { retryDelayMs: 1, idleTimeoutMs: 5000 }, ...more });
}

function aQuestion(more: Partial<Question> = {}): Question {
  return {
    system: 'Be careful.',
    messages: [{ role: 'user', text: 'Fix it.' }],
    tools: [{ name: 'bash', description: 'Runs a command.', input: z.strictObject({ command: z.string() }) }],
    maxOutputTokens: 1000,
    signal: new AbortController().signal,
    ...more,
  };
}

const wires: readonly { name: string; wire: Wire; path: string; length: string; refusal: string }[] = [
  { name: 'anthropic/claude-sonnet-4-5', wire: anthropicWire, path: '/v1/messages', length: 'max_tokens', refusal: 'refusal' },
  { name: 'openai/gpt-5', wire: chatWire, path: '/v1/chat/completions', length: 'length', refusal: 'content_filter' },
  { name: 'compatible/local', wire: chatWire, path: '/v1/chat/completions', length: 'length', refusal: 'content_filter' },
];

describe.each(wires)('$name', ({ name, wire, path, length, refusal }) => {
  const listing = { name: 'bash', json: '{"command":"ls"}' };
  const fine = stream(wire({ text: 'Ünïcödé 🦋', calls: [listing] }));

  it('reads text, calls and usage from a stream that is cut anywhere', async () => {
    await using server = await startModelServer(fine);

    const reply = await aModel(name, server.baseUrl).ask(aQuestion());

    expect(reply).toMatchObject({ text: 'Ünïcödé 🦋', stop: 'tools', toolCalls: [{ name: 'bash', input: { command: 'ls' } }] });
    expect(reply.usage).toEqual({ inputTokens: 45, outputTokens: 7, cachedInputTokens: 30 });
    expect(server.asked[0]?.path).toBe(path);
  });

  it('takes a base URL with and without a version', async () => {
    await using server = await startModelServer(fine);

    for (const baseUrl of [server.baseUrl, `${server.baseUrl}/`, `${server.baseUrl}/v1`, `${server.baseUrl}/v1/`]) await aModel(name, baseUrl).ask(aQuestion());

    expect(new Set(server.asked.map((asked) => asked.path))).toEqual(new Set([path]));
  });

  it('reads several calls, and gives one id to each', async () => {
    const calls = [listing, { name: 'bash', json: '{"command":"pwd"}' }].map((call) => ({ ...call, id: 'same' }));
    await using server = await startModelServer(stream(wire({ calls })));

    const { toolCalls } = await aModel(name, server.baseUrl).ask(aQuestion());

    expect(toolCalls.map((call) => call.input)).toEqual([{ command: 'ls' }, { command: 'pwd' }]);
    expect(new Set(toolCalls.map((call) => call.id)).size).toBe(toolCalls.length);
  });

  it('hands on a call as the model wrote it, right or wrong', async () => {
    const calls = [
      { name: 'bash', json: '{"command": 7, "extra": true}' },
      { name: 'unheard', json: '{}' },
      { name: 'bash', json: '{"command": "ls' },
    ];
    await using server = await startModelServer(stream(wire({ calls })));

    const { toolCalls } = await aModel(name, server.baseUrl).ask(aQuestion());

    expect(toolCalls.map((call) => [call.name, call.input])).toEqual([
      ['bash', { command: 7, extra: true }],
      ['unheard', {}],
      ['bash', '{"command": "ls'],
    ]);
  });

  it('sends a history back that the vendor can take, whatever the model wrote', async () => {
    await using server = await startModelServer(fine);
    const history: Message[] = [
      { role: 'user', text: 'half a pair \ud83e' },
      { role: 'assistant', text: '', toolCalls: [] },
      { role: 'user', text: 'again' },
      { role: 'assistant', text: ' ', toolCalls: [{ id: 'a', name: 'rm -rf /', input: '{"comm' }] },
      { role: 'tool', results: [{ id: 'a', name: 'rm -rf /', text: 'no', failed: true }] },
    ];

    await aModel(name, server.baseUrl).ask(aQuestion({ messages: history }));

    const body = server.asked[0]?.body ?? '';
    expect(body).toContain('rm_-rf__');
    expect(body).not.toMatch(/\\ud83e|"content":\[\]|rm -rf/);
  });

  it.each([
    ['an empty reply', {}, { text: '', toolCalls: [], stop: 'end' }],
    ['a reply that was cut', { text: 'and th', stop: length }, { text: 'and th', stop: 'length' }],
    ['a refusal', { text: 'No.', stop: refusal }, { stop: 'refusal' }],
  ])('tells of %s', async (_title, wireReply, expected) => {
    await using server = await startModelServer(stream(wire(wireReply)));

    expect(await aModel(name, server.baseUrl).ask(aQuestion())).toMatchObject(expected);
  });

  it.each([
    ['a stream that breaks', brokenStream(wire({ text: 'half', calls: [listing] }).slice(0, -2))],
    ['a stream that ends too early', shortStream(wire({ text: 'half', calls: [listing] }).slice(0, -2))],
    ['a stream with nothing in it', shortStream([])],
    ['a stream of nonsense', shortStream(['{nonsense'])],
    ['a connection that closes', brokenConnection],
    ['429', status(429, { 'retry-after': '0' })],
    ['500', status(500)],
    ['529', status(529)],
  ] as const)('asks again after %s', async (_title, answer) => {
    await using server = await startModelServer(answer, answer, fine);

    expect(await aModel(name, server.baseUrl).ask(aQuestion())).toMatchObject({ stop: 'tools' });
    expect(server.asked).toHaveLength(3);
  });

  it('gives up after a set number of tries', async () => {
    await using server = await startModelServer(status(529));

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code: 'model_busy', details: { tries: 3, status: 529 } });
    expect(server.asked).toHaveLength(3);
  });

  it('waits as long as the server says, and not for hours', async () => {
    await using server = await startModelServer(status(429, { 'retry-after': '7200' }));

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code: 'model_busy', details: { waitMs: 7_200_000 } });
    expect(server.asked).toHaveLength(1);
  });

  it.each([
    [401, 'model_credentials'],
    [403, 'model_credentials'],
    [400, 'model_refused'],
    [404, 'model_refused'],
  ])('does not ask again after %i', async (code, expected) => {
    await using server = await startModelServer(status(code, {}, `the key ${apiKey} is wrong`));

    const failure = await aModel(name, server.baseUrl)
      .ask(aQuestion())
      .catch((thrown: unknown) => thrown);

    expect(failure).toMatchObject({ code: expected, details: { status: code, said: 'the key [secret] is wrong' } });
    expect(JSON.stringify(failure, Object.getOwnPropertyNames(failure))).not.toMatch(/sk-very|Be careful|Fix it/);
    expect((failure as Error).cause).toBeUndefined();
    expect(server.asked).toHaveLength(1);
  });

  it('does not follow a redirect, with the key in hand', async () => {
    await using other = await startModelServer(fine);
    await using server = await startModelServer(status(307, { location: `${other.baseUrl}${path}` }));

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code: 'model_refused', details: { status: 307 } });
    expect(other.asked).toHaveLength(0);
  });

  it('asks again when a stream falls silent, and then gives up', async () => {
    await using server = await startModelServer(openStream(wire({ text: 'half' }).slice(0, 3)));

    await expect(aModel(name, server.baseUrl, { timing: { idleTimeoutMs: 50, retryDelayMs: 1 } }).ask(aQuestion())).rejects.toMatchObject({
      code: 'model_unavailable',
      details: { tries: 3 },
    });
    expect(server.asked).toHaveLength(3);
  });

  it('ends a stream that never ends, and does not pay for it again', async () => {
    const events = wire({ text: 'on and on ' });
    const start = events.slice(0, name.startsWith('anthropic') ? 4 : 1);
    await using server = await startModelServer(openStream(start, start.at(-1)));

    await expect(aModel(name, server.baseUrl, { timing: { totalTimeoutMs: 200, retryDelayMs: 1 } }).ask(aQuestion())).rejects.toMatchObject({
      code: 'model_reply_endless',
      details: { totalTimeoutMs: 200 },
    });
    expect(server.asked).toHaveLength(1);
  });

  it('ends a reply that is too large', { timeout: 60_000 }, async () => {
    const huge = 'x'.repeat(20 * 1024 * 1024);
    await using server = await startModelServer((response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${huge}\n\n`));

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({
      code: 'model_reply_endless',
      details: { problem: 'the reply is too large' },
    });
  });

  it('stops at once when it is told to', async () => {
    const controller = new AbortController();
    await using server = await startModelServer((response) => {
      openStream(wire({ text: 'half' }).slice(0, 3))(response);
      controller.abort('user asked');
    });

    await expect(aModel(name, server.baseUrl).ask(aQuestion({ signal: controller.signal }))).rejects.toMatchObject({ name: 'FixError', code: 'cancelled' });
  });

  it('stops while it waits for the next try', async () => {
    const controller = new AbortController();
    await using server = await startModelServer((response) => {
      status(429, { 'retry-after': '60' })(response);
      response.on('close', () => setImmediate(() => controller.abort()));
    });

    await expect(aModel(name, server.baseUrl).ask(aQuestion({ signal: controller.signal }))).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is unavailable where nothing listens', async () => {
    const server = await startModelServer(fine);
    await server[Symbol.asyncDispose]();

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code: 'model_unavailable', details: { type: 'ECONNREFUSED' } });
  });
});

describe('anthropic', () => {
  const name = 'anthropic/claude-sonnet-4-5';

  it('marks the end of the system prompt and of the last two messages for the cache', async () => {
    await using server = await startModelServer(stream(anthropicWire({ text: 'x' })));
    const messages: Message[] = ['a', 'b', 'c']
      .flatMap((text) => [
        { role: 'user' as const, text },
        { role: 'assistant' as const, text: 'ok', toolCalls: [] },
      ])
      .slice(0, 5);

    await aModel(name, server.baseUrl).ask(aQuestion({ messages }));

    const body = JSON.parse(server.asked[0]?.body ?? '') as { system: unknown; messages: unknown[] };
    expect(JSON.stringify(body.system)).toContain('cache_control');
    expect(body.messages.map((message) => JSON.stringify(message).includes('cache_control'))).toEqual([false, false, true, false, true]);
  });

  it('sends signed thinking back as it came', async () => {
    const thinking = [
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm.' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'SIGNED' } },
      { type: 'content_block_stop', index: 0 },
    ];
    const [start, ping, ...rest] = anthropicWire({ calls: [{ name: 'bash', json: '{"command":"ls"}' }] });
    const shifted = rest.map((event) => ('index' in (event as object) ? { ...(event as object), index: 1 } : event));
    await using server = await startModelServer(stream([start, ping, ...thinking, ...shifted]));
    const model = aModel(name, server.baseUrl);

    const first = await model.ask(aQuestion());
    const { text, toolCalls, continuation } = first;
    await model.ask(
      aQuestion({
        messages: [
          { role: 'user', text: 'Fix it.' },
          { role: 'assistant', text, toolCalls, continuation },
          { role: 'tool', results: [{ id: 'toolu_0', name: 'bash', text: 'a', failed: false }] },
        ],
      }),
    );

    expect(server.asked[1]?.body).toContain('"thinking":"Hm.","signature":"SIGNED"');
  });

  it('asks again after an error in the middle of a stream, and not after one that stays', async () => {
    const [start] = anthropicWire({ text: 'x' });
    const failing = (type: string) => shortStream([start, { type: 'error', error: { type, message: 'so it is' } }]);
    await using passing = await startModelServer(failing('overloaded_error'), stream(anthropicWire({ text: 'x' })));
    await using staying = await startModelServer(failing('invalid_request_error'));

    expect(await aModel(name, passing.baseUrl).ask(aQuestion())).toMatchObject({ text: 'x' });
    await expect(aModel(name, staying.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code: 'model_refused' });
  });
});
