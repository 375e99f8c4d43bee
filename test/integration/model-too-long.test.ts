/** A question that is longer than the model reads, in the words of the vendors. Real HTTP. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { startAgent } from '../../src/agent/loop.ts';
import { createModel } from '../../src/model/create-model.ts';
import type { Model } from '../../src/model/model.ts';
import { createFakeSandbox } from '../support/fake-sandbox.ts';
import { anthropicWire, beginStream, startModelServer, stream } from '../support/model-server.ts';
import type { Answer } from '../support/model-server.ts';
import { task } from '../support/play-agent.ts';
import { aSubmission } from '../support/scripted-model.ts';

const log = pino({ level: 'silent' });
const question = { system: 'x', messages: [{ role: 'user' as const, text: 'x' }], tools: [], maxOutputTokens: 10, signal: new AbortController().signal };
const aModel = (name: string, baseUrl: string, more: { fetch?: typeof fetch } = {}): Model =>
  createModel({ name, apiKey: 'key-0123456789', baseUrl, log, timing: { retryDelayMs: 1 }, ...more });
const says = (status: number, body: unknown): Answer => {
  return (response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
};
const ofAnthropic = (status: number, message: string, type = 'invalid_request_error'): Answer =>
  says(status, { type: 'error', error: { type, message }, request_id: 'req_1' });
const ofOpenAI = (status: number, message: string, code: string | null = null, type = 'invalid_request_error'): Answer =>
  says(status, { error: { message, type, param: 'messages', code } });
const ofGoogle = (message: string): Answer => says(400, { error: { code: 400, message, status: 'INVALID_ARGUMENT' } });

const [claude, gpt, gemini, own] = ['anthropic/claude-sonnet-4-5', 'openai/gpt-4o', 'google/gemini-2.5-pro', 'compatible/local'];

describe('a refusal for length', () => {
  it.each([
    [claude, ofAnthropic(400, 'prompt is too long: 219898 tokens > 200000 maximum')],
    [
      claude,
      ofAnthropic(400, 'input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input length or `max_tokens` and try again'),
    ],
    [claude, ofAnthropic(413, 'Request exceeds the maximum size', 'request_too_large')],
    [claude, says(413, '<html><body>413 Request Entity Too Large</body></html>')],
    [gpt, ofOpenAI(400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 130011 tokens.", 'context_length_exceeded')],
    [gpt, ofOpenAI(400, 'Your input exceeds the context window of this model. Please adjust your input and try again.', 'context_length_exceeded')],
    [gpt, ofOpenAI(429, 'Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 30549.', 'rate_limit_exceeded', 'tokens')],
    [gemini, ofGoogle('The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).')],
    [gemini, ofGoogle('Request payload size exceeds the limit: 20971520 bytes.')],
    [own, ofOpenAI(400, 'the request exceeds the available context size, try increasing it', null, 'exceed_context_size_error')],
    [own, says(400, { object: 'error', message: "The input (160062 tokens) is longer than the model's context length (59862 tokens).", code: 400 })],
    [own, ofOpenAI(400, "This endpoint's maximum context length is 32768 tokens. However, you requested about 42832 tokens.")],
  ])('is known: %s, %#', async (name, answer) => {
    await using server = await startModelServer(answer);

    await expect(aModel(name, server.baseUrl).ask(question)).rejects.toMatchObject({ code: 'model_input_too_long' });
    expect(server.asked).toHaveLength(1);
  });

  it('is known inside of a stream, and costs nothing', async () => {
    const error = {
      type: 'invalid_request_error',
      code: 'context_length_exceeded',
      message: 'Your input exceeds the context window of this model.',
      param: 'input',
    };
    const created = { type: 'response.created', response: { id: 'r', created_at: 1, model: 'm' } };
    for (const [name, events] of [
      [own, [{ error }]],
      ['openai/gpt-5', [created, { type: 'error', sequence_number: 2, error }]],
    ] as const) {
      await using server = await startModelServer((response) => (beginStream(response, events), void response.end()));
      const rerouted: typeof fetch = (_input, init) => fetch(server.baseUrl, init);
      const lost: unknown[] = [];

      const asking = aModel(name, name === own ? server.baseUrl : 'https://api.openai.com', { fetch: rerouted }).ask({
        ...question,
        onLost: (one) => lost.push(one),
      });

      await expect(asking).rejects.toMatchObject({ code: 'model_input_too_long' });
      expect([server.asked.length, lost]).toEqual([1, []]);
    }
  });

  it.each([
    [claude, ofAnthropic(400, 'max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens'), 'model_refused'],
    [gpt, ofOpenAI(429, 'Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000.', 'rate_limit_exceeded', 'tokens'), 'model_busy'],
    [claude, ofAnthropic(401, 'prompt is too long', 'authentication_error'), 'model_credentials'],
  ] as const)('is no other one: %s, %#', async (name, answer, code) => {
    await using server = await startModelServer(answer);

    await expect(aModel(name, server.baseUrl).ask(question)).rejects.toMatchObject({ code });
  });
});

describe('an agent whose model says that the prompt is too long', () => {
  const refusal = ofAnthropic(400, 'prompt is too long: 40000 tokens > 32000 maximum');
  const bash = stream(anthropicWire({ calls: [{ name: 'bash', json: '{"command":"cat big"}' }] }));
  const submit = stream(anthropicWire({ calls: [{ name: 'submit', json: JSON.stringify({ ...aSubmission, noChange: true }) }] }));
  const work = async (baseUrl: string, records: Record<string, unknown>[] = []) =>
    startAgent({
      run: { id: 'r00000000aaaaaaa', baseSha: 'b'.repeat(40) },
      task,
      sandbox: createFakeSandbox({ exec: (argv) => (argv[4]?.startsWith('cat') ? { stdout: 'some line of code\n'.repeat(2000) } : {}) }),
      model: aModel(claude, baseUrl),
      limits: { steps: 50, costUsd: 5, tokens: 1e6, commandTimeoutMs: 1000, softTimeMs: 1e6, hardTimeMs: 2e6 },
      transcript: { file: '/nowhere', write: async (record) => void records.push(record) },
      signal: new AbortController().signal,
      log,
    }).work();

  it('asks once more with a history that is much shorter, and goes on', async () => {
    await using server = await startModelServer(bash, bash, bash, bash, refusal, submit);
    const records: Record<string, unknown>[] = [];

    expect(await work(server.baseUrl, records)).toMatchObject({ ended: { kind: 'submitted' }, steps: 5 });

    const [refused, taken] = server.asked.slice(4).map(({ body }) => body.length);
    expect(taken).toBeLessThan((refused ?? 0) * 0.7);
    expect(server.asked[5]?.body).toContain('It crashes.');
    expect(records.filter(({ kind }) => kind === 'shortened')).toEqual([expect.objectContaining({ cause: 'refused' })]);
  });

  it('stops when that is refused, too, and when there is nothing to shorten', async () => {
    await using twice = await startModelServer(bash, bash, bash, bash, refusal);
    await using atOnce = await startModelServer(refusal);

    expect(await work(twice.baseUrl)).toMatchObject({ ended: { kind: 'stopped', reason: 'too_long' }, steps: 4 });
    expect(await work(atOnce.baseUrl)).toMatchObject({ ended: { kind: 'stopped', reason: 'too_long' }, steps: 0 });
    expect([twice.asked.length, atOnce.asked.length]).toEqual([6, 1]);
  });
});
