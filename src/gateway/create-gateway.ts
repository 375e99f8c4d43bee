/** The gateway of one VM: takes its streams, reads one request from each, decides, and connects. Nothing listens on a port. */
import { lookup as lookupHost } from 'node:dns/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { Connection } from './connection.ts';
import type { Asked } from './connection.ts';
import { dialPlain, dialTunnel, findRoute } from './dial.ts';
import type { Call, DialOptions, Route } from './dial.ts';
import { judgeHead, runExchange } from './forward.ts';
import type { Exchange } from './forward.ts';
import type { Gateway, GatewayLimits, GatewayOptions, LedgerEntry } from './gateway.ts';
import { createLedger } from './ledger.ts';
import type { Ledger, OpenEntry } from './ledger.ts';
import { createPolicy, defaultPorts } from './policy.ts';
import type { Policy } from './policy.ts';
import { answerClosedAddress, answerCrowded, answerDenied, answerMalformed, answerSpent, answerUnreachable, wireAnswer } from './refusal.ts';
import type { Answer } from './refusal.ts';
import { parseAbsoluteForm, parseAuthority } from './target.ts';
import { runTunnel } from './tunnel.ts';

export const defaultGatewayLimits: GatewayLimits = {
  connections: 64,
  headerBytes: 16_384,
  headerTimeoutMs: 15_000,
  idleTimeoutMs: 120_000,
  dialTimeoutMs: 20_000,
  totalBytes: 2 * 2 ** 30,
  ledgerEntries: 10_000,
};

export function createGateway(options: GatewayOptions): Gateway {
  return new ProxyGateway(options);
}

/** A request as far as it was understood, for the ledger. */
type Described = Pick<OpenEntry, 'method' | 'host' | 'port'>;

type OpenRoute = Exclude<Route, { kind: 'closed' }>;

class ProxyGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #dial: DialOptions;
  readonly #ledger: Ledger;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Connection>();
  #policy: Policy;
  #spentBytes = 0;
  #isClosed = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#limits = { ...defaultGatewayLimits, ...options.limits };
    const lookup = options.lookup ?? ((host) => lookupHost(host, { all: true }));
    const ownAddresses = options.ownAddresses ?? cardAddresses;
    const { dialTimeoutMs: timeoutMs, headerBytes } = this.#limits;
    this.#dial = { lookup, ownAddresses, upstreamProxy: options.upstreamProxy, timeoutMs, headerBytes };
    this.#ledger = createLedger(this.#limits.ledgerEntries);
    this.#policy = this.#readPolicy(options.phase ?? 'setup', options.allow);
    this.#server = this.#createServer();
  }

  get ledger(): Gateway['ledger'] {
    return this.#ledger.entries;
  }

  get unlisted(): number {
    return this.#ledger.unlisted;
  }

  accept(stream: Duplex): void {
    // Every stream has this from its first moment on: the HTTP server takes its own listener away at CONNECT.
    stream.on('error', () => {});
    const { connections: most, headerTimeoutMs } = this.#limits;
    if (this.#isClosed || this.#connections.size >= 4 * most) {
      stream.destroy();
      return;
    }
    const connection = new Connection(stream, () => this.#connections.delete(stream));
    this.#connections.set(stream, connection);
    // Answers on their way out do not count, or refusals for crowding would themselves be the crowd.
    const active = [...this.#connections.values()].filter((open) => !open.isLingering).length;
    if (active > most) return this.#refuse(connection, unread, answerCrowded(most));
    connection.arm(headerTimeoutMs);
    this.#server.emit('connection', stream);
  }

  enter(phase: string, allow: readonly string[]): void {
    this.#policy = this.#readPolicy(phase, allow);
    for (const connection of this.#connections.values()) {
      const { asked } = connection;
      if (asked && !this.#policy.decide(asked.target, asked.scheme).allowed) connection.outlive(`closed by phase ${phase}`);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const connection of this.#connections.values()) connection.end();
  }

  #readPolicy(phase: string, allow: readonly string[]): Policy {
    const policy = createPolicy(phase, allow, this.#options.internal);
    const { unreadable } = policy;
    if (unreadable.length > 0) this.#options.log.warn({ phase, unreadable }, 'gateway ignores entries that are no host');
    return policy;
  }

  /** Never listens, so it has no timers of its own; a Connection has them. */
  #createServer(): Server {
    const server = createServer({ maxHeaderSize: this.#limits.headerBytes, insecureHTTPParser: false, requireHostHeader: false });
    // Beyond a count Node drops headers in silence; the size is the limit here.
    server.maxHeadersCount = 0;
    server.maxRequestsPerSocket = 1;
    // Node's own server has this; without it a guest that ends its half after the request would lose the answer.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.on('connect', (request: IncomingMessage, stream: Duplex, head: Buffer) => this.#onConnect(request, stream, head));
    server.on('request', (request, response) => this.#onRequest(request, response));
    server.on('clientError', (error: NodeJS.ErrnoException, stream) => this.#onUnreadable(error, stream));
    // Node's own 503 for a second request on a connection would be written into the answer of the first.
    server.on('dropRequest', (_request, stream) => this.#connections.get(stream)?.cut('second request'));
    return server;
  }

  #onUnreadable(error: NodeJS.ErrnoException, stream: Duplex): void {
    const connection = this.#connections.get(stream);
    if (!connection || connection.isUsed) {
      connection?.end();
      return;
    }
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
    this.#refuse(connection, unread, { ...answerMalformed(plainCode(error)), status });
  }

  #onConnect(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const connection = this.#take(stream);
    if (!connection) return;
    const target = parseAuthority(request.url ?? '', null);
    if ('problem' in target) return this.#refuse(connection, describe(request), answerMalformed(target.problem));
    if (head.length > 0) stream.unshift(head);
    void this.#serve(connection, { method: 'CONNECT', target, scheme: 'tunnel' }, (route, call) => this.#tunnel(connection, route, call));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#take(request.socket);
    if (!connection) return;
    const asked = parseAbsoluteForm(request.url ?? '');
    const problem = 'problem' in asked ? asked.problem : judgeHead(request, asked.target);
    if ('problem' in asked || problem !== null) {
      request.resume();
      return this.#refuse(connection, describe(request), answerMalformed(problem ?? ''));
    }
    const { target, path } = asked;
    void this.#serve(connection, { method: request.method ?? '', target, scheme: 'plain' }, (route, call) =>
      this.#exchange(connection, { request, response, path }, { route, call }),
    );
  }

  /** The connection of a stream, for its first request only. */
  #take(stream: Duplex): Connection | null {
    const connection = this.#connections.get(stream);
    if (!connection || connection.isUsed) {
      connection?.cut('second request');
      return null;
    }
    connection.isUsed = true;
    connection.arm(this.#limits.idleTimeoutMs);
    return connection;
  }

  /** From the decision to the end of the connection. Never rejects. */
  async #serve(connection: Connection, asked: Asked, carry: (route: OpenRoute, call: Call) => Promise<void>): Promise<void> {
    const { target, scheme } = asked;
    const { settingsKey } = this.#options;
    const described = { method: asked.method, host: target.host, port: target.port };
    const verdict = this.#policy.decide(target, scheme);
    if (!verdict.allowed) return this.#refuse(connection, described, answerDenied(target, verdict, { phase: this.#policy.phase, settingsKey }));
    if (this.#spentBytes >= this.#limits.totalBytes) return this.#refuse(connection, described, answerSpent(this.#limits.totalBytes));
    this.#record(connection, described, { decision: 'allowed', rule: verdict.rule });
    connection.asked = asked;
    try {
      const call = { target, internal: verdict.internal, signal: connection.signal };
      const route = await findRoute(call, this.#dial);
      if (route.kind === 'closed') return this.#refuse(connection, described, answerClosedAddress(target, route.rule));
      await carry(route, call);
    } catch (error) {
      this.#fail(connection, asked, error);
    }
  }

  async #tunnel(connection: Connection, route: OpenRoute, call: Call): Promise<void> {
    const { stream: guest, signal } = connection;
    const { target } = call;
    const remote = await dialTunnel(route, call, this.#dial);
    const { idleTimeoutMs, headerTimeoutMs } = this.#limits;
    // A tunnel to another port than TLS's may wait for the server to speak first.
    connection.arm(target.port === defaultPorts.tunnel ? headerTimeoutMs : idleTimeoutMs);
    connection.isAnswered = true;
    guest.write('HTTP/1.1 200 Connection established\r\n\r\n');
    await runTunnel({
      guest,
      remote,
      target,
      signal,
      onOpen: () => connection.arm(idleTimeoutMs),
      onRefused: (rule) => connection.cut(rule),
      onBytes: (direction, count) => this.#count(connection, direction, count),
    });
    connection.end();
  }

  async #exchange(
    connection: Connection,
    plain: Pick<Exchange, 'request' | 'response' | 'path'>,
    { route, call }: { route: OpenRoute; call: Call },
  ): Promise<void> {
    const socket = await dialPlain(route, call, this.#dial);
    const proxy = route.kind === 'proxy' ? route.proxy : null;
    const onBytes: Exchange['onBytes'] = (direction, count) => this.#count(connection, direction, count);
    try {
      await runExchange({ ...plain, target: call.target, socket, proxy, headerBytes: this.#limits.headerBytes, signal: call.signal, onBytes });
      connection.linger();
    } finally {
      connection.isAnswered = plain.response.headersSent;
      socket.destroy();
    }
  }

  #count(connection: Connection, direction: 'in' | 'out', count: number): void {
    if (connection.entry) connection.entry[direction === 'in' ? 'bytesIn' : 'bytesOut'] += count;
    connection.touch();
    this.#spentBytes += count;
    if (this.#spentBytes < this.#limits.totalBytes) return;
    for (const open of this.#connections.values()) if (open.asked) open.cut('byte limit');
  }

  #refuse(connection: Connection, described: Described, answer: Answer): void {
    this.#record(connection, described, { decision: 'refused', rule: answer.rule });
    this.#reply(connection, answer);
  }

  #fail(connection: Connection, { method, target }: Asked, error: unknown): void {
    if (connection.signal.aborted) return;
    if (connection.isAnswered) return connection.end();
    const code = plainCode(error);
    this.#record(connection, { method, host: target.host, port: target.port }, { decision: 'failed', rule: code });
    this.#reply(connection, answerUnreachable(target, code));
  }

  #reply(connection: Connection, answer: Answer): void {
    if (connection.signal.aborted) return;
    connection.isUsed = true;
    connection.isAnswered = true;
    connection.stream.write(wireAnswer(answer));
    connection.linger();
  }

  /** One line for each connection: a later decision about it replaces the first. */
  #record(connection: Connection, described: Described, decided: Pick<LedgerEntry, 'decision' | 'rule'>): void {
    if (connection.entry) {
      Object.assign(connection.entry, decided);
      return;
    }
    const { phase } = this.#policy;
    connection.entry = { at: new Date().toISOString(), phase, ...described, ...decided, bytesIn: 0, bytesOut: 0 };
    // A guest can ask for ever: what the ledger does not take, the log does not take either.
    if (this.#ledger.add(connection.entry)) this.#options.log.debug({ phase, ...described, ...decided }, 'gateway attempt');
    else if (this.#ledger.unlisted === 1) this.#options.log.warn({ phase }, 'gateway ledger is full');
  }
}

function cardAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));
}

/** Nothing of the request could be read. */
const unread: Described = { method: '', host: '', port: 0 };

/** A request whose target makes no sense: its own words, made printable and short. */
function describe({ method, url }: IncomingMessage): Described {
  return { method: method ?? '', host: (url ?? '').slice(0, 253).replaceAll(/[^!-~]/g, '?'), port: 0 };
}

/** An error's code as it may stand in a status line. */
function plainCode(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[\w .-]{1,60}$/.test(code) ? code : 'error';
}
