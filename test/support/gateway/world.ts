/** The real gateway behind a real port on loopback, and what a guest would do to it. */
import { once } from 'node:events';
import { createServer as createWebServer } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { pino } from 'pino';
import { onTestFinished, vi } from 'vitest';
import { createGateway } from '../../../src/gateway/create-gateway.ts';
import type { Gateway, GatewayOptions, Lookup } from '../../../src/gateway/gateway.ts';

/** Every name is on this machine; with `internal: ['*.test.example']` that is no reason to refuse. */
export const onLoopback: Lookup = async () => [{ address: '127.0.0.1', family: 4 }];

/** Ends with the test. */
export interface World {
  readonly gateway: Gateway;
  readonly port: number;
  readonly proxyUrl: string;
  /** A connection as the guest makes it. */
  connect(): Promise<Socket>;
  /** Sends bytes, ends its half, and returns all that came back. */
  ask(text: string | Buffer): Promise<string>;
}

export async function world(allow: readonly string[], options: Partial<GatewayOptions> = {}): Promise<World> {
  const log = pino({ level: 'silent' });
  const gateway = createGateway({ allow, internal: ['*.test.example'], upstreamProxy: null, settingsKey: 'the test', lookup: onLoopback, log, ...options });
  const server = createServer({ allowHalfOpen: true }, (stream) => gateway.accept(stream));
  const port = await listen(server);
  onTestFinished(() => gateway.close());
  const open = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  return {
    gateway,
    port,
    proxyUrl: `http://127.0.0.1:${port}`,
    connect: open,
    ask: async (text) => {
      const socket = await open();
      socket.end(text);
      return readAll(socket);
    },
  };
}

/** What comes from now on: so far, and all of it when the other side has ended or broken. */
export interface Heard {
  readonly soFar: string;
  readonly whole: Promise<string>;
}

export function hear(socket: Socket): Heard {
  const chunks: Buffer[] = [];
  const soFar = (): string => Buffer.concat(chunks).toString('latin1');
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const whole = async (): Promise<string> => {
    // A reset is an end too: `once` would reject with it.
    if (!socket.destroyed && !socket.readableEnded) await Promise.race([once(socket, 'end'), once(socket, 'close')]).catch(() => {});
    socket.destroy();
    return soFar();
  };
  return {
    get soFar() {
      return soFar();
    },
    whole: whole(),
  };
}

/** Everything until the other side ends or breaks. */
export async function readAll(socket: Socket): Promise<string> {
  return await hear(socket).whole;
}

/** Until the test ends, limits of a gateway that is made from now on are reached when `vi` is told so: those of the machine's clock would measure the machine. */
export function stopClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Opens a CONNECT tunnel; the answer's head, and the socket right after it. */
export async function openTunnel(world: World, authority: string): Promise<{ head: string; socket: Socket }> {
  const socket = await world.connect();
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  let head = '';
  while (!head.includes('\r\n\r\n')) {
    const byte = socket.read(1) as Buffer | null;
    if (byte) head += byte.toString('latin1');
    else if (socket.readableEnded || socket.destroyed) break;
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
  socket.removeAllListeners('readable');
  return { head, socket };
}

/** Binds, and closes when the test is over. */
export async function listen(server: Server, address = '127.0.0.1', port = 0): Promise<number> {
  onTestFinished(() => closeServer(server));
  server.listen(port, address);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export async function closeServer(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  server.closeAllConnections?.();
  if (server.listening) server.close();
  server.unref();
}

/** A web server on loopback, and what it was asked. */
export async function serveWeb(answer: RequestListener = (_request, response) => response.end('hello')): Promise<{ host: string; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const server = createWebServer({ maxHeaderSize: 65_536 }, (request, response) => {
    seen.push(request);
    answer(request, response);
  });
  server.maxHeadersCount = 0;
  return { host: `web.test.example:${await listen(server)}`, seen };
}

export const get = (host: string, more = ''): string => `GET http://${host}/a?b HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
