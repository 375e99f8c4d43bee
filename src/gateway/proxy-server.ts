/** The HTTP server that reads what a guest's connections ask. It never listens: connections are put into it. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export interface ProxyServerOptions {
  /** Of a request. */
  readonly headerBytes: number;
  onConnect(request: IncomingMessage, stream: Duplex, head: Buffer): void;
  onRequest(request: IncomingMessage, response: ServerResponse): void;
  onUnreadable(error: NodeJS.ErrnoException, stream: Duplex): void;
  /** Behind the first request came another one. */
  onPipelinedRequest(stream: Duplex): void;
}

/** It has no timers of its own; a Connection has them. */
export function createProxyServer(options: ProxyServerOptions): Server {
  const server = createServer({ maxHeaderSize: options.headerBytes, insecureHTTPParser: false, requireHostHeader: false });
  // Beyond a count Node drops headers in silence; the size is the limit here.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = 1;
  // Node's own server has this; without it a guest that ends its half after the request would lose the answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('connect', options.onConnect);
  server.on('request', options.onRequest);
  // Without this Node answers by itself, and no line of the ledger tells of it.
  server.on('checkExpectation', options.onRequest);
  server.on('clientError', options.onUnreadable);
  // Node's own 503 for a second request on a connection would be written into the answer of the first.
  server.on('dropRequest', (_request, stream) => options.onPipelinedRequest(stream));
  return server;
}
