/** A model endpoint made by hand, for what no mock library does: broken streams, endless ones, wrong JSON. Loopback only. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export type Answer = (response: ServerResponse) => void;

export interface ModelServer extends AsyncDisposable {
  readonly baseUrl: string;
  readonly asked: readonly Asked[];
}

/** Answer number N answers request number N; the last one answers all the rest. */
export async function startModelServer(...answers: readonly [Answer, ...Answer[]]): Promise<ModelServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      asked.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
      (answers[asked.length - 1] ?? answers.at(-1))?.(response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** An answer with a status and nothing to read. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}, message = `status ${code}`): Answer {
  return (response) =>
    void response
      .writeHead(code, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify({ type: 'error', error: { type: 'some_error', message } }));
}

export function beginStream(response: ServerResponse, events: readonly unknown[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  for (const event of events) response.write(sse(event));
}

/** A whole stream, in pieces of three bytes, so that lines and characters are cut anywhere. */
export function stream(events: readonly unknown[]): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const bytes = Buffer.from(events.map(sse).join(''));
    for (let at = 0; at < bytes.length; at += 3) response.write(bytes.subarray(at, at + 3));
    response.end();
  };
}

/** A stream that stays open after these events until the client goes; `pulse` is sent again and again meanwhile. */
export function openStream(events: readonly unknown[], pulse?: unknown): Answer {
  return (response) => {
    beginStream(response, events);
    const again = (): void => {
      if (!response.destroyed && pulse !== undefined) response.write(sse(pulse), () => setImmediate(again));
    };
    again();
  };
}

/** A stream whose connection breaks after these events. */
export function brokenStream(events: readonly unknown[]): Answer {
  return (response) => {
    beginStream(response, events);
    response.write('data: {"half', () => response.destroy());
  };
}

/** No answer at all. */
export const brokenConnection: Answer = (response) => void response.destroy();

/** A stream that ends cleanly, but too early. */
export function shortStream(events: readonly unknown[]): Answer {
  return (response) => {
    beginStream(response, events);
    response.end();
  };
}

function sse(event: unknown): string {
  if (typeof event === 'string') return `data: ${event}\n\n`;
  const { type } = event as { type?: string };
  return `${type === undefined ? '' : `event: ${type}\n`}data: ${JSON.stringify(event)}\n\n`;
}

interface Call {
  readonly id?: string;
  readonly name: string;
  /** As it goes over the wire, right or wrong. */
  readonly json: string;
}

export interface WireReply {
  readonly text?: string;
  readonly calls?: readonly Call[];
  /** The vendor's own word for why it stopped; the usual one when left out. */
  readonly stop?: string;
}

/** One reply as the events of a wire. */
export type Wire = (reply: WireReply) => unknown[];

export const anthropicWire: Wire = ({ text, calls = [], stop }) => {
  const blocks = [
    ...(text === undefined ? [] : [{ start: { type: 'text', text: '' }, delta: { type: 'text_delta', text } }]),
    ...calls.map((call, index) => ({
      start: { type: 'tool_use', id: call.id ?? `toolu_${index}`, name: call.name, input: {} },
      delta: { type: 'input_json_delta', partial_json: call.json },
    })),
  ];
  const usage = { input_tokens: 10, cache_read_input_tokens: 30, cache_creation_input_tokens: 5, output_tokens: 1 };
  return [
    {
      type: 'message_start',
      message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, stop_sequence: null, usage },
    },
    { type: 'ping' },
    ...blocks.flatMap(({ start, delta }, index) => [
      { type: 'content_block_start', index, content_block: start },
      { type: 'content_block_delta', index, delta },
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: stop ?? (calls.length > 0 ? 'tool_use' : 'end_turn'), stop_sequence: null }, usage: { output_tokens: 7 } },
    { type: 'message_stop' },
  ];
};

export const chatWire: Wire = ({ text, calls = [], stop }) => {
  const chunk = (delta: unknown, finish: string | null = null, more = {}): unknown => ({
    id: 'c1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...more,
  });
  const usage = { prompt_tokens: 45, completion_tokens: 7, total_tokens: 52, prompt_tokens_details: { cached_tokens: 30 } };
  return [
    chunk({ role: 'assistant', content: text ?? '' }),
    ...calls.map((call, index) =>
      chunk({ tool_calls: [{ index, id: call.id ?? `call_${index}`, type: 'function', function: { name: call.name, arguments: call.json } }] }),
    ),
    chunk({}, stop ?? (calls.length > 0 ? 'tool_calls' : 'stop'), { usage }),
    '[DONE]',
  ];
};
