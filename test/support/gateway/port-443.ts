/**
 * A host at port 443, where the gateway wants TLS. Only root may bind that port, so an upstream proxy on another one stands
 * before the host; the gateway holds a tunnel to be one to 443 all the same.
 */
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GatewayOptions } from '../../../src/gateway/gateway.ts';
import { listen } from './world.ts';

export interface Port443 {
  /** Lead every name there. */
  readonly options: Pick<GatewayOptions, 'lookup' | 'upstreamProxy'>;
  /** Whom the gateway asked for. */
  readonly asked: string[];
  /** What reached the host through its tunnels. */
  readonly seen: Buffer[];
}

export async function servePort443(): Promise<Port443> {
  const asked: string[] = [];
  const seen: Buffer[] = [];
  const proxy = createServer().on('connect', (request, socket: Duplex, head: Buffer) => {
    asked.push(request.url ?? '');
    if (head.length > 0) seen.push(head);
    socket.on('error', () => {}).on('data', (chunk: Buffer) => seen.push(chunk));
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
  });
  const upstreamProxy = new URL(`http://127.0.0.1:${await listen(proxy)}`);
  // What is not public would be taken for a host on this side of the proxy.
  return { options: { upstreamProxy, lookup: async () => [{ address: '93.184.216.34', family: 4 }] }, asked, seen };
}
