import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { IncomingHttpHeaders, Server } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createTrust } from '../../src/gateway/trust.ts';
import type { Trust } from '../../src/gateway/trust.ts';
import { createCertificateAuthority } from '../support/gateway/certificate-authority.ts';
import { get, listen, openTunnel, readAll, serveWeb, world } from '../support/gateway/world.ts';

const credentials = `Basic ${Buffer.from('host user:p@ss').toString('base64')}`;
const unresolved = (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));

/** A corporate proxy that wants a password, and leads every name to one port of this machine. */
async function serveProxy(port: number): Promise<{ url: URL; asked: string[]; headers: IncomingHttpHeaders[]; server: Server }> {
  const asked: string[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    headers.push(request.headers);
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization']}`);
    if (request.headers['proxy-authorization'] !== credentials)
      return void response.writeHead(407, { 'proxy-authenticate': 'Basic realm="corp"' }).end('secret realm');
    if (request.url?.endsWith('/echo')) return void response.end(JSON.stringify([request.headers, 'host user:p@ss']));
    response.end('through the proxy');
  });
  server.on('connect', (request, client: Socket) => {
    asked.push(`CONNECT ${request.url} ${request.headers['proxy-authorization']}`);
    client.on('error', () => {});
    if (request.headers['proxy-authorization'] !== credentials) return client.end('HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n');
    const target = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\nearly ');
      client.pipe(target).pipe(client);
    });
    target.on('error', () => client.destroy());
  });
  return { url: new URL(`http://host%20user:p%40ss@127.0.0.1:${await listen(server)}`), asked, headers, server };
}

describe('behind an upstream proxy', () => {
  it('tunnels go through it with the credentials of the host', async () => {
    const web = await serveWeb();
    const proxy = await serveProxy(Number(web.host.split(':')[1]));
    const guest = await world(['far.example:8443'], { upstreamProxy: proxy.url, lookup: unresolved });

    const { head, socket } = await openTunnel(guest, 'far.example:8443');
    socket.end('GET /x HTTP/1.0\r\n\r\n');

    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(await readAll(socket)).toMatch(/^early HTTP\/1\.1 200 [^]*hello$/);
    expect(proxy.asked).toEqual([`CONNECT far.example:8443 ${credentials}`]);
  });

  it('tunnels wait for it no longer than for a host', async () => {
    const proxy = new URL(`http://127.0.0.1:${await listen(createServer(() => {}).on('connect', () => {}))}`);
    const guest = await world(['far.example'], { upstreamProxy: proxy, lookup: unresolved, limits: { dialTimeoutMs: 100 } });

    expect((await openTunnel(guest, 'far.example:443')).head).toContain('502 mayfly: far.example is allowed but could not be reached (ETIMEDOUT).');
    expect(guest.gateway.ledger).toMatchObject([{ decision: 'failed', rule: 'ETIMEDOUT' }]);
  });

  it('plain requests go to it in absolute form, without what the guest says about a proxy', async () => {
    const proxy = await serveProxy(1);
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, lookup: unresolved });

    const answer = await guest.ask(get('far.example', 'Proxy-Authorization: Basic Z3Vlc3Q=\r\n'));

    expect(answer).toMatch(/through the proxy$/);
    expect(proxy.asked).toEqual([`GET http://far.example/a?b ${credentials}`]);
  });

  it('a wrong password is the host’s business: the guest hears no challenge', async () => {
    const proxy = await serveProxy(1);
    const upstreamProxy = new URL(proxy.url);
    upstreamProxy.password = 'wrong';
    const guest = await world(['far.example'], { upstreamProxy, lookup: unresolved });

    const answers = [await guest.ask(get('far.example')), (await openTunnel(guest, 'far.example:443')).head];

    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 502 mayfly: .*upstream proxy answered 407/);
      expect(answer).not.toMatch(/realm|authenticate/i);
    }
  });

  it('its password does not come back from a host that shows what it was sent', async () => {
    const proxy = await serveProxy(1);
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, lookup: unresolved });

    const answer = await guest.ask('GET http://far.example/echo HTTP/1.1\r\nHost: far.example\r\nAccept-Encoding: gzip\r\nRange: bytes=0-9\r\n\r\n');

    expect(answer).not.toContain(credentials.slice('Basic '.length));
    expect(answer).not.toContain('p@ss');
    expect(proxy.asked).toHaveLength(1);
    expect(proxy.headers[0]).toMatchObject({ 'accept-encoding': 'identity' });
    expect(proxy.headers[0]).not.toHaveProperty('range');
    expect(guest.gateway.ledger).toMatchObject([{ decision: 'failed', rule: 'the answer repeats a credential' }]);
  });

  it('the allowlist comes first', async () => {
    const proxy = await serveProxy(1);
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, lookup: unresolved });

    expect(await guest.ask(get('other.example'))).toMatch(/^HTTP\/1\.1 403 /);
    expect(proxy.asked).toEqual([]);
  });

  it('a name that the host finds at a private address is still refused', async () => {
    const proxy = await serveProxy(1);
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, lookup: async () => [{ address: '10.0.0.1', family: 4 }] });

    expect(await guest.ask(get('far.example'))).toContain('leads to an address that is not public (private address)');
    expect(proxy.asked).toEqual([]);
  });

  it('an internal host is reached without it', async () => {
    const web = await serveWeb();
    const proxy = await serveProxy(1);
    const guest = await world([web.host], { upstreamProxy: proxy.url });

    expect(await guest.ask(get(web.host))).toMatch(/hello$/);
    expect(proxy.asked).toEqual([]);
  });

  it('a proxy that is away is said to be away', async () => {
    const proxy = await serveProxy(1);
    proxy.server.close();
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, lookup: unresolved });

    expect((await openTunnel(guest, 'far.example:443')).head).toContain('502 mayfly: far.example is allowed but could not be reached (ECONNREFUSED).');
  });

  it('a host of NO_PROXY is reached without it', async () => {
    const proxy = await serveProxy(1);
    const guest = await world(['a.near.example', 'far.example'], { upstreamProxy: proxy.url, noProxy: 'near.example', lookup: unresolved });

    // Nobody else resolves it.
    expect(await guest.ask(get('a.near.example'))).toContain('502 mayfly: a.near.example is allowed but could not be reached (ENOTFOUND)');
    expect(await guest.ask(get('far.example'))).toMatch(/through the proxy$/);
    expect(proxy.asked).toEqual([`GET http://far.example/a?b ${credentials}`]);
  });
});

describe('an upstream proxy with TLS', () => {
  async function serveSecureProxy(): Promise<{ url: URL; asked: string[]; trust: Trust }> {
    const authority = createCertificateAuthority();
    onTestFinished(() => authority[Symbol.dispose]());
    const asked: string[] = [];
    const server = createSecureServer(authority.issue('localhost'), (request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.end('through the proxy');
    });
    return { url: new URL(`https://user:pass%20word@localhost:${await listen(server)}`), asked, trust: createTrust(authority.caPem) };
  }

  it('is believed when its certificate is one that this host trusts', async () => {
    const proxy = await serveSecureProxy();
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, trust: proxy.trust, lookup: unresolved });

    expect(await guest.ask(get('far.example'))).toMatch(/through the proxy$/);
    expect(proxy.asked).toEqual(['GET http://far.example/a?b']);
  });

  it('gets no password and no request otherwise, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    onTestFinished(() => void vi.unstubAllEnvs());
    const proxy = await serveSecureProxy();
    const guest = await world(['far.example'], { upstreamProxy: proxy.url, lookup: unresolved });

    expect(await guest.ask(get('far.example'))).toMatch(/^HTTP\/1\.1 502 /);
    expect(proxy.asked).toEqual([]);
  });
});
