/** The gateway's end of a TLS connection that a guest takes for one to the host itself: HTTP/1.1 and HTTP/2. */
import { createSecureServer } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import type { Writable } from 'node:stream';
import type { Identity } from './certificate-authority.ts';
import { formatRefusal, refuseMalformed, refuseUnreadable } from './refusal.ts';
import type { Refusal } from './refusal.ts';

export type GuestRequest = IncomingMessage | Http2ServerRequest;
/** What both kinds have in common; as a union neither could be written to. */
export interface GuestResponse extends Writable {
  readonly headersSent: boolean;
  sendDate: boolean;
  getHeaderNames(): string[];
  removeHeader(name: string): void;
  writeHead(status: number, headers: OutgoingHttpHeaders): unknown;
}

export interface TlsServerOptions {
  readonly identity: Identity;
  /** Of a request. */
  readonly headerBytes: number;
  /** For the handshake. */
  readonly handshakeTimeoutMs: number;
  /** The handshake is done. */
  onOpen(): void;
  /** Any number of times. */
  onRequest(request: GuestRequest, response: GuestResponse): void;
  /** What came in the connection is no request, or one of a method that there is not; the answer is on its way. */
  onUnreadable(refusal: Refusal, method: string): void;
  /** The connection is of no use any more. */
  onBroken(): void;
  readonly signal: AbortSignal;
}

/** Of one HTTP/2 connection at once: as many as clients begin with before they have heard a number. */
const maxStreams = 128;

/** Serves the stream until the signal aborts. A server of its own for each connection: it never listens. */
export function serveTls(guest: Duplex, options: TlsServerOptions): void {
  const { identity, headerBytes, signal } = options;
  // Of HTTP/1.1: Node hands them on, its types do not know it.
  const ofHttp1 = { maxHeaderSize: headerBytes, insecureHTTPParser: false, requireHostHeader: false };
  const server = createSecureServer({
    ...ofHttp1,
    ...identity,
    allowHTTP1: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: options.handshakeTimeoutMs,
    // What is over this is cut without a word, and what is over the limit itself gets an answer and a line in the ledger.
    settings: { maxConcurrentStreams: maxStreams, maxHeaderListSize: 4 * headerBytes, enablePush: false },
    maxSendHeaderBlockLength: 4 * headerBytes,
  });
  server.on('secureConnection', (socket) => {
    // What is below it need not notice: a stream that is half open stays. Node's server stops at this end, too.
    socket.once('end', () => options.onBroken());
    socket.once('close', () => options.onBroken());
    options.onOpen();
  });
  const take = (request: GuestRequest, response: ServerResponse | Http2ServerResponse): void => options.onRequest(request, response as GuestResponse);
  server.on('request', take);
  // Without these two Node answers by itself, and such requests are free.
  server.on('checkExpectation', take);
  server.on('connect', (request: GuestRequest, end: Duplex | Http2ServerResponse) => {
    if (!(end instanceof Duplex)) return take(request, end);
    const refusal = refuseMalformed('CONNECT');
    end.end(formatRefusal(refusal));
    options.onUnreadable(refusal, 'CONNECT');
  });
  server.on('tlsClientError', () => options.onBroken());
  server.on('unknownProtocol', () => options.onBroken());
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!error.code?.startsWith('HPE_') || !socket.writable) return options.onBroken();
    const refusal = refuseUnreadable(error);
    socket.end(formatRefusal(refusal));
    options.onUnreadable(refusal, '');
  });
  server.on('sessionError', () => options.onBroken());
  signal.addEventListener('abort', () => server.close());
  server.emit('connection', guest);
}
