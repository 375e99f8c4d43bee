/**
 * The server of the registration: on loopback, for one browser and one App, gone afterwards.
 * Other users and every web page of this machine can reach a port on loopback. Hence the address is a secret that the
 * terminal shows, the way back needs a second one that only GitHub is given, and the Host header is checked, because a
 * name that resolves to 127.0.0.1 (DNS rebinding) would make a stranger's page the same origin.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FixError, asFixError } from '../errors.ts';
import { contentSecurityPolicy, sorryPage } from './page.ts';

export interface DeskOptions<T> {
  /** 0 for any free one. */
  readonly port: number;
  /** The only origin that a form may go to. */
  readonly formOrigin: string;
  /** The first page. */
  readonly ask: (back: { redirectUrl: string; state: string }) => string;
  /** Makes something lasting of GitHub's code; the page is shown when it did. Called at most once. */
  readonly finish: (code: string) => Promise<{ result: T; page: string }>;
  /** A request came back with a state that is not ours. */
  readonly onStranger: () => void;
  /** How long the browser has to come back. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Desk<T> extends AsyncDisposable {
  /** What the person opens. */
  readonly address: string;
  readonly port: number;
  /** Settles once. Rejects with `registration_unfinished`, `registration_refused`, what `finish` threw, or the signal's reason. */
  readonly result: Promise<T>;
}

interface Visit<T> extends DeskOptions<T> {
  readonly page: string;
  readonly port: number;
  readonly state: string;
  readonly secretPath: string;
  /** True for the first that asks. */
  readonly take: () => boolean;
  readonly settle: PromiseWithResolvers<T>;
}

const host = '127.0.0.1';
const backPath = '/registered';

/** Listens when it resolves. Throws `usage` when the port is taken. */
export async function openDesk<T>(options: DeskOptions<T>): Promise<Desk<T>> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 16_384 });
  server.maxConnections = 32;
  await listen(server, options.port);
  const { port } = server.address() as AddressInfo;
  const settle = Promise.withResolvers<T>();
  // Whoever waits sees it; nobody may wait yet.
  settle.promise.catch(() => undefined);
  const [secretPath, state] = [`/${newSecret()}`, newSecret()];
  const timer = setTimeout(() => settle.reject(new FixError('registration_unfinished')), options.timeoutMs);
  const stop = (): void => settle.reject(asFixError(options.signal.reason, 'cancelled'));
  if (options.signal.aborted) stop();
  options.signal.addEventListener('abort', stop, { once: true });
  let taken = false;
  const take = (): boolean => {
    clearTimeout(timer);
    return !taken && (taken = true);
  };
  const page = options.ask({ redirectUrl: `http://${host}:${port}${backPath}`, state });
  const visit: Visit<T> = { ...options, page, port, state, secretPath, take, settle };
  server.on('request', (request, response) => void serve(request, response, visit));
  return {
    address: `http://${host}:${port}${secretPath}`,
    port,
    result: settle.promise,
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      options.signal.removeEventListener('abort', stop);
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function serve<T>(request: IncomingMessage, response: ServerResponse, visit: Visit<T>): Promise<void> {
  const refusal = refuse(request, visit.port);
  if (refusal) return await show(response, refusal.status, sorryPage('Not here', refusal.why), visit);
  const { pathname, searchParams } = new URL(request.url ?? '/', `http://${host}`);
  if (isSame(pathname, visit.secretPath)) return await show(response, 200, visit.page, visit);
  if (pathname === backPath) return await comeBack(searchParams, response, visit);
  await show(response, 404, sorryPage('Nothing here', 'Open the address that the terminal shows, to the last letter.'), visit);
}

/** A page of ours is only ever navigated to; whatever a browser says is something else comes from another page. */
function refuse({ method, headers, url }: IncomingMessage, port: number): { status: number; why: string } | null {
  if (headers.host !== `${host}:${port}` && headers.host !== `localhost:${port}`) {
    return { status: 421, why: 'This server answers under the address that the terminal shows, and under no other name.' };
  }
  if (method !== 'GET') return { status: 405, why: 'There is nothing to send here.' };
  if (!URL.canParse(url ?? '/', `http://${host}`)) return { status: 400, why: 'That is no address.' };
  if ((headers['sec-fetch-dest'] ?? 'document') !== 'document') return { status: 403, why: 'This page cannot be part of another one.' };
  return null;
}

async function comeBack<T>(parameters: URLSearchParams, response: ServerResponse, visit: Visit<T>): Promise<void> {
  if (!isSame(parameters.get('state') ?? '', visit.state)) {
    visit.onStranger();
    const sentence =
      'This answer does not belong to the page that the terminal shows, so it was not used. If you have just made an App with an older page, delete it in its settings at GitHub, and open the address in the terminal.';
    return await show(response, 403, sorryPage('Not from here', sentence), visit);
  }
  if (!visit.take()) return await show(response, 409, sorryPage('Used already', 'This answer was used already. The terminal says how it went.'), visit);
  try {
    const { result, page } = await visit.finish(readCode(parameters));
    await show(response, 200, page, visit);
    visit.settle.resolve(result);
  } catch (thrown) {
    const error = asFixError(thrown);
    await show(response, 502, sorryPage('It did not work', error.message), visit);
    visit.settle.reject(error);
  }
}

/** GitHub names an error in the way that OAuth does. */
function readCode(parameters: URLSearchParams): string {
  const code = parameters.get('code') ?? '';
  if (/^[\w.~-]{1,200}$/.test(code)) return code;
  const said = parameters.get('error_description') ?? parameters.get('error') ?? 'there was no code in its answer';
  throw new FixError('registration_refused', { details: { reason: said.replaceAll(/[\p{C}\s]+/gu, ' ').slice(0, 200) } });
}

/** Resolves when the answer is out, or the browser gone. */
async function show<T>(response: ServerResponse, status: number, page: string, { formOrigin }: Visit<T>): Promise<void> {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(page),
    'content-security-policy': contentSecurityPolicy(formOrigin),
    'cache-control': 'no-store',
    // GitHub's example sends an origin; a path of ours is nobody's business.
    'referrer-policy': 'strict-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    connection: 'close',
  });
  if (response.destroyed) return;
  const closed = once(response, 'close');
  response.end(page);
  await closed;
}

const newSecret = (): string => randomBytes(32).toString('base64url');

/** In constant time, whatever the lengths. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

async function listen(server: Server, port: number): Promise<void> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    throw new FixError('usage', { cause, details: { reason: `--port: ${port} is not free on ${host}` } });
  }
}
