import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { startAgent } from '../../src/agent/loop.ts';
import { createModel } from '../../src/model/create-model.ts';
import { createFakeSandbox } from '../support/fake-sandbox.ts';
import { task } from '../support/play-agent.ts';
import { startScriptedEndpoint } from '../support/scripted-endpoint.ts';
import type { ScriptedEndpoint, ScriptedReply } from '../support/scripted-endpoint.ts';
import { aSubmission } from '../support/scripted-model.ts';

const log = pino({ level: 'silent' });
const open: ScriptedEndpoint[] = [];

afterEach(async () => {
  for (const endpoint of open.splice(0)) await endpoint.close();
});

async function start(replies: readonly ScriptedReply[]): Promise<ScriptedEndpoint> {
  const endpoint = await startScriptedEndpoint(replies);
  open.push(endpoint);
  return endpoint;
}

const replies: readonly ScriptedReply[] = [
  {
    text: 'I look around.',
    tools: [
      { name: 'bash', input: { command: 'ls' } },
      { name: 'read', input: { path: 'a.js' } },
    ],
    usage: { input: 1000, output: 50 },
  },
  { tools: [{ name: 'bash', input: { command: 'ls' } }], usage: { input: 2000, output: 60 } },
  { status: 529 },
  { text: 'Done, I think.', usage: { input: 3000, output: 70 } },
  { tools: [{ name: 'submit', input: aSubmission }], usage: { input: 4000, output: 80 } },
];

/** Where the vendor's own address is meant, requests are sent to the endpoint on loopback all the same. */
function rerouted(endpoint: ScriptedEndpoint): typeof fetch {
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    return fetch(new URL(url.pathname + url.search, endpoint.baseUrl), init);
  };
}

describe('a scripted endpoint', () => {
  it.each([
    ['anthropic/claude-sonnet-4-5', '/v1/messages', false],
    ['openai/gpt-5', '/v1/chat/completions', false],
    ['openai/gpt-5', '/v1/responses', true],
    ['compatible/local', '/v1/chat/completions', false],
    ['google/gemini-2.5-pro', '/v1beta/models/gemini-2.5-pro:streamGenerateContent', false],
  ])('drives the whole agent over the real wire of %s (%s), reply by reply', async (name, path, ownAddress) => {
    const endpoint = await start(replies);
    const model = createModel({
      name,
      apiKey: 'key-0123456789',
      log,
      timing: { retryDelayMs: 1 },
      ...(ownAddress ? { baseUrl: null, fetch: rerouted(endpoint) } : { baseUrl: endpoint.baseUrl }),
    });
    const attempt = await startAgent({
      run: { id: 'r00000000aaaaaaa', baseSha: 'b'.repeat(40) },
      task: { ...task, testCommand: 'npm test' },
      model,
      sandbox: createFakeSandbox({ files: { '/workspace/a.js': 'x\n' } }),
      limits: { steps: 10, costUsd: 5, tokens: 1e6, commandTimeoutMs: 1000, softTimeMs: 60_000, hardTimeMs: 60_000 },
      transcript: { file: '/nowhere', write: async () => undefined },
      signal: new AbortController().signal,
      log,
    }).work();

    expect(attempt).toMatchObject({ ended: { kind: 'submitted', submission: aSubmission }, steps: 4, usage: { inputTokens: 10_000, outputTokens: 260 } });
    expect(attempt.costUsd === null).toBe(name === 'compatible/local');
    expect(new Set(endpoint.requests().map((request) => request.path.split('?')[0]))).toEqual(new Set([path]));
    expect(endpoint.requests().map((request) => request.response.status)).toEqual([200, 200, 529, 200, 200]);
  });

  it('fails a request that was not planned', async () => {
    const endpoint = await start([]);
    const model = createModel({ name: 'anthropic/m', apiKey: 'key-0123456789', baseUrl: endpoint.baseUrl, log, maxRetries: 0 });
    const question = { system: 's', messages: [{ role: 'user' as const, text: 'x' }], tools: [], maxOutputTokens: 10, signal: new AbortController().signal };

    await expect(model.ask(question)).rejects.toMatchObject({ code: 'model_unavailable', details: { said: 'request 1 was not planned' } });
  });
});
