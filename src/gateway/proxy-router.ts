/** What becomes of one request of a guest: refused, or on its way to where it wants to go. */
import type { Connection, ProxyRequest } from './connection.ts';
import { CredentialInAnswer } from './credential-guard.ts';
import { dialHttp, dialTunnel, findRoute } from './dial.ts';
import type { DialOptions, DialRequest, Route } from './dial.ts';
import { hasBody, runExchange } from './forward.ts';
import type { GatewayLimits } from './gateway.ts';
import { createHttpExchange } from './http-request.ts';
import type { ProxiedHttpRequest } from './http-request.ts';
import { defaultPorts } from './policy.ts';
import type { Policy } from './policy.ts';
import { parseRequestPath } from './request-path.ts';
import type { TlsInspector } from './tls-inspection.ts';
import type { Decided, Described, GatewayUsage } from './usage.ts';
import {
  refuseAddress,
  refuseHost,
  refuseMalformed,
  refuseRequestCount,
  refuseBytes,
  refuseUnreachable,
  plainCode,
  printable,
  formatRefusal,
} from './refusal.ts';
import type { Refusal, RuleLocation } from './refusal.ts';
import type { Filtered, RequestFilter } from './request-filter.ts';
import type { Target } from './target.ts';
import { lateHello, runTunnel } from './tunnel.ts';

export interface ProxyRouterOptions {
  readonly limits: GatewayLimits;
  readonly usage: GatewayUsage;
  readonly filter: RequestFilter;
  readonly inspector: TlsInspector;
  readonly dial: DialOptions;
  readonly location: Omit<RuleLocation, 'phase'>;
  /** Of the phase that is on. */
  readonly policy: () => Policy;
}

type OpenRoute = Exclude<Route, { kind: 'closed' }>;
/** A request for an http:// address. */
type HttpRequestParts = Omit<ProxiedHttpRequest, 'isInspected' | 'isRegistryRead'>;

const established = 'HTTP/1.1 200 Connection established\r\n\r\n';

export class ProxyRouter {
  readonly #options: ProxyRouterOptions;

  constructor(options: ProxyRouterOptions) {
    this.#options = options;
  }

  /** From the decision to the end of the connection. Never rejects. */
  async serve(connection: Connection, asked: ProxyRequest, http: HttpRequestParts | null): Promise<void> {
    const { target, scheme, method } = asked;
    const { usage, dial, limits, policy, location } = this.#options;
    const described = describeTarget(method, target, http?.path ?? null);
    const verdict = policy().decide(target, scheme);
    if (!verdict.allowed) return this.refuse(connection, described, refuseHost(asked, verdict, { phase: policy().phase, ...location }));
    if (usage.isOverByteLimit) return this.refuse(connection, described, refuseBytes(limits.totalBytes));
    if (!usage.takeRequest()) return this.refuse(connection, described, refuseRequestCount());
    this.#record(connection, described, { decision: 'allowed', rule: verdict.rule });
    connection.asked = asked;
    connection.isInspected = verdict.inspects;
    try {
      const call = { target, internal: verdict.internal, signal: connection.signal };
      const route = await findRoute(call, dial);
      if (route.kind === 'closed') return this.refuse(connection, described, refuseAddress(target, route.rule));
      if (http) await this.#exchange(connection, { ...http, asked, isInspected: verdict.inspects }, { route, call });
      else if (verdict.inspects) await this.#inspect(connection, call);
      else await this.#tunnel(connection, route, call);
    } catch (error) {
      this.#fail(connection, { described, target }, error);
    }
  }

  #filterHttp(asked: ProxyRequest, { request, path }: HttpRequestParts): Filtered {
    const { policy, filter, location } = this.#options;
    const requestPath = parseRequestPath(path);
    if ('problem' in requestPath) return { refusal: refuseMalformed(requestPath.problem) };
    return filter.judge(policy(), { ...asked, requestPath, hasBody: hasBody(request) }, { phase: policy().phase, ...location });
  }

  /** What follows is counted and written down for each request. */
  async #inspect(connection: Connection, call: DialRequest): Promise<void> {
    connection.arm(this.#options.limits.headerTimeoutMs, lateHello);
    connection.isAnswered = true;
    connection.stream.write(established);
    await this.#options.inspector.open(connection, call);
  }

  async #tunnel(connection: Connection, route: OpenRoute, call: DialRequest): Promise<void> {
    const { stream: guest, signal } = connection;
    const { target } = call;
    const remote = await dialTunnel(route, call, this.#options.dial);
    const { idleTimeoutMs, headerTimeoutMs } = this.#options.limits;
    // A tunnel to another port than TLS's may wait for the server to speak first.
    if (target.port === defaultPorts.connect) connection.arm(headerTimeoutMs, lateHello);
    else connection.arm(idleTimeoutMs);
    connection.isAnswered = true;
    guest.write(established);
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
    http: Omit<ProxiedHttpRequest, 'isRegistryRead'> & { readonly asked: ProxyRequest },
    { route, call }: { route: OpenRoute; call: DialRequest },
  ): Promise<void> {
    const { dial, limits } = this.#options;
    const filtered = http.isInspected ? this.#filterHttp(http.asked, http) : { isRegistryRead: false };
    if ('refusal' in filtered) {
      http.request.resume();
      return this.refuse(connection, describeTarget(http.asked.method, call.target, http.path), filtered.refusal);
    }
    const { isRegistryRead } = filtered;
    const socket = await dialHttp(route, call, dial);
    const onBytes = (direction: 'in' | 'out', count: number): void => this.#count(connection, direction, count);
    try {
      await runExchange(createHttpExchange({ ...http, isRegistryRead }, { call, route, socket }, { headerBytes: limits.headerBytes, onBytes }));
      connection.linger();
    } finally {
      connection.isAnswered = http.response.headersSent;
      socket.destroy();
    }
  }

  #count(connection: Connection, direction: 'in' | 'out', count: number): void {
    connection.touch();
    this.#options.usage.addBytes(connection.entry, direction, count);
  }

  refuse(connection: Connection, described: Described, refusal: Refusal): void {
    const { rule, wouldAllow = null, beyondCeiling = null } = refusal;
    this.#record(connection, described, { decision: 'refused', rule, wouldAllow, beyondCeiling });
    this.#reply(connection, refusal);
  }

  #fail(connection: Connection, { described, target }: { described: Described; target: Target }, error: unknown): void {
    // By then the answer has begun, and its connection is cut.
    if (error instanceof CredentialInAnswer) this.#record(connection, described, { decision: 'failed', rule: error.code });
    if (connection.signal.aborted) return;
    if (connection.isAnswered) return connection.end();
    const code = plainCode(error);
    this.#record(connection, described, { decision: 'failed', rule: code });
    this.#reply(connection, refuseUnreachable(target, code));
  }

  #reply(connection: Connection, refusal: Refusal): void {
    if (connection.signal.aborted) return;
    connection.isUsed = true;
    connection.isAnswered = true;
    connection.stream.write(formatRefusal(refusal));
    connection.linger();
  }

  /** One line for each connection: a later decision about it replaces the first. */
  #record(connection: Connection, described: Described, decided: Decided): void {
    if (connection.entry) Object.assign(connection.entry, decided);
    else connection.entry = this.#options.usage.record(described, decided);
  }
}

function describeTarget(method: string, { host, port }: Target, path: string | null): Described {
  return { method, host, port, path: path === null ? null : printable(path.split('?', 1)[0] ?? '') };
}
