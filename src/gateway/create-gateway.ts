/** The gateway of one VM: takes its streams, reads one request from each, decides, and connects. Nothing listens on a port. */
import { lookup as lookupHost } from 'node:dns/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { createCeiling } from './ceiling.ts';
import { createCertificateAuthority } from './certificate-authority.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { Connection } from './connection.ts';
import type { DialOptions } from './dial.ts';
import { judgeHead } from './forward.ts';
import type { Gateway, GatewayLimits, GatewayOptions } from './gateway.ts';
import { isDirect } from './no-proxy.ts';
import { createPolicy } from './policy.ts';
import type { Policy } from './policy.ts';
import { ProxyRouter } from './proxy-router.ts';
import { createProxyServer } from './proxy-server.ts';
import { printable, refuseConnection, refuseMalformed, refuseUnreadable } from './refusal.ts';
import { RequestFilter } from './request-filter.ts';
import { parseAbsoluteForm, parseAuthority } from './target.ts';
import { TlsInspector } from './tls-inspection.ts';
import { startRunUsage } from './run-usage.ts';
import { createTrust } from './trust.ts';
import { Semaphore, UpstreamAgent } from './upstream.ts';
import { GatewayUsage } from './usage.ts';
import type { Described } from './usage.ts';

export const defaultGatewayLimits: GatewayLimits = {
  connections: 64,
  headerBytes: 16_384,
  headerTimeoutMs: 15_000,
  idleTimeoutMs: 120_000,
  dialTimeoutMs: 20_000,
  ledgerEntries: 10_000,
  totalBytes: 6 * 2 ** 30,
  requests: 300_000,
  packageNames: 50,
  packageAddresses: 5_000,
};

export function createGateway(options: GatewayOptions): Gateway {
  return new ProxyGateway(options);
}

class ProxyGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #usage: GatewayUsage;
  readonly #filter: RequestFilter;
  readonly #router: ProxyRouter;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Connection>();
  readonly #closing = new AbortController();
  #policy: Policy;
  #authority: Promise<CertificateAuthority> | null = null;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const limits = { ...defaultGatewayLimits, ...options.limits };
    this.#limits = limits;
    const dial = readDial(options, limits);
    const { run = startRunUsage() } = options;
    this.#usage = new GatewayUsage(options.phase ?? 'setup', { run, limits, log: options.log, onOverByteLimit: () => this.#cutAll('byte limit') });
    this.#filter = new RequestFilter({
      registries: options.registries ?? [],
      credentials: options.credentials ?? [],
      isKnownPackage: options.isKnownPackage ?? (() => false),
      run,
      maxNames: limits.packageNames,
      maxAddresses: limits.packageAddresses,
    });
    this.#filter.enter(this.#usage.phase);
    this.#policy = this.#readPolicy(options.allow);
    const { settingsKey, ceiling, isSettable = () => true } = options;
    const location = { settingsKey, ceiling: ceiling ? createCeiling(ceiling) : null, isSettable };
    const shared = { limits, usage: this.#usage, filter: this.#filter, location, policy: () => this.#policy };
    const agent = new UpstreamAgent(dial, this.#closing.signal);
    this.#router = new ProxyRouter({
      ...shared,
      dial,
      inspector: new TlsInspector({ ...shared, agent, semaphore: new Semaphore(), authority: () => this.#openCertificateAuthority() }),
    });
    this.#server = createProxyServer({
      headerBytes: limits.headerBytes,
      onConnect: (request, stream, head) => this.#onConnect(request, stream, head),
      onRequest: (request, response) => this.#onRequest(request, response),
      onUnreadable: (error, stream) => this.#onUnreadable(error, stream),
      onPipelinedRequest: (stream) => this.#connections.get(stream)?.cut('second request'),
    });
  }

  get ledger(): Gateway['ledger'] {
    return this.#usage.entries;
  }

  get unlisted(): Gateway['unlisted'] {
    return this.#usage.unlisted;
  }

  async authority(): Promise<string> {
    return (await this.#openCertificateAuthority()).pem;
  }

  accept(stream: Duplex): void {
    // Every stream has this from its first moment on: the HTTP server takes its own listener away at CONNECT.
    stream.on('error', () => {});
    const { connections: most, headerTimeoutMs } = this.#limits;
    if (this.#closing.signal.aborted || this.#connections.size >= 4 * most) {
      stream.destroy();
      return;
    }
    const connection = new Connection(stream, () => this.#connections.delete(stream));
    this.#connections.set(stream, connection);
    // Answers on their way out do not count, or refusals for crowding would themselves be the crowd.
    const active = [...this.#connections.values()].filter((open) => !open.isLingering).length;
    if (active > most) return this.#router.refuse(connection, unread, refuseConnection(most));
    connection.arm(headerTimeoutMs);
    this.#server.emit('connection', stream);
  }

  enter(phase: string, allow: readonly string[]): void {
    this.#usage.phase = phase;
    this.#filter.enter(phase);
    this.#policy = this.#readPolicy(allow);
    for (const connection of this.#connections.values()) {
      const { asked } = connection;
      if (!asked) continue;
      const verdict = this.#policy.decide(asked.target, asked.scheme);
      // What is inspected may be in the middle of something that is not allowed any more, and a tunnel cannot become inspected.
      if (!verdict.allowed || verdict.inspects || connection.isInspected) connection.endByPhase(`closed by phase ${phase}`);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const connection of this.#connections.values()) connection.end();
  }

  #readPolicy(allow: readonly string[]): Policy {
    const { phase } = this.#usage;
    const policy = createPolicy({ phase, allow, internal: this.#options.internal, mustInspect: (target, scheme) => this.#filter.mustInspect(target, scheme) });
    const { unreadable } = policy;
    if (unreadable.length > 0) this.#options.log.warn({ phase, unreadable }, 'gateway ignores entries that are no host');
    return policy;
  }

  #openCertificateAuthority(): Promise<CertificateAuthority> {
    return (this.#authority ??= createCertificateAuthority());
  }

  #onUnreadable(error: NodeJS.ErrnoException, stream: Duplex): void {
    const connection = this.#connections.get(stream);
    if (!connection || connection.isUsed) {
      connection?.end();
      return;
    }
    this.#router.refuse(connection, unread, refuseUnreadable(error));
  }

  #onConnect(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const connection = this.#take(stream);
    if (!connection) return;
    const target = parseAuthority(request.url ?? '', null);
    if ('problem' in target) return this.#router.refuse(connection, describe(request), refuseMalformed(target.problem));
    if (head.length > 0) stream.unshift(head);
    const asked = { method: 'CONNECT', target, scheme: 'connect' } as const;
    void this.#router.serve(connection, asked, null);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#take(request.socket);
    if (!connection) return;
    const read = parseAbsoluteForm(request.url ?? '');
    const problem = 'problem' in read ? read.problem : judgeHead(request, read.target);
    if ('problem' in read || problem !== null) {
      request.resume();
      return this.#router.refuse(connection, describe(request), refuseMalformed(problem ?? ''));
    }
    const { target, path } = read;
    const asked = { method: request.method ?? '', target, scheme: 'http' } as const;
    void this.#router.serve(connection, asked, { request, response, path });
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

  #cutAll(rule: string): void {
    for (const open of this.#connections.values()) if (open.asked) open.cut(rule);
  }
}

function readDial({ lookup, ownAddresses = cardAddresses, upstreamProxy, noProxy, trust }: GatewayOptions, limits: GatewayLimits): DialOptions {
  return {
    lookup: lookup ?? ((host) => lookupHost(host, { all: true })),
    ownAddresses,
    proxyFor: (target) => (upstreamProxy === null || isDirect(noProxy ?? null, target) ? null : upstreamProxy),
    trust: trust ?? createTrust(''),
    timeoutMs: limits.dialTimeoutMs,
    headerBytes: limits.headerBytes,
  };
}

function cardAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address, cidr }) => cidr ?? address));
}

/** Nothing of the request could be read. */
const unread: Described = { method: '', host: '', port: 0, path: null };

/** A request whose target makes no sense: its own words, made printable and short. */
function describe({ method, url }: IncomingMessage): Described {
  return { method: method ?? '', host: printable(url ?? ''), port: 0, path: null };
}
