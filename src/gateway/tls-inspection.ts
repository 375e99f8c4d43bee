/** A tunnel that ends at the gateway: each request in it is judged by itself, then asked anew over a verified connection. */
import type { CertificateAuthority } from './certificate-authority.ts';
import type { Connection } from './connection.ts';
import { CredentialInAnswer, encodedForms, refuseUnsearchable } from './credential-guard.ts';
import { secretsOf } from './credentials.ts';
import type { DialRequest } from './dial.ts';
import { hasBody, hostHeader, isTooLarge, judgeHead, mayRepeat, runExchange } from './forward.ts';
import type { Exchange } from './forward.ts';
import type { GatewayLimits } from './gateway.ts';
import type { OpenEntry } from './ledger.ts';
import type { Policy } from './policy.ts';
import { plainCode, printable, refuseAddress, refuseBytes, refuseHeaderSize, refuseMalformed, refuseRequestCount, refuseUnreachable } from './refusal.ts';
import type { Refusal, RuleLocation } from './refusal.ts';
import { registryHeaders, uncompressed } from './registry-headers.ts';
import type { Passed, RequestFilter } from './request-filter.ts';
import { parseRequestPath } from './request-path.ts';
import { serveTls } from './tls-server.ts';
import type { GuestRequest, GuestResponse } from './tls-server.ts';
import { readHello } from './tunnel.ts';
import { BlockedAddressError } from './upstream.ts';
import type { Semaphore, UpstreamAgent } from './upstream.ts';
import type { Described, GatewayUsage } from './usage.ts';

export interface TlsInspectorOptions {
  readonly limits: GatewayLimits;
  readonly usage: GatewayUsage;
  readonly filter: RequestFilter;
  readonly agent: UpstreamAgent;
  readonly semaphore: Semaphore;
  readonly authority: () => Promise<CertificateAuthority>;
  readonly location: Omit<RuleLocation, 'phase'>;
  /** Of the phase that is on. */
  readonly policy: () => Policy;
}

/**
 * What package managers and git say of what they want, in lower case. Nothing else goes on: another header could be somebody
 * else's account at an allowed host, or name another path or method than the one that was judged.
 */
const forwarded =
  /^(?:accept(?:-[a-z]+)?|cache-control|cargo-protocol|content-(?:encoding|language|length|type)|git-protocol|if-(?:match|modified-since|none-match|range|unmodified-since)|npm-(?:command|in-ci|scope)|pacote-(?:integrity|pkg-id|req-type|version)|pragma|range|user-agent)$/;
/** Not beside a credential. */
const partial = new Set(['range', 'if-range']);
/** A session is a credential, and the others lead past the gateway. */
const unreturned = new Set(['set-cookie', 'set-cookie2', 'alt-svc', 'authentication-info']);

export const isForwarded = (name: string): boolean => forwarded.test(name);
export const isPartial = (name: string): boolean => partial.has(name);
export const isReturned = (name: string): boolean => !unreturned.has(name);

export class TlsInspector {
  readonly #options: TlsInspectorOptions;

  constructor(options: TlsInspectorOptions) {
    this.#options = options;
  }

  /** From the first byte after CONNECT; returns when requests may come. */
  async open(connection: Connection, { target, internal }: DialRequest): Promise<void> {
    const { authority, limits } = this.#options;
    const { stream, signal } = connection;
    const problem = await readHello(stream, target);
    if (problem !== null) return connection.cut(problem);
    connection.arm(limits.headerTimeoutMs);
    const identity = await (await authority()).identify(target);
    if (signal.aborted) return;
    let isOpen = false;
    let requests = 0;
    const turns = new Turns((one) => this.#serve(one));
    signal.addEventListener('abort', () => {
      // A client that does not trust the certificate goes without a word.
      if (!isOpen && connection.entry) connection.entry.decision = 'failed';
      if (requests === 0) connection.note(isOpen ? 'nothing was asked' : 'no TLS handshake');
    });
    serveTls(stream, {
      identity,
      headerBytes: limits.headerBytes,
      handshakeTimeoutMs: limits.headerTimeoutMs,
      onOpen: () => {
        isOpen = true;
        connection.arm(limits.idleTimeoutMs);
      },
      onRequest: (request, response) => {
        requests += 1;
        const one = { connection, call: { target, internal }, request, response };
        if (request.httpVersionMajor === 1) turns.take(one);
        else void this.#serve(one);
      },
      onUnreadable: (refusal, method) => {
        requests += 1;
        connection.arm(limits.headerTimeoutMs);
        this.#options.usage.takeRequest();
        this.#options.usage.record({ method, host: target.host, port: target.port, path: null }, { decision: 'refused', rule: refusal.rule });
      },
      onBroken: () => connection.end(),
      signal,
    });
  }

  /** One request. Never rejects. */
  async #serve(one: InspectedExchange): Promise<void> {
    const { connection, call, request, response } = one;
    const { usage } = this.#options;
    connection.touch();
    // What was asked in vain is not read, so a body that still comes would be taken for the next request.
    request.on('error', () => {});
    response.on('error', () => {});
    const judged = this.#judge(one);
    const described = describeRequest(one);
    if ('refusal' in judged) {
      const { refusal } = judged;
      const { rule, wouldAllow = null, beyondCeiling = null } = refusal;
      usage.record(described, { decision: 'refused', rule, wouldAllow, beyondCeiling });
      return reply(one, refusal);
    }
    const entry = usage.record(described, { decision: 'allowed', rule: judged.rule });
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const signal = AbortSignal.any([connection.signal, gone.signal]);
    try {
      using _slot = await this.#options.semaphore.take(signal);
      await runExchange(this.#exchange(one, judged, { entry, signal }));
    } catch (error) {
      // The guest lost interest: what was asked stays asked.
      if (signal.aborted && !(error instanceof CredentialInAnswer)) return;
      const refusal = error instanceof BlockedAddressError ? refuseAddress(call.target, error.rule) : refuseUnreachable(call.target, plainCode(error));
      Object.assign(entry, { decision: error instanceof BlockedAddressError ? 'refused' : 'failed', rule: refusal.rule });
      reply(one, refusal);
    }
  }

  #judge({ call: { target }, request }: InspectedExchange): Passed | { readonly refusal: Refusal } {
    const { usage, limits, filter, policy, location } = this.#options;
    if (!usage.takeRequest()) return { refusal: refuseRequestCount() };
    if (usage.isOverByteLimit) return { refusal: refuseBytes(limits.totalBytes) };
    if (isTooLarge(request, limits.headerBytes)) return { refusal: refuseHeaderSize() };
    const problem = judgeHead(request, target, 'connect');
    if (problem !== null) return { refusal: refuseMalformed(problem) };
    const requestPath = parseRequestPath(request.url ?? '');
    if ('problem' in requestPath) return { refusal: refuseMalformed(requestPath.problem) };
    const phase = policy();
    const verdict = phase.decide(target, 'connect');
    const asked = { target, scheme: 'connect', method: request.method ?? '', requestPath, hasBody: hasBody(request) } as const;
    if (!verdict.allowed) return { refusal: refuseMalformed(verdict.rule) };
    return filter.judge(phase, asked, { phase: phase.phase, ...location });
  }

  #exchange(
    { connection, call, request, response }: InspectedExchange,
    { credential, isRegistryRead }: Passed,
    { entry, signal }: { entry: OpenEntry; signal: AbortSignal },
  ): Exchange {
    const { agent, usage, limits } = this.#options;
    const { target } = call;
    const path = request.url ?? '/';
    // A kept connection may be closed in the very moment in which it is used again: what cannot be repeated gets one of its own.
    const way = mayRepeat(request) ? { agent, host: target.host, port: target.port, path, call } : { ...agent.connectOnce(call), path };
    return {
      request,
      response,
      way,
      host: hostHeader(target, 'connect'),
      added: [
        ...(credential === null ? [] : [credential.header, credential.value]),
        // What is compressed could not be searched for the credential.
        ...(isRegistryRead ? registryHeaders(request, credential === null) : credential === null ? [] : uncompressed),
      ],
      keeps: (name) => !isRegistryRead && isForwarded(name) && (credential === null || !isPartial(name)),
      returns: isReturned,
      closes: false,
      secrets: credential === null ? [] : encodedForms(secretsOf(credential)),
      ...(credential !== null && { onAnswer: refuseUnsearchable }),
      headerBytes: limits.headerBytes,
      signal,
      onBytes: (direction, count) => {
        connection.touch();
        usage.addBytes(entry, direction, count);
      },
    };
  }
}

/** Of HTTP/1.1: requests of one connection that may be under way. apt sends ten before it reads an answer. */
const maxUnanswered = 32;

/** HTTP/1.1 answers in the order of the requests, so none is begun before its turn: Node reads on without end as long as nothing is written. */
class Turns {
  readonly #serve: (one: InspectedExchange) => Promise<void>;
  #last = Promise.resolve();
  #unanswered = 0;

  constructor(serve: (one: InspectedExchange) => Promise<void>) {
    this.#serve = serve;
  }

  take(one: InspectedExchange): void {
    const { connection } = one;
    if (connection.signal.aborted) return;
    if (this.#unanswered === maxUnanswered) {
      connection.note('too many requests before an answer');
      return connection.end();
    }
    this.#unanswered += 1;
    this.#last = this.#serveAfter(this.#last, one);
  }

  async #serveAfter(last: Promise<void>, one: InspectedExchange): Promise<void> {
    await last;
    if (!one.connection.signal.aborted && !one.connection.isEnding) await this.#serve(one);
    this.#unanswered -= 1;
  }
}

interface InspectedExchange {
  readonly connection: Connection;
  readonly call: Omit<DialRequest, 'signal'>;
  readonly request: GuestRequest;
  readonly response: GuestResponse;
}

function describeRequest({ call: { target }, request }: InspectedExchange): Described {
  const path = printable((request.url ?? '').split('?', 1)[0] ?? '');
  return { method: printable(request.method ?? '', 20), host: target.host, port: target.port, path };
}

/** An answer of our own; when the other's has begun, there is only the end of it. Never throws: nobody is there to catch it. */
function reply(one: InspectedExchange, refusal: Refusal): void {
  const { response } = one;
  try {
    if (response.headersSent) response.destroy();
    else writeReply(one, refusal);
  } catch {
    response.destroy();
  }
}

function writeReply({ connection, request, response }: InspectedExchange, { status, text }: Refusal): void {
  // Of an answer that could not be written HTTP/2 keeps the headers.
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(Buffer.byteLength(text) + 1) };
  connection.isEnding = request.httpVersionMajor === 1 && hasBody(request);
  // Some clients show nothing but the status line, which HTTP/2 does not have.
  if ('statusMessage' in response && request.httpVersionMajor === 1) response.statusMessage = text;
  response.writeHead(status, { ...headers, ...(connection.isEnding && { connection: 'close' }) });
  response.end(`${text}\n`);
  request.resume();
}
