/**
 * A webhook proxy for development, on a host that GitHub cannot reach: a channel in the manner of smee.io, which hands
 * on by server-sent events what GitHub posts to it. Whoever runs the channel, and whoever knows its address, reads along.
 *
 * The `smee-client` package is not used: it parses the body and writes it anew, always
 * (https://github.com/probot/smee-client/issues/325), and the signature is over the bytes. smee.io itself hands the body
 * on as parsed JSON; a channel that sends `rawbody` too (https://github.com/probot/smee.io/pull/55) is taken at its word.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { z } from 'zod';
import { FixError } from '../errors.ts';

/** GitHub sends 25 MB at most, Mayfly takes 5 MiB; `rawbody` doubles it and escaping adds. */
const maxEventCharacters = 24 * 1024 * 1024;
const answerMs = 15_000;
const deliveryMs = 15_000;
const maxPauseMs = 30_000;

/** An event without a name of its own is a delivery: lower-case headers, beside the body. */
const Delivery = z.looseObject({ body: z.unknown(), rawbody: z.string().optional() });

export interface ChannelTools {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
}

/** An address with a path is a channel already; without one it is a server, which is asked for a new channel. Throws `proxy_unavailable`, `usage`. */
export async function openChannel(given: string, { fetch, signal }: ChannelTools): Promise<string> {
  const server = readChannelUrl(given);
  if (server.pathname !== '/') return server.href;
  try {
    const response = await fetch(new URL('/new', server), {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    });
    const channel = new URL(response.headers.get('location') ?? '', server);
    if (channel.host === server.host && /^\/[\w-]+$/.test(channel.pathname)) return new URL(channel.pathname, server).href;
  } catch (cause) {
    signal.throwIfAborted();
    throw new FixError('proxy_unavailable', { cause, details: { server: server.origin } });
  }
  throw new FixError('proxy_unavailable', { details: { server: server.origin, reason: 'it did not open a channel' } });
}

export function readChannelUrl(given: string): URL {
  const url = URL.parse(given);
  const isLoopback = url?.hostname === '127.0.0.1' || url?.hostname === 'localhost';
  if (url && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback)) && url.username === '' && url.search === '') return url;
  throw new FixError('usage', { details: { reason: `the address of a webhook proxy looks like https://smee.io/AbCdEf, not ${given.slice(0, 100)}` } });
}

export interface ForwardOptions extends ChannelTools {
  readonly channel: string;
  /** The web role on this machine. */
  readonly target: string;
  /** One line for each thing that happened; holds no payload. */
  readonly say: (line: string) => void;
  /** Before the connection is tried again; doubles up to 30 s. Default 1 s. */
  readonly pauseMs?: number;
}

/** Hands deliveries on, in order, until the signal ends it; a lost connection is made again. */
export async function forwardDeliveries(options: ForwardOptions): Promise<void> {
  const { signal, say, pauseMs = 1_000 } = options;
  let pause = pauseMs;
  while (!signal.aborted) {
    try {
      await listenOnce(options, () => (pause = pauseMs));
      say('The channel closed the connection.');
    } catch (error) {
      if (signal.aborted) return;
      say(`The channel does not answer (${reasonOf(error)}). Trying again in ${Math.ceil(pause / 1000)} s.`);
    }
    await sleep(pause, undefined, { signal }).catch(() => undefined);
    pause = Math.min(pause * 2, maxPauseMs);
  }
}

async function listenOnce(options: ForwardOptions, onOpen: () => void): Promise<void> {
  const { channel, fetch, signal, say } = options;
  const response = await fetch(channel, { headers: { accept: 'text/event-stream' }, signal });
  if (!response.ok || !response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}, and no events`);
  }
  onOpen();
  say(`Listening on ${channel}`);
  const waiting: string[] = [];
  const parser = createParser({
    maxBufferSize: maxEventCharacters,
    onEvent: ({ event, data }) => void (event === undefined && waiting.push(data)),
  });
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    parser.feed(text);
    for (const data of waiting.splice(0)) await handOn(data, options);
  }
}

async function handOn(data: string, { target, fetch, signal, say }: ForwardOptions): Promise<void> {
  const delivery = readDelivery(data);
  if (!delivery) return say('Something that is no delivery came in, and was dropped.');
  const { headers, body } = delivery;
  const name = `${headers['x-github-event'] ?? 'event'} ${headers['x-github-delivery'] ?? ''}`.replaceAll(/[^\w -]/g, '').slice(0, 80);
  try {
    const response = await fetch(target, { method: 'POST', headers, body, signal: AbortSignal.any([signal, AbortSignal.timeout(deliveryMs)]) });
    await response.body?.cancel();
    say(
      `${name}: ${response.status}${response.status === 401 ? ' (the secret is another one, or the channel wrote the body anew and broke its signature)' : ''}`,
    );
  } catch (error) {
    if (!signal.aborted) say(`${name}: the web role does not answer (${reasonOf(error)}). GitHub does not know; redeliver it in the settings of the App.`);
  }
}

/** Only what the web role looks at goes on: not the headers that proxies add, and never a Host of theirs. */
function readDelivery(data: string): { headers: Record<string, string>; body: string } | null {
  try {
    const { body, rawbody, ...rest } = Delivery.parse(JSON.parse(data));
    const signed = Object.entries(rest).filter((entry): entry is [string, string] => /^x-(github|hub)-[\w-]+$/.test(entry[0]) && typeof entry[1] === 'string');
    return { headers: { ...Object.fromEntries(signed), 'content-type': 'application/json' }, body: rawbody ?? JSON.stringify(body) };
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return ((cause instanceof Error ? cause.message : '') || (error instanceof Error ? error.message : 'unknown')).replaceAll(/[\p{C}\s]+/gu, ' ').slice(0, 120);
}
