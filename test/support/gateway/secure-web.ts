/** A host with TLS on loopback, the authority that it is known by, and clients as a guest has them. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import type { OutgoingHttpHeaders as Http2Headers } from 'node:http2';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import type { Trust } from '../../../src/gateway/trust.ts';
import { createTrust } from '../../../src/gateway/trust.ts';
import { createCertificateAuthority } from './certificate-authority.ts';
import { listen, openTunnel } from './world.ts';
import type { World } from './world.ts';

export interface SecureWeb {
  /** `secure.test.example:port`. */
  readonly place: string;
  readonly seen: IncomingMessage[];
  readonly trust: Trust;
  /** Connections that were opened. */
  readonly connections: () => number;
}

export const secureName = 'secure.test.example';

export async function serveSecureWeb(answer: RequestListener = (_request, response) => response.end('hello')): Promise<SecureWeb> {
  const authority = createCertificateAuthority();
  onTestFinished(() => authority[Symbol.dispose]());
  const seen: IncomingMessage[] = [];
  let connections = 0;
  const server = createServer({ ...authority.issue(secureName), maxHeaderSize: 65_536 }, (request, response) => {
    seen.push(request);
    answer(request, response);
  });
  server.on('secureConnection', () => (connections += 1));
  return { place: `${secureName}:${await listen(server)}`, seen, trust: createTrust(authority.caPem), connections: () => connections };
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** A tunnel to the place in which the guest speaks TLS with whoever answers. */
export async function secureTunnel(world: World, place: string, alpn: 'h2' | 'http/1.1'): Promise<TLSSocket> {
  const { head, socket } = await openTunnel(world, place);
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(head);
  const secure = connectTls({ socket, servername: place.split(':')[0] ?? '', ca: await world.gateway.authority(), ALPNProtocols: [alpn] });
  secure.on('error', () => {});
  await once(secure, 'secureConnect');
  onTestFinished(() => void secure.destroy());
  return secure;
}

export interface Wish {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One request over a connection of its own, or over the one given. */
export async function askHttp1(
  world: World,
  place: string,
  { method = 'GET', path = '/', headers = {}, body = '' }: Wish = {},
  socket?: TLSSocket,
): Promise<Reply> {
  const secure = socket ?? (await secureTunnel(world, place, 'http/1.1'));
  const request = httpRequest({ createConnection: () => secure, method, path, headers: { host: place, connection: 'keep-alive', ...headers } });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

/** All requests at once over one connection. */
export async function askHttp2(world: World, place: string, wishes: readonly Wish[]): Promise<Reply[]> {
  const secure = await secureTunnel(world, place, 'h2');
  const session = connectHttp2(`https://${place}`, { createConnection: () => secure });
  session.on('error', () => {});
  try {
    return await Promise.all(
      wishes.map(async ({ method = 'GET', path = '/', headers = {}, body = '' }) => {
        const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === '' });
        if (body !== '') stream.end(body);
        const [answer] = (await once(stream, 'response')) as [Http2Headers & { ':status': number }];
        return { status: answer[':status'], headers: answer, body: await text(stream) };
      }),
    );
  } finally {
    session.destroy();
  }
}
