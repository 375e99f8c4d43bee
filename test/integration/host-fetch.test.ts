import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createHostFetch } from '../../src/gateway/host-fetch.ts';

const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

/** A server on loopback that answers everything with its name; as a proxy it also notes what it was asked to reach. */
async function serve(name: string): Promise<{ origin: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end(name);
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closers.push(() => server.close().closeAllConnections());
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

describe('createHostFetch', () => {
  it('goes straight without a proxy', async () => {
    const server = await serve('direct');

    const response = await createHostFetch({ proxy: null, noProxy: null })(`${server.origin}/x`);

    await expect(response.text()).resolves.toBe('direct');
  });

  it('asks the proxy for hosts elsewhere, and never for this machine or what NO_PROXY names', async () => {
    const proxy = await serve('proxy');
    const server = await serve('direct');
    const hostFetch = createHostFetch({ proxy: proxy.origin, noProxy: 'internal.invalid' });

    await expect(hostFetch('https://api.github.invalid/app')).rejects.toBeInstanceOf(TypeError);
    await expect(hostFetch('https://internal.invalid/')).rejects.toBeInstanceOf(TypeError);
    await expect((await hostFetch(server.origin)).text()).resolves.toBe('direct');

    expect(proxy.asked).toEqual(['CONNECT api.github.invalid:443']);
  });
});
