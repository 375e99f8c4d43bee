/** A webhook receiver on loopback that keeps what it got, for tests of deliveries. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Json } from './world.ts';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly raw: Buffer;
  readonly body: Json;
}

export interface Receiver {
  readonly url: string;
  received: Received[];
  /** The status it answers with; null keeps it silent. */
  answer: number | null;
  /** `issues.labeled` and so on, in order of arrival. */
  names(): string[];
  find(name: string): Json;
  close(): Promise<void>;
}

export async function createReceiver(): Promise<Receiver> {
  const server = createServer((request, response) => void take(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received: [],
    answer: 202,
    names: () => receiver.received.map(({ headers, body }) => `${String(headers['x-github-event'])}.${body.action}`),
    find: (name) => receiver.received[receiver.names().indexOf(name)]?.body,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw = await buffer(request);
    receiver.received.push({ headers: request.headers, raw, body: JSON.parse(raw.toString()) });
    if (receiver.answer !== null) response.writeHead(receiver.answer).end();
  }
  return receiver;
}
