/** One request, written anew for the target: nothing of the guest's framing is passed on. */
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CredentialInAnswer, containsForm, createCredentialGuard } from './credential-guard.ts';
import { defaultPorts } from './policy.ts';
import type { Scheme } from './policy.ts';
import { authorityText, hostText, parseAuthority } from './target.ts';
import type { Target } from './target.ts';
import type { GuestRequest, GuestResponse } from './tls-server.ts';
import { countBytes } from './tunnel.ts';
import type { TunnelEnds } from './tunnel.ts';

export interface Exchange extends Pick<TunnelEnds, 'onBytes' | 'signal'> {
  readonly request: GuestRequest;
  readonly response: GuestResponse;
  /** The connection, or where one comes from; and the request target as it goes out. */
  readonly way: Pick<RequestOptions, 'agent' | 'createConnection' | 'host' | 'port'> & { readonly path: string };
  /** `Host`. */
  readonly host: string;
  /** Names and values that the gateway puts in. */
  readonly added: readonly string[];
  /** Of the guest's headers, those that go on. */
  readonly keeps: (name: string) => boolean;
  /** Of the answer's. */
  readonly returns: (name: string) => boolean;
  /** The connection to the guest ends with the answer. */
  readonly closes: boolean;
  /** What must not come back. */
  readonly secrets: readonly Buffer[];
  /** Of the answer. */
  readonly headerBytes: number;
  /** Throws for an answer that may not go on. */
  readonly onAnswer?: (answer: IncomingMessage) => void;
}

/** RFC 9110 7.6.1, and what only concerns the way to a proxy. */
const hopByHop = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect']);

/** An answer has one of each, but hosts that are put together of several servers write some twice. HTTP/2 takes no second one. */
const singular = new Set([
  ...'access-control-allow-credentials access-control-max-age access-control-request-method age authorization content-length'.split(' '),
  ...'content-location content-md5 content-range content-type date dnt etag expires from host if-match if-modified-since if-none-match'.split(' '),
  ...'if-range if-unmodified-since last-modified location max-forwards range referer retry-after server tk upgrade-insecure-requests'.split(' '),
  ...'user-agent x-content-type-options'.split(' '),
]);
/** These are lists, which HTTP/2 takes in one line only. */
const joined = new Set(['content-encoding', 'content-language']);

/** What is wrong with the head, or null. The framing is checked again here: Node hands a request over before it has read all of its coding. */
export function judgeHead(request: GuestRequest, target: Target, scheme: Scheme = 'http'): string | null {
  if (request.method === 'TRACE' || request.method === 'CONNECT') return request.method;
  // Node would answer by itself, and nobody would hear of it.
  if (values(request, 'expect').some((expected) => expected.toLowerCase() !== '100-continue')) return 'Expect';
  const hosts = [...values(request, 'host'), ...values(request, ':authority')];
  if (values(request, 'host').length > 1) return 'more than one Host header';
  const coding = values(request, 'transfer-encoding');
  if (coding.length > 1 || (coding[0] ?? 'chunked').toLowerCase() !== 'chunked') return 'Transfer-Encoding';
  const isOther = (text: string): boolean => {
    const named = parseAuthority(text, defaultPorts[scheme]);
    return 'problem' in named || authorityText(named) !== authorityText(target);
  };
  return hosts.some(isOther) ? 'another Host header' : null;
}

/** Of HTTP/2, whose own limit holds only once the client has said that it heard of it, which it need not. Counted as RFC 9113 6.5.2 does. */
export function isTooLarge(request: GuestRequest, headerBytes: number): boolean {
  return 'stream' in request && pairs(request).reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0) > headerBytes;
}

/** The `Host` of a target: without the port where that goes without saying. */
export function hostHeader(target: Target, scheme: Scheme): string {
  return target.port === defaultPorts[scheme] ? hostText(target) : authorityText(target);
}

/** Sends the request and brings the answer back. Rejects before the answer has begun, or in the middle of it. */
export async function runExchange(exchange: Exchange): Promise<void> {
  const { request, response, onBytes, secrets, signal } = exchange;
  onBytes('out', (request.url ?? '').length + request.rawHeaders.join('').length);
  const answer = await ask(exchange);
  exchange.onAnswer?.(answer);
  const headers = answerHeaders(exchange, answer);
  if (secrets.length > 0 && containsForm(JSON.stringify([answer.statusMessage, headers]), secrets))
    throw new CredentialInAnswer('the answer repeats a credential');
  response.sendDate = false;
  response.writeHead(answer.statusCode ?? 502, headers);
  const guard: Transform[] = secrets.length > 0 ? [createCredentialGuard(secrets)] : [];
  await pipeline([answer, ...guard, countBytes(exchange, 'in'), response], { signal });
}

/** A connection that was kept open may be closed by the host in the very moment in which it is used again. */
async function ask(exchange: Exchange): Promise<IncomingMessage> {
  for (;;) {
    const outgoing = openRequest(exchange);
    const answered = awaitAnswer(outgoing);
    const { request, signal } = exchange;
    const isRepeatable = mayRepeat(request);
    const sent = !hasBody(request) ? outgoing.end() : pipeline(request, countBytes(exchange, 'out'), outgoing, { signal });
    // A server may answer before it has read everything; what was not sent then is no failure.
    Promise.resolve(sent).catch(() => {});
    try {
      return await answered;
    } catch (error) {
      if (!isRepeatable || !outgoing.reusedSocket || signal.aborted) throw error;
    }
  }
}

/** A proxy may not send anything else a second time by itself (RFC 9110 9.2.2). */
export function mayRepeat(request: GuestRequest): boolean {
  return !hasBody(request) && (request.method === 'GET' || request.method === 'HEAD');
}

function openRequest({ request, way, host, added, keeps, headerBytes, signal }: Exchange): ClientRequest {
  const names = new Set(added.filter((_text, index) => index % 2 === 0));
  const kept = keepEndToEnd(request).filter(([name]) => name !== 'host' && !name.startsWith(':') && !names.has(name) && keeps(name));
  const isChunked = values(request, 'transfer-encoding').length > 0 || (hasBody(request) && values(request, 'content-length').length === 0);
  return httpRequest({
    ...way,
    method: request.method ?? 'GET',
    headers: ['host', host, ...kept.flat(), ...(isChunked ? ['transfer-encoding', 'chunked'] : []), ...added],
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

/** Names with all their values, since HTTP/2 takes no pairs. */
function answerHeaders({ returns, closes }: Exchange, answer: IncomingMessage): Record<string, string[]> {
  const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const [name, value] of keepEndToEnd(answer)) {
    const before = headers[name];
    if (!returns(name) || (before && singular.has(name))) continue;
    headers[name] = before && joined.has(name) ? [`${before.join(', ')}, ${value}`] : [...(before ?? []), value];
  }
  return closes ? Object.assign(headers, { connection: ['close'] }) : headers;
}

/** Pairs without what belongs to one hop only, among it all that `Connection` names. */
function keepEndToEnd(message: GuestRequest): [string, string][] {
  const named = new Set(
    values(message, 'connection')
      .flatMap((value) => value.toLowerCase().split(','))
      .map((name) => name.trim()),
  );
  named.delete('host');
  named.delete('content-length');
  return pairs(message).filter(([name]) => !hopByHop.has(name) && !named.has(name) && !name.startsWith('proxy-'));
}

/** Of HTTP/2 a stream that is still open for writing has one, whatever its headers say. */
export function hasBody(request: GuestRequest): boolean {
  if ('stream' in request) return !request.stream.endAfterHeaders;
  return values(request, 'transfer-encoding').length > 0 || values(request, 'content-length').some((length) => length !== '0');
}

function values(message: GuestRequest, wanted: string): string[] {
  return pairs(message).flatMap(([name, value]) => (name === wanted ? [value] : []));
}

function pairs({ rawHeaders }: GuestRequest): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) found.push([(rawHeaders[at] ?? '').toLowerCase(), rawHeaders[at + 1] ?? '']);
  return found;
}
