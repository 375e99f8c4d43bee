/**
 * A webhook proxy in the manner of smee.io (https://github.com/probot/smee.io/blob/master/lib/server.js): a new channel
 * by redirect, posts in, server-sent events out, the body parsed on the way. With `raw` it adds the body as it came.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Smee {
  readonly url: string;
  /** Cuts every listener off. */
  cut(): void;
  /** Sends this to the listeners as it is. */
  write(text: string): void;
  close(): void;
}

export async function createSmee({ raw = false }: { raw?: boolean } = {}): Promise<Smee> {
  const listeners: ServerResponse[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === '/new') return void response.writeHead(307, { location: `http://${request.headers.host}/AbC-dEf_1` }).end();
    if (request.method === 'POST') {
      const body = Buffer.concat(await request.toArray()).toString();
      const event = { ...request.headers, body: JSON.parse(body) as unknown, query: {}, timestamp: Date.now(), ...(raw && { rawbody: body }) };
      for (const listener of listeners) listener.write(`id: 1\ndata: ${JSON.stringify(event)}\n\n`);
      return void response.writeHead(200).end();
    }
    if (request.headers.accept !== 'text/event-stream') return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    listeners.push(response);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: 0\nevent: ready\ndata: {}\n\n');
  };
  const server = createServer((request, response) => void serve(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      for (const listener of listeners.splice(0)) listener.destroy();
    },
    write: (text) => listeners.forEach((listener) => listener.write(text)),
    close: () => server.close().closeAllConnections(),
  };
}
