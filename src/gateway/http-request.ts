/** A request for an http:// address: the one kind that the gateway could always read. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { encodedForms } from './credential-guard.ts';
import { proxyAuthorization, proxySecrets } from './dial.ts';
import type { DialRequest, Route } from './dial.ts';
import { hostHeader } from './forward.ts';
import type { Exchange } from './forward.ts';
import { registryHeaders, uncompressed } from './registry-headers.ts';
import { isForwarded, isPartial, isReturned } from './tls-inspection.ts';

export interface ProxiedHttpRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** With its query. */
  readonly path: string;
  /** The rules of inspected hosts hold. */
  readonly isInspected: boolean;
  readonly isRegistryRead: boolean;
}

export interface HttpRequestWay {
  readonly call: DialRequest;
  readonly route: Route;
  readonly socket: Socket;
}

/** Over a connection of its own, to the target or to the upstream proxy, which gets the absolute form. */
export function createHttpExchange(
  { request, response, path, isInspected, isRegistryRead }: ProxiedHttpRequest,
  { call, route, socket }: HttpRequestWay,
  more: Pick<Exchange, 'headerBytes' | 'onBytes'>,
): Exchange {
  const host = hostHeader(call.target, 'http');
  const proxy = route.kind === 'proxy' ? route.proxy : null;
  const secrets = proxy ? encodedForms(proxySecrets(proxy)) : [];
  return {
    request,
    response,
    host,
    way: { createConnection: () => socket, path: proxy ? `http://${host}${path}` : path },
    // A proxy may pass its password on, and the host show it: what is compressed, or a piece, could not be searched for it.
    added: [
      ...(proxy ? proxyAuthorization(proxy) : []),
      ...(isRegistryRead ? registryHeaders(request, secrets.length === 0) : secrets.length > 0 ? uncompressed : []),
    ],
    keeps: (name) => !isRegistryRead && (!isInspected || isForwarded(name)) && (secrets.length === 0 || !isPartial(name)),
    returns: isInspected ? isReturned : () => true,
    closes: true,
    secrets,
    signal: call.signal,
    onAnswer: ({ statusCode }) => {
      if (proxy && statusCode === 407) throw Object.assign(new Error('the upstream proxy refused'), { code: 'upstream proxy answered 407' });
    },
    ...more,
  };
}
