/**
 * The server that faces the internet. It owns what Probot's has no place for: limits before reading, the signature
 * before parsing, health, and a status that says when a delivery was not queued. Everything of a stranger is bounded.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FixError, asFixError } from '../errors.ts';
import type { AppOptions } from './app.ts';
import { exactText, readBody } from './body.ts';
import { watchCrowd } from './crowd.ts';
import type { Crowd, CrowdLimits } from './crowd.ts';
import { createDoors } from './doors.ts';
import type { Doors } from './doors.ts';
import { createReadiness } from './readiness.ts';

export interface ReceiverOptions extends AppOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Where GitHub posts to. */
  readonly path: string;
  /** The webhook secret; during a change of it also the old one. At least 16 characters each. */
  readonly secrets: readonly string[];
  /** Throws when a delivery could not be queued now. */
  readonly ready: () => Promise<void>;
  readonly limits?: Partial<ReceiverLimits>;
}

interface ReceiverLimits extends CrowdLimits {
  readonly bodyBytes: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

const defaultLimits: ReceiverLimits = {
  bodyBytes: 5 * 1024 * 1024,
  connections: 512,
  bufferedBytes: 128 * 1024 * 1024,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
};

/** How long a sender of too much is listened to, so that it can read the answer. */
const lingerMs = 1_000;
/** How long deliveries under way are waited for at the end. */
const closeMs = 5_000;

export interface Receiver {
  /** The address that GitHub posts to. */
  readonly url: string;
  close(): Promise<void>;
}

interface Context extends Omit<ReceiverOptions, 'ready'> {
  readonly isReady: () => Promise<boolean>;
  readonly doors: Doors;
  readonly crowd: Crowd;
  readonly bodyBytes: number;
}

/** Listens when it resolves. Throws `config_invalid` for a bad secret, `port_unavailable`. */
export async function createReceiver(options: ReceiverOptions): Promise<Receiver> {
  const limits = { ...defaultLimits, ...options.limits };
  const doors = await createDoors(options.secrets, options.path, options);
  const server = createServer({
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 5_000,
  });
  const isReady = createReadiness(options.ready, options.log);
  const context: Context = { ...options, isReady, doors, crowd: watchCrowd(server, limits), bodyBytes: limits.bodyBytes };
  server.on('request', (request, response) => void serve(request, response, context));
  await listen(server, options);
  return { url: addressOf(server, options), close: () => close(server) };
}

async function serve(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  const { log, crowd } = context;
  const { socket } = request;
  response.once('finish', () => crowd.release(socket));
  try {
    await route(request, response, context);
  } catch (err) {
    if (socket.destroyed) return;
    log.error({ err: asFixError(err) }, 'request failed');
    if (!response.headersSent) answer(response, 500, 'Something went wrong on our side.');
  }
}

async function route(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  const [path] = (request.url ?? '').split('?');
  if (path === context.path) {
    if (request.method === 'POST') return await receive(request, response, context);
    return answer(response, 405, 'Only POST is understood here.', { allow: 'POST' });
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 404, 'There is nothing here.');
  if (path === '/healthz') return answer(response, 200, 'up');
  if (path === '/readyz') return await answerReady(response, context);
  answer(response, 404, 'There is nothing here.');
}

async function answerReady(response: ServerResponse, { isReady }: Context): Promise<void> {
  if (await isReady()) answer(response, 200, 'ready');
  else answer(response, 503, 'Redis takes no delivery now.');
}

async function receive(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  const { log, crowd, doors, bodyBytes } = context;
  const deliveryId = headerOf(request, 'x-github-delivery');
  const refusal = refuseHeaders(request, context);
  if (refusal) {
    log.warn({ status: refusal.status, reason: refusal.reason }, 'delivery refused');
    return answerAndClose(request, response, refusal);
  }
  const body = await readBody(request, bodyBytes, (count) => crowd.hold(request.socket, count));
  if (body === null) {
    log.warn({ deliveryId, bodyBytes }, 'delivery refused: too large');
    return answerAndClose(request, response, { status: 413, reason: 'The body is too large.' });
  }
  crowd.settle(request.socket);
  const text = exactText(body);
  const door = text === null ? null : await doors.find(text, headerOf(request, 'x-hub-signature-256'));
  if (text === null || door === null) {
    log.warn({ deliveryId, bytes: body.length }, 'delivery refused: bad signature');
    return answer(response, 401, 'The signature is wrong. Check that the webhook secret is the same at GitHub and here.');
  }
  // Octokit's middleware throws on `null` or a number instead of answering.
  if (!/^\s*\{/.test(text)) return answer(response, 400, 'The body must be a JSON object.');
  const facts = { bodySha256: createHash('sha256').update(body).digest('hex'), receivedAt: new Date().toISOString() };
  await door(Object.assign(request, { body: text }), response, facts);
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** What can be refused before the body is read. */
function refuseHeaders(request: IncomingMessage, { policy }: Context): Refusal | null {
  const header = (name: string): string => headerOf(request, name);
  if (!/^application\/json\s*(;|$)/.test(header('content-type'))) return { status: 415, reason: 'The content type must be application/json.' };
  if (header('content-encoding') !== '') return { status: 415, reason: 'The body must not be compressed.' };
  // Names with a dot or an underscore in front would reach other handlers than those of an event.
  if (!/^[a-z][a-z0-9_]{0,60}$/.test(header('x-github-event'))) return { status: 400, reason: 'X-GitHub-Event is missing or not a name.' };
  if (!/^[\w-]{1,100}$/.test(header('x-github-delivery'))) return { status: 400, reason: 'X-GitHub-Delivery is missing or not an id.' };
  if (header('x-hub-signature-256') === '') return { status: 401, reason: 'X-Hub-Signature-256 is missing.' };
  if (policy.appId !== null && header('x-github-hook-installation-target-id') !== String(policy.appId)) {
    return { status: 400, reason: 'The delivery is for another App.' };
  }
  return null;
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}

function answer(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  const body = `${text}\n`;
  const always = { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' };
  response.writeHead(status, { ...always, ...headers }).end(body);
}

/**
 * Answers while the body is still coming, and throws the rest of it away for a moment: closing at once would reset the
 * connection, and the sender would never read why.
 */
function answerAndClose(request: IncomingMessage, response: ServerResponse, { status, reason }: Refusal): void {
  const body = `${reason}\n`;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body), connection: 'close' });
  response.write(body);
  const end = (): void => void response.end();
  const linger = setTimeout(end, lingerMs);
  request.once('end', end).once('close', () => clearTimeout(linger));
  request.resume();
}

async function listen(server: Server, { host, port }: ReceiverOptions): Promise<void> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    throw new FixError('port_unavailable', { cause, details: { reason: `${host}:${port}` } });
  }
}

function addressOf(server: Server, { host, path }: ReceiverOptions): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const timer = setTimeout(() => server.closeAllConnections(), closeMs);
  await closed;
  clearTimeout(timer);
}
