/** What a vendor may do to a question: storms, streams that break or never end, replies without measure. Real HTTP. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createModel } from '../../src/model/create-model.ts';
import type { ModelOptions } from '../../src/model/create-model.ts';
import type { Message, Model, Question, Reply } from '../../src/model/model.ts';
import { anthropicWire, beginStream, brokenStream, chatWire, openStream, startModelServer, status, stream } from '../support/model-server.ts';
import type { Wire } from '../support/model-server.ts';

const log = pino({ level: 'silent' });
const fine = { text: 'Well.', calls: [{ name: 'bash', json: '{"command":"ls"}' }] };

function aModel(name: string, baseUrl: string, timing: ModelOptions['timing'] = {}): Model {
  return createModel({ name, apiKey: 'key-0123456789', baseUrl, log, timing: { retryDelayMs: 1, ...timing } });
}

function aQuestion(more: Partial<Question> = {}): Question {
  return {
    system: 'Be careful.',
    messages: [{ role: 'user', text: 'x'.repeat(400) }],
    tools: [],
    maxOutputTokens: 1000,
    signal: new AbortController().signal,
    ...more,
  };
}

const wires: readonly { name: string; wire: Wire }[] = [
  { name: 'anthropic/claude-sonnet-4-5', wire: anthropicWire },
  { name: 'compatible/local', wire: chatWire },
];

describe.each(wires)('$name', ({ name, wire }) => {
  it.each([
    ['429 with a wait', status(429, { 'retry-after': '0' }), 'model_busy'],
    ['429 without one', status(429), 'model_busy'],
    ['529', status(529), 'model_busy'],
    ['500', status(500), 'model_unavailable'],
    ['a stream that breaks', brokenStream(wire(fine).slice(0, -2)), 'model_unavailable'],
  ] as const)('ends a storm of %s after six tries', async (_title, answer, code) => {
    await using server = await startModelServer(answer);

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code, details: { tries: 6 } });
    expect(server.asked).toHaveLength(6);
  });

  it('asks no more when its patience would end in the wait', async () => {
    await using server = await startModelServer(status(429, { 'retry-after': '0' }), status(429, { 'retry-after': '60' }));

    await expect(aModel(name, server.baseUrl, { patienceMs: 30_000 }).ask(aQuestion())).rejects.toMatchObject({
      code: 'model_busy',
      details: { waitMs: 60_000 },
    });
    expect(server.asked).toHaveLength(2);
  });

  it('tells what a stream used that broke, and nothing of one that never began', async () => {
    const lost: Reply['usage'][] = [];
    const broken = brokenStream(wire({ text: 'y'.repeat(40), calls: fine.calls }).slice(0, -2));
    await using server = await startModelServer(status(529), broken, stream(wire(fine)));

    const reply = await aModel(name, server.baseUrl).ask(aQuestion({ onLost: ({ usage }) => lost.push(usage) }));

    expect(reply.text).toBe('Well.');
    expect(lost).toHaveLength(1);
    expect(lost[0]?.inputTokens).toBeGreaterThanOrEqual(100);
    expect(lost[0]?.outputTokens).toBeGreaterThanOrEqual(10);
  });

  it('ends a stream that drips for ever, is paid for it, and does not ask again', async () => {
    const lost: Reply['usage'][] = [];
    const events = wire({ text: 'on and on ' });
    const start = events.slice(0, name.startsWith('anthropic') ? 4 : 1);
    await using server = await startModelServer(openStream(start, start.at(-1)));

    const asking = aModel(name, server.baseUrl, { totalTimeoutMs: 200 }).ask(aQuestion({ onLost: ({ usage }) => lost.push(usage) }));

    await expect(asking).rejects.toMatchObject({ code: 'model_reply_endless' });
    expect([server.asked.length, lost.length]).toEqual([1, 1]);
  });

  it('ends a reply whose call has an argument without measure', async () => {
    const json = JSON.stringify({ command: 'x'.repeat(700_000) });
    await using server = await startModelServer((response) => {
      beginStream(response, wire({ calls: [{ name: 'bash', json }] }));
      response.end();
    });

    await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({
      code: 'model_reply_endless',
      details: { problem: 'the reply is too large' },
    });
    expect(server.asked).toHaveLength(1);
  });

  it('keeps 64 of 500 calls, in what the vendor gets back, too', async () => {
    const calls = Array.from({ length: 500 }, (_, index) => ({ id: `c${index}`, name: 'bash', json: `{"command":"echo ${index}"}` }));
    await using server = await startModelServer(
      (response) => {
        beginStream(response, wire({ calls }));
        response.end();
      },
      stream(wire(fine)),
    );
    const model = aModel(name, server.baseUrl);

    const { text, toolCalls, continuation } = await model.ask(aQuestion());
    const results = toolCalls.map((call) => ({ id: call.id, name: call.name, text: 'ok', failed: false }));
    await model.ask(
      aQuestion({
        messages: [
          { role: 'user', text: 'x' },
          { role: 'assistant', text, toolCalls, continuation },
          { role: 'tool', results },
        ],
      }),
    );

    expect(toolCalls).toHaveLength(64);
    expect(server.asked[1]?.body.match(/echo \d+/g)).toHaveLength(64);
  });
});

it.each(['openai/gpt-5', 'compatible/local'])('%s is not asked again when the account has no money left', async (name) => {
  const error = { message: 'You exceeded your current quota.', type: 'insufficient_quota', param: null, code: 'insufficient_quota' };
  await using server = await startModelServer(
    (response) => void response.writeHead(429, { 'content-type': 'application/json' }).end(JSON.stringify({ error })),
  );

  await expect(aModel(name, server.baseUrl).ask(aQuestion())).rejects.toMatchObject({ code: 'model_refused', details: { status: 429 } });
  expect(server.asked).toHaveLength(1);
});

describe('the history of another model', () => {
  const [signed, foreign] = ['anthropic/claude-sonnet-4-5', 'anthropic/claude-haiku-4-5'];
  const results: Message = {
    role: 'tool',
    results: [
      { id: 'functions.bash:0', name: 'bash', text: 'a', failed: false },
      { id: 'toolu_1', name: 'bash', text: 'b', failed: false },
    ],
  };
  const history = (model: string): Message[] => [
    { role: 'user', text: 'Fix it.' },
    {
      role: 'assistant',
      text: 'I look.',
      toolCalls: [
        { id: 'functions.bash:0', name: 'bash', input: { command: 'ls' } },
        { id: 'toolu_1', name: 'bash', input: { command: 'pwd' } },
      ],
      continuation: {
        model,
        content: [
          { type: 'reasoning', text: 'Hm.', providerOptions: { anthropic: { signature: 'SIGNED' } } },
          { type: 'tool-call', toolCallId: 'functions.bash:0', toolName: 'bash', input: { command: 'ls' } },
          { type: 'tool-call', toolCallId: 'toolu_1', toolName: 'bash', input: { command: 'pwd' } },
        ],
      },
    },
    results,
  ];

  async function bodyOf(model: string, asked: string, wire: Wire): Promise<string> {
    await using server = await startModelServer(stream(wire(fine)));
    await aModel(asked, server.baseUrl).ask(aQuestion({ messages: history(model) }));
    return server.asked[0]?.body ?? '';
  }

  it('goes back in its own form to the model that wrote it', async () => {
    expect(await bodyOf(signed, signed, anthropicWire)).toContain('"signature":"SIGNED"');
  });

  it.each([
    [foreign, anthropicWire],
    ['compatible/local', chatWire],
    ['openai/gpt-5', chatWire],
  ] as const)('goes to %s as words and calls alone, with ids that any vendor takes', async (asked, wire) => {
    const body = await bodyOf(signed, asked, wire);

    expect(body).not.toMatch(/SIGNED|Hm\.|functions\.bash:0/);
    expect(body).toContain('I look.');
    expect(body.match(/other_\d_0/g)).toHaveLength(2);
    expect(body.match(/other_\d_1/g)).toHaveLength(2);
  });
});
