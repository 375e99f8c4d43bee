/**
 * Resolves on the host, after policy, and connects to the very addresses that were checked: the name is not asked for a
 * second time, so a resolver that changes its answer gains nothing.
 */
import { once } from 'node:events';
import type { EventEmitter } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, isIP } from 'node:net';
import type { LookupFunction, Socket } from 'node:net';
import { unescape } from 'node:querystring';
import { addAbortSignal } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { blockedAddressReason, ownAddressReason } from './address.ts';
import type { Lookup } from './gateway.ts';
import { authorityText } from './target.ts';
import type { Target } from './target.ts';
import { verified } from './trust.ts';
import type { Trust } from './trust.ts';

type Addresses = Awaited<ReturnType<Lookup>>;

export interface DialOptions {
  readonly lookup: Lookup;
  readonly ownAddresses: () => readonly string[];
  /** The upstream proxy, where the way to this target leads through it. */
  readonly proxyFor: (target: Target) => URL | null;
  readonly trust: Trust;
  readonly timeoutMs: number;
  /** Of an answer of the upstream proxy. */
  readonly headerBytes: number;
}

export interface DialRequest {
  readonly target: Target;
  /** The operator vouches for a private address of this host. */
  readonly internal: boolean;
  readonly signal: AbortSignal;
}

/** Behind an upstream proxy a resolver that never answers is normal; every connection would wait for it. */
const lookupBehindProxyMs = 2_000;

/** How to get to a target that was let through. */
export type Route =
  | { readonly kind: 'direct'; readonly addresses: Addresses }
  | { readonly kind: 'proxy'; readonly proxy: URL }
  | { readonly kind: 'closed'; readonly rule: string };

/**
 * Behind an upstream proxy the check is the best that can be had: the proxy resolves again, so what it finds is its own
 * business. A host without DNS of its own (usual in such networks) finds nothing at all; there the allowlist and the
 * proxy's own rules decide. What we do find and what is private is refused all the same.
 */
export async function findRoute(call: DialRequest, options: DialOptions): Promise<Route> {
  const proxy = options.proxyFor(call.target);
  const found = await resolve(call, options, proxy !== null).catch((error: unknown) => {
    if (proxy && !call.signal.aborted) return [];
    throw error;
  });
  // A public address of this host is no way to its own services either, nor to its neighbours'.
  const own = options.ownAddresses();
  const closed = found.map(({ address }) => blockedAddressReason(address) ?? ownAddressReason(address, own)).find((rule) => rule !== null);
  if (closed !== undefined && !call.internal) return { kind: 'closed', rule: `${closed} address` };
  // A vouched-for private address is on this side of the upstream proxy.
  if (proxy && closed === undefined) return { kind: 'proxy', proxy };
  return { kind: 'direct', addresses: found };
}

async function resolve({ target, signal }: DialRequest, { lookup, timeoutMs }: DialOptions, isBehindProxy: boolean): Promise<Addresses> {
  if (target.isAddress) return [{ address: target.host, family: target.host.includes(':') ? 6 : 4 }];
  // getaddrinfo cannot be cancelled: the wait for it can.
  const late = delay(isBehindProxy ? Math.min(timeoutMs, lookupBehindProxyMs) : timeoutMs, null, { signal, ref: false });
  const found = await Promise.race([lookup(target.host), late]);
  if (!found || found.length === 0) throw coded('ENOTFOUND');
  return found;
}

/** A connection that ends at the target: direct, or through CONNECT of the upstream proxy. */
export async function dialTunnel(route: Exclude<Route, { kind: 'closed' }>, call: DialRequest, options: DialOptions): Promise<Socket> {
  if (route.kind === 'direct') return dialAddresses(route.addresses, call, options.timeoutMs);
  const socket = await dialProxy(route.proxy, call.signal, options);
  return connectThrough(socket, route.proxy, call, options);
}

/** A connection for one plain request: to the target, or to the upstream proxy, which then gets the absolute form. */
export async function dialHttp(route: Exclude<Route, { kind: 'closed' }>, call: DialRequest, options: DialOptions): Promise<Socket> {
  if (route.kind === 'direct') return dialAddresses(route.addresses, call, options.timeoutMs);
  return dialProxy(route.proxy, call.signal, options);
}

/** `Proxy-Authorization` for the credentials in the proxy's address; they exist on the host only. */
export function proxyAuthorization(proxy: URL): string[] {
  const [user, password] = proxyAccount(proxy);
  return user === '' && password === '' ? [] : ['proxy-authorization', `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`];
}

/** What of the proxy's address must be seen nowhere. A short word would be found in answers that have nothing to do with it. */
export function proxySecrets(proxy: URL): readonly string[] {
  const [user, password] = proxyAccount(proxy);
  // A name alone is a token.
  const secret = password === '' ? user : password;
  return [...proxyAuthorization(proxy).slice(1), ...[`${user}:${password}`, secret].filter((text) => text.length >= 8)];
}

function proxyAccount({ username, password }: URL): [string, string] {
  return [unescape(username), unescape(password)];
}

function dialAddresses(addresses: Addresses, { target, signal }: DialRequest, timeoutMs: number): Promise<Socket> {
  const pinned: LookupFunction = (_name, _options, done) =>
    done(
      null,
      addresses.map((found) => ({ ...found })),
    );
  const socket = connectTcp({ host: target.host, port: target.port, lookup: pinned, allowHalfOpen: true, signal });
  return whenConnected(socket, 'connect', signal, timeoutMs);
}

function dialProxy(proxy: URL, signal: AbortSignal, { timeoutMs, trust }: DialOptions): Promise<Socket> {
  const host = proxy.hostname.replace(/^\[|\]$/g, '');
  if (proxy.protocol === 'https:') {
    const secure = connectTls({ ...verified(trust, host), ...(isIP(host) === 0 && { servername: host }), port: Number(proxy.port || 443) });
    addAbortSignal(signal, secure);
    return whenConnected(secure, 'secureConnect', signal, timeoutMs);
  }
  const plain = connectTcp({ host, port: Number(proxy.port || 80), allowHalfOpen: true, signal });
  return whenConnected(plain, 'connect', signal, timeoutMs);
}

async function whenConnected(socket: Socket, event: string, signal: AbortSignal, timeoutMs: number): Promise<Socket> {
  // Errors are seen by whoever reads or writes; this one only keeps a late one from ending the process.
  socket.on('error', () => {});
  try {
    await onceInTime(socket, event, { signal, timeoutMs });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** `once`, which fails after its time as a connection does that the system gives up. */
export async function onceInTime(emitter: EventEmitter, event: string, { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number }): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    await once(emitter, event, { signal: limit });
  } catch (error) {
    throw limit.aborted && !signal.aborted ? coded('ETIMEDOUT') : error;
  }
}

async function connectThrough(socket: Socket, proxy: URL, { target, signal }: DialRequest, options: DialOptions): Promise<Socket> {
  const authority = authorityText(target);
  const request = httpRequest({
    createConnection: () => socket,
    method: 'CONNECT',
    path: authority,
    headers: ['host', authority, ...proxyAuthorization(proxy)],
    maxHeaderSize: options.headerBytes,
    insecureHTTPParser: false,
  });
  request.end();
  try {
    let status = 0;
    // In the event itself: bytes that came with the head must be back before anybody reads.
    request.once('connect', (response: IncomingMessage, _socket: Socket, head: Buffer) => {
      status = response.statusCode ?? 0;
      if (head.length > 0) socket.unshift(head);
    });
    await onceInTime(request, 'connect', { signal, timeoutMs: options.timeoutMs });
    if (status < 200 || status > 299) throw coded(`upstream proxy answered ${status}`);
    return socket;
  } catch (error) {
    request.on('error', () => {});
    socket.destroy();
    throw error;
  }
}

function coded(code: string): Error {
  return Object.assign(new Error(code), { code });
}
