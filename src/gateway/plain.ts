/** A request for an http:// address: the one kind that the gateway could always read. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { proxyAuthorization } from './dial.ts';
import type { Call, Route } from './dial.ts';
import { hostHeader } from './forward.ts';
import type { Exchange } from './forward.ts';
import { isForwarded, isReturned } from './inspect.ts';

export interface PlainRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** With its query. */
  readonly path: string;
  /** The rules of inspected hosts hold. */
  readonly isInspected: boolean;
}

export interface PlainWay {
  readonly call: Call;
  readonly route: Route;
  readonly socket: Socket;
}

/** Over a connection of its own, to the target or to the upstream proxy, which gets the absolute form. */
export function createPlainExchange(
  { request, response, path, isInspected }: PlainRequest,
  { call, route, socket }: PlainWay,
  more: Pick<Exchange, 'headerBytes' | 'onBytes'>,
): Exchange {
  const host = hostHeader(call.target, 'plain');
  const proxy = route.kind === 'proxy' ? route.proxy : null;
  return {
    request,
    response,
    host,
    way: { createConnection: () => socket, path: proxy ? `http://${host}${path}` : path },
    added: proxy ? proxyAuthorization(proxy) : [],
    keeps: isInspected ? isForwarded : () => true,
    returns: isInspected ? isReturned : () => true,
    closes: true,
    secrets: [],
    signal: call.signal,
    onAnswer: ({ statusCode }) => {
      if (proxy && statusCode === 407) throw Object.assign(new Error('the upstream proxy refused'), { code: 'upstream proxy answered 407' });
    },
    ...more,
  };
}
