/** Hosts whose requests are inspected: TLS ends at the gateway, each request is judged, and asked anew. */
import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createTrust } from '../../src/gateway/trust.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { helloMessage, nameExtension, record } from '../support/gateway/client-hello.ts';
import { http2Request, readHttp2Answer } from '../support/gateway/http2-frames.ts';
import { askHttp1, askHttp2, secureName, secureTunnel, serveSecureWeb } from '../support/gateway/secure-web.ts';
import type { SecureWeb, Wish } from '../support/gateway/secure-web.ts';
import { get, openTunnel, readAll, stopClock, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

/** Both versions, so that no rule holds for one of them only. */
const versions = [
  { version: 'HTTP/1.1', ask: async (guest: World, place: string, wish: Wish) => await askHttp1(guest, place, wish) },
  { version: 'HTTP/2', ask: async (guest: World, place: string, wish: Wish) => (await askHttp2(guest, place, [wish]))[0] },
];

const open = async (web: SecureWeb, rules: readonly string[], options: Partial<GatewayOptions> = {}): Promise<World> =>
  await world(
    rules.map((rule) => rule.replace('HOST', web.place)),
    { trust: web.trust, phase: 'agent', ...options },
  );
const lines = (guest: World): readonly string[] =>
  guest.gateway.ledger.map(({ method, path, decision, rule }) => `${method} ${path ?? '-'} ${decision} ${rule.replace(/secure\.test\.example:\d+/g, 'HOST')}`);

describe.each(versions)('a host with a rule on method or path, over $version', ({ ask }) => {
  it('is asked for what the rule names, and nothing of the client’s identity goes on', async () => {
    const web = await serveSecureWeb((_request, response) =>
      response.writeHead(200, { 'set-cookie': 'a=b', etag: '"x"', 'alt-svc': 'h3=":443"' }).end('hello'),
    );
    const guest = await open(web, ['GET HOST/a/*']);
    const headers = {
      authorization: 'Bearer mine',
      cookie: 'a=b',
      'x-api-key': 'mine',
      apikey: 'mine',
      dpop: 'mine',
      accept: 'text/plain',
      'if-none-match': '"y"',
    };

    const reply = await ask(guest, web.place, { path: '/a/b?c=d', headers });

    expect(reply).toMatchObject({ status: 200, body: 'hello', headers: { etag: '"x"' } });
    expect(Object.keys(reply?.headers ?? {})).not.toContain('set-cookie');
    expect(Object.keys(reply?.headers ?? {})).not.toContain('alt-svc');
    expect(web.seen).toMatchObject([{ method: 'GET', url: '/a/b?c=d', headers: { accept: 'text/plain', 'if-none-match': '"y"', host: web.place } }]);
    expect(Object.keys(web.seen[0]?.headers ?? {}).toSorted()).toEqual(['accept', 'connection', 'host', 'if-none-match']);
    expect(lines(guest)).toEqual(['CONNECT - allowed allow GET HOST/a/*', 'GET /a/b allowed allow GET HOST/a/*']);
  });

  it.each([
    [{ path: '/b' }, 'path not on the list', 'GET HOST/b'],
    [{ path: '/ab' }, 'path not on the list', 'GET HOST/ab'],
    [{ method: 'PUT', path: '/a/b' }, 'method PUT', 'PUT HOST/a/b'],
    [{ method: 'DELETE', path: '/b' }, 'path not on the list', 'DELETE HOST/b'],
    [{ method: 'GET', path: '/a/b', body: 'out it goes', headers: { 'content-length': '11' } }, 'request body', null],
    [{ path: '/a/../b' }, 'path in a notation of its own', null],
    [{ path: '/a/%2e%2e/b' }, 'path in a notation of its own', null],
    [{ path: '//a/b' }, 'path in a notation of its own', null],
  ])('refuses %j: %s', async (wish, rule, wouldAllow) => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/a/*']);

    const reply = await ask(guest, web.place, wish);

    expect(reply?.status).toBe(rule.startsWith('path in') ? 400 : 403);
    expect(reply?.body).toMatch(/^mayfly: /);
    const entry = wouldAllow?.replace('HOST', web.place) ?? null;
    expect(reply?.body).toContain(entry === null ? 'mayfly: ' : `To allow it, add "${entry}" to the test.`);
    expect(guest.gateway.ledger[1]).toMatchObject({ decision: 'refused', rule, wouldAllow: entry });
    expect(web.seen).toEqual([]);
  });

  it('takes a body where the rule names a method that has one', async () => {
    const web = await serveSecureWeb((request, response) => void request.pipe(response));
    const guest = await open(web, ['POST HOST/a']);

    expect(await ask(guest, web.place, { method: 'POST', path: '/a', body: 'some words' })).toMatchObject({ status: 200, body: 'some words' });
    expect(guest.gateway.ledger[1]?.bytesOut).toBeGreaterThan(10);
  });

  it('is not asked in the name of another host', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*']);
    const name = guest.gateway && 'other.test.example';

    const reply = await ask(guest, web.place, { headers: { host: name, ':authority': name } }).catch(() => null);
    const other = reply ?? (await ask(guest, web.place, { headers: { host: name } }));

    expect(other).toMatchObject({ status: 400, body: expect.stringContaining('another Host header') });
    expect(web.seen).toEqual([]);
  });

  it('hands a redirect to the client and does not follow it', async () => {
    const web = await serveSecureWeb((_request, response) => response.writeHead(302, { location: 'https://elsewhere.test.example/x' }).end());
    const guest = await open(web, ['GET HOST/*']);

    expect(await ask(guest, web.place, {})).toMatchObject({ status: 302, headers: { location: 'https://elsewhere.test.example/x' } });
    expect(web.seen).toHaveLength(1);
  });

  it.each(['1', '0'])('is not believed without a certificate that this host trusts, whatever the environment says: %s', async (verifies) => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', verifies);
    onTestFinished(() => void vi.unstubAllEnvs());
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*'], { trust: createTrust('') });

    expect(await ask(guest, web.place, {})).toMatchObject({ status: 502, body: expect.stringContaining('could not be reached (') });
    expect(guest.gateway.ledger[1]).toMatchObject({ decision: 'failed' });
    expect(web.seen).toEqual([]);
  });

  it('may not answer with larger headers than the limit', async () => {
    const web = await serveSecureWeb((_request, response) => response.writeHead(200, { x: 'a'.repeat(20_000) }).end());
    const guest = await open(web, ['GET HOST/*']);

    expect(await ask(guest, web.place, {})).toMatchObject({ status: 502, body: expect.stringContaining('HPE_HEADER_OVERFLOW') });
  });
});

describe('a tunnel that ends at the gateway', () => {
  it('carries many requests at once over few connections', async () => {
    const web = await serveSecureWeb((request, response) => response.end(request.url));
    const guest = await open(web, ['GET HOST/*']);
    const wishes = Array.from({ length: 100 }, (_, index) => ({ path: `/${index}` }));

    const replies = await askHttp2(guest, web.place, wishes);

    expect(replies.map(({ body }) => body)).toEqual(wishes.map(({ path }) => path));
    expect(web.connections()).toBeLessThanOrEqual(32);
  });

  it('carries one request after the other over one connection, and asks over one', async () => {
    const web = await serveSecureWeb((request, response) => response.end(request.url));
    const guest = await open(web, ['GET HOST/*']);
    const socket = await secureTunnel(guest, web.place, 'http/1.1');

    for (const path of ['/1', '/2', '/3']) expect(await askHttp1(guest, web.place, { path }, socket)).toMatchObject({ body: path });
    expect(web.connections()).toBe(1);
  });

  it('asks again when the host closed the connection that it had kept', async () => {
    const web = await serveSecureWeb((request, response) => {
      response.end(request.url);
      response.once('finish', () => setImmediate(() => request.socket.destroy()));
    });
    const guest = await open(web, ['GET HOST/*']);

    for (let turn = 0; turn < 10; turn += 1) expect(await askHttp1(guest, web.place, { path: `/${turn}` })).toMatchObject({ body: `/${turn}` });
  });

  it('shows a certificate of this VM’s own authority, made for the host', async () => {
    const web = await serveSecureWeb();
    const [guest, other] = [await open(web, ['GET HOST/*']), await open(web, ['GET HOST/*'])];
    const socket = await secureTunnel(guest, web.place, 'h2');
    const leaf = new X509Certificate(socket.getPeerX509Certificate()?.raw ?? '');
    const [mine, others] = [await guest.gateway.authority(), await other.gateway.authority()].map((pem) => new X509Certificate(pem));

    expect(leaf.subjectAltName).toBe(`DNS:${secureName}`);
    expect([leaf.verify(mine?.publicKey as never), leaf.verify(others?.publicKey as never)]).toEqual([true, false]);
    expect([mine?.ca, leaf.ca]).toEqual([true, false]);
  });

  it('is refused for another server name, and for what is no TLS', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*']);

    await expect(secureTunnel({ ...guest }, web.place.replace('secure', 'other'), 'h2')).rejects.toThrow('403');
    const { socket } = await openTunnel(guest, web.place);
    socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n');

    expect(Buffer.from(await readAll(socket), 'latin1')).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, 49]));
    expect(guest.gateway.ledger.at(-1)).toMatchObject({ decision: 'refused', rule: 'not TLS' });
  });

  it('is refused when its hello does not come in time, or not all of it', async () => {
    const web = await serveSecureWeb();
    stopClock();
    const guest = await open(web, ['GET HOST/*'], { limits: { headerTimeoutMs: 60_000 } });
    const [silent, stalled] = [await openTunnel(guest, web.place), await openTunnel(guest, web.place)];

    stalled.socket.write(record(helloMessage([nameExtension(secureName)])).subarray(0, 30));
    // A full turn through the same gateway, which has those bytes by then.
    await guest.ask(get('example.org'));
    vi.advanceTimersByTime(60_000);

    expect([await readAll(silent.socket), await readAll(stalled.socket)]).toEqual(['', '']);
    expect(lines(guest).slice(0, 2)).toEqual(Array.from({ length: 2 }, () => 'CONNECT - refused no TLS hello in time'));
  });

  it('says in the ledger that a client did not trust it', async () => {
    const web = await serveSecureWeb();
    stopClock();
    const guest = await open(web, ['GET HOST/*'], { limits: { headerTimeoutMs: 60_000 } });

    const { socket } = await openTunnel(guest, web.place);
    await once(connectTls({ socket, servername: secureName }), 'error');
    socket.destroy();
    // It went without a word.
    vi.advanceTimersByTime(60_000);
    const other = await openTunnel(guest, web.place);
    other.socket.write(record(helloMessage([nameExtension(secureName)])));
    other.socket.end();

    await expect
      .poll(() => lines(guest))
      .toEqual(['CONNECT - failed allow GET HOST/*; no TLS handshake', 'CONNECT - failed allow GET HOST/*; no TLS handshake']);
  });

  it('answers a request that cannot be read, and a head that is too large', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*']);
    const say = async (text: string): Promise<string> => {
      const socket = await secureTunnel(guest, web.place, 'http/1.1');
      socket.write(text);
      return await readAll(socket);
    };

    expect(await say('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 mayfly: /);
    expect(await say(`GET / HTTP/1.1\r\nHost: ${web.place}\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 mayfly: /);
    expect(await say(`GET / HTTP/1.1\r\nHost: ${web.place}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await say(`GET https://elsewhere.example/ HTTP/1.1\r\nHost: ${web.place}\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(web.seen).toEqual([]);
  });

  it('takes nothing for a request that came behind one which was refused with its body', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*']);
    const socket = await secureTunnel(guest, web.place, 'http/1.1');

    socket.write(
      `POST / HTTP/1.1\r\nHost: ${web.place}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: ${web.place}\r\n\r\n`,
    );

    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 400 mayfly: [^]*\(Transfer-Encoding\)\.\n$/);
    await askHttp1(guest, web.place);
    expect(web.seen.map(({ url }) => url)).toEqual(['/']);
    expect(lines(guest)).toEqual([
      'CONNECT - allowed allow GET HOST/*',
      'POST / refused Transfer-Encoding',
      'CONNECT - allowed allow GET HOST/*',
      'GET / allowed allow GET HOST/*',
    ]);
  });

  it('takes no bytes above ASCII in a path, which HTTP/2 could write', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*']);
    const socket = await secureTunnel(guest, web.place, 'h2');

    socket.write(
      http2Request([
        [':method', 'GET'],
        [':scheme', 'https'],
        [':authority', web.place],
        [':path', '/\u00c3\u00a4'],
      ]),
    );

    expect(readHttp2Answer(Buffer.from(await readAll(socket), 'latin1'))).toContain('(path in a notation of its own).');
    expect(lines(guest).at(-1)).toBe('GET /?? refused path in a notation of its own');
  });

  it('is cut when a phase begins, whatever passes through it', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, ['GET HOST/*']);
    const socket = await secureTunnel(guest, web.place, 'http/1.1');
    await askHttp1(guest, web.place, {}, socket);
    const closed = once(socket.resume(), 'end');

    guest.gateway.enter('proof', [`GET ${web.place}/*`]);

    await closed;
    expect(lines(guest)).toEqual(['CONNECT - allowed allow GET HOST/*; closed by phase proof', 'GET / allowed allow GET HOST/*']);
  });

  it('is the end of bytes and requests like every other', async () => {
    const web = await serveSecureWeb((_request, response) => response.end('x'.repeat(50_000)));
    const spent = await open(web, ['GET HOST/*'], { limits: { totalBytes: 20_000 } });
    const few = await open(web, ['GET HOST/*'], { limits: { requests: 2 } });

    await expect(askHttp1(spent, web.place)).rejects.toThrow('aborted');
    expect((await openTunnel(spent, web.place)).head).toContain('used up its');
    expect(await askHttp1(few, web.place)).toMatchObject({ status: 200 });
    expect((await openTunnel(few, web.place)).head).toContain('used up its number of requests');
  });
});
