/** One plain HTTP request, written anew for the target: nothing of the guest's framing is passed on. */
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { proxyAuthorization } from './dial.ts';
import { defaultPorts } from './policy.ts';
import { authorityText, hostText, parseAuthority } from './target.ts';
import type { Target } from './target.ts';
import { countBytes } from './tunnel.ts';
import type { TunnelEnds } from './tunnel.ts';

export interface Exchange extends Pick<TunnelEnds, 'onBytes' | 'signal'> {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  readonly path: string;
  readonly socket: Socket;
  /** Null when the socket leads to the target itself. */
  readonly proxy: URL | null;
  /** Of the answer. */
  readonly headerBytes: number;
}

/** RFC 9110 7.6.1, and what only concerns the way to a proxy. */
const hopByHop = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect']);

/** What is wrong with the head, or null. The framing is checked again here: Node hands a request over before it has read all of its coding. */
export function judgeHead(request: IncomingMessage, target: Target): string | null {
  if (request.method === 'TRACE') return 'TRACE';
  const hosts = values(request, 'host');
  if (hosts.length > 1) return 'more than one Host header';
  const coding = values(request, 'transfer-encoding');
  if (coding.length > 1 || (coding[0] ?? 'chunked').toLowerCase() !== 'chunked') return 'Transfer-Encoding';
  if (hosts[0] === undefined) return null;
  const named = parseAuthority(hosts[0], defaultPorts.plain);
  return 'host' in named && authorityText(named) === authorityText(target) ? null : 'another Host header';
}

/** Sends the request and brings the answer back. Rejects before the answer has begun, or in the middle of it. */
export async function runExchange(exchange: Exchange): Promise<void> {
  const { request, response, onBytes, signal } = exchange;
  const outgoing = openRequest(exchange);
  const answered = awaitAnswer(outgoing);
  onBytes('out', (request.url ?? '').length + request.rawHeaders.join('').length);
  const sent = hasBody(request) ? pipeline(request, countBytes(exchange, 'out'), outgoing, { signal }) : outgoing.end();
  // A server may answer before it has read everything; what was not sent then is no failure.
  Promise.resolve(sent).catch(() => {});
  const answer = await answered;
  if (exchange.proxy && answer.statusCode === 407) throw Object.assign(new Error('the upstream proxy refused'), { code: 'upstream proxy answered 407' });
  response.sendDate = false;
  response.writeHead(answer.statusCode ?? 502, answerHeaders(answer));
  await pipeline(answer, countBytes(exchange, 'in'), response, { signal });
}

function openRequest({ request, target, path, socket, proxy, headerBytes, signal }: Exchange): ClientRequest {
  const port = target.port === defaultPorts.plain ? '' : `:${target.port}`;
  const host = `${hostText(target)}${port}`;
  return httpRequest({
    createConnection: () => socket,
    method: request.method ?? 'GET',
    path: proxy ? `http://${host}${path}` : path,
    headers: ['host', host, ...requestHeaders(request), ...(proxy ? proxyAuthorization(proxy) : [])],
    maxHeaderSize: headerBytes,
    insecureHTTPParser: false,
    signal,
  });
}

function awaitAnswer(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    // Stays: an error after the answer has begun is the pipeline's to report.
    outgoing.on('error', reject);
    outgoing.once('close', () => reject(Object.assign(new Error('closed without an answer'), { code: 'ECONNRESET' })));
  });
}

function requestHeaders(request: IncomingMessage): string[] {
  const kept = keepEndToEnd(request).filter(([name]) => name !== 'host');
  const isChunked = values(request, 'transfer-encoding').length > 0;
  return [...kept.flat(), ...(isChunked ? ['transfer-encoding', 'chunked'] : [])];
}

function answerHeaders(answer: IncomingMessage): string[] {
  return [...keepEndToEnd(answer).flat(), 'connection', 'close'];
}

/** Pairs without what belongs to one hop only, among it all that `Connection` names. */
function keepEndToEnd(message: IncomingMessage): [string, string][] {
  const named = new Set(
    values(message, 'connection')
      .flatMap((value) => value.toLowerCase().split(','))
      .map((name) => name.trim()),
  );
  named.delete('host');
  named.delete('content-length');
  return pairs(message).filter(([name]) => !hopByHop.has(name) && !named.has(name) && !name.startsWith('proxy-'));
}

function hasBody(request: IncomingMessage): boolean {
  return values(request, 'transfer-encoding').length > 0 || values(request, 'content-length').length > 0;
}

function values(message: IncomingMessage, wanted: string): string[] {
  return pairs(message).flatMap(([name, value]) => (name === wanted ? [value] : []));
}

function pairs({ rawHeaders }: IncomingMessage): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) found.push([(rawHeaders[at] ?? '').toLowerCase(), rawHeaders[at + 1] ?? '']);
  return found;
}
