/**
 * A model endpoint over real HTTP that answers from a list, in order; for the demo and for tests that drive the real adapter.
 * It speaks every wire that aimock does (`/v1/messages`, `/v1/chat/completions`, `/v1/responses`, ...).
 */
import { LLMock } from '@copilotkit/aimock';
import type { FixtureResponse, JournalEntry } from '@copilotkit/aimock';

export interface ScriptedReply {
  readonly text?: string;
  readonly tools?: readonly { readonly name: string; readonly input: unknown }[];
  readonly usage?: { readonly input: number; readonly output: number };
  /** Answers with this HTTP error instead. */
  readonly status?: number;
  readonly retryAfterSeconds?: number;
  /** The answer waits for it. */
  readonly before?: () => Promise<void>;
}

export interface ScriptedEndpoint {
  /** An origin, without `/v1`. */
  readonly baseUrl: string;
  /** What was asked so far, oldest first; bodies in the form of Chat Completions, whatever the wire was. */
  requests(): readonly JournalEntry[];
  close(): Promise<void>;
}

/**
 * Reply number N answers request number N, or, counted by `turn`, the request whose conversation holds N replies: then
 * several runs at once each hear the whole list. A request beyond the list gets status 500 and says so.
 */
export async function startScriptedEndpoint(replies: readonly ScriptedReply[], count: 'request' | 'turn' = 'request'): Promise<ScriptedEndpoint> {
  const mock = new LLMock({ port: 0, host: '127.0.0.1', logLevel: 'silent' });
  let next = 0;
  mock.on({}, async (request) => {
    const number = count === 'request' ? next++ : request.messages.filter((message) => message.role === 'assistant').length;
    await replies[number]?.before?.();
    return toResponse(replies[number], number);
  });
  await mock.start();
  return { baseUrl: mock.url, requests: () => mock.getRequests(), close: () => mock.stop() };
}

function toResponse(reply: ScriptedReply | undefined, number: number): FixtureResponse {
  if (reply === undefined) return { error: { message: `request ${number + 1} was not planned`, type: 'api_error' }, status: 500 };
  if (reply.status !== undefined) {
    const error = { message: `planned status ${reply.status}`, type: errorTypes[reply.status] ?? 'api_error' };
    return { error, status: reply.status, ...(reply.retryAfterSeconds !== undefined && { retryAfter: reply.retryAfterSeconds }) };
  }
  const { input, output } = reply.usage ?? { input: 1000, output: 100 };
  const usage = { input_tokens: input, output_tokens: output, prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  const toolCalls = (reply.tools ?? []).map((tool, index) => ({
    id: `call_${number}_${index}`,
    name: tool.name,
    arguments: typeof tool.input === 'string' ? tool.input : JSON.stringify(tool.input),
  }));
  if (toolCalls.length === 0) return { content: reply.text ?? '', usage };
  return reply.text === undefined ? { toolCalls, usage } : { content: reply.text, toolCalls, usage };
}

const errorTypes: Readonly<Record<number, string>> = { 401: 'authentication_error', 429: 'rate_limit_error', 529: 'overloaded_error' };
