/** Answers and requests of inspected hosts that are out of the ordinary, and must harm nobody else. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { askHttp1, askHttp2, secureTunnel, serveSecureWeb } from '../support/gateway/secure-web.ts';
import type { Wish } from '../support/gateway/secure-web.ts';
import { openTunnel, readAll, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

/** Both versions, so that no rule holds for one of them only. */
const versions = [
  { version: 'HTTP/1.1', ask: async (guest: World, place: string, wish: Wish) => await askHttp1(guest, place, wish) },
  { version: 'HTTP/2', ask: async (guest: World, place: string, wish: Wish) => (await askHttp2(guest, place, [wish]))[0] },
];

/** All that HTTP/2 takes once only, among what an answer may have. */
const onlyOnce = [
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'last-modified',
  'location',
  'max-forwards',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
  'content-encoding',
  'content-language',
  'date',
  'server',
];

describe.each(versions)('an answer over $version', ({ ask }) => {
  it('may have a header twice that is meant to come once', async () => {
    const web = await serveSecureWeb(({ url = '' }, response) => {
      const name = url.slice(1);
      response.writeHead(200, [name, 'one', name, 'two', 'link', '<a>', 'link', '<b>']).end('hello');
    });
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });

    for (const name of onlyOnce) {
      const reply = await ask(guest, web.place, { path: `/${name}` });
      expect([name, reply]).toMatchObject([
        name,
        { status: 200, body: 'hello', headers: { link: '<a>, <b>', [name]: expect.stringMatching(/^one(, two)?$/) } },
      ]);
    }
    expect(await ask(guest, web.place, { path: '/content-encoding' })).toMatchObject({ headers: { 'content-encoding': 'one, two' } });
  });

  it('of no known status harms nobody', async () => {
    const web = await serveSecureWeb((_request, response) => response.writeHead(999, { etag: '"x"' }).end('hello'));
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });

    for (const path of ['/1', '/2']) expect([502, 999]).toContain((await ask(guest, web.place, { path }))?.status);
  });
});

describe.each(versions)('a request over $version', ({ ask }) => {
  it('brings the headers that package managers and git need, and no other', async () => {
    const web = await serveSecureWeb();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });
    const needed = {
      accept: 'text/plain',
      'accept-encoding': 'gzip',
      'accept-language': 'en',
      'user-agent': 'npm/11',
      'cache-control': 'max-age=0',
      pragma: 'no-cache',
      'if-none-match': '"y"',
      'if-modified-since': 'Sat, 28 Nov 2026 00:00:00 GMT',
      range: 'bytes=0-1',
      'if-range': '"y"',
      'git-protocol': 'version=2',
      'npm-command': 'ci',
      'npm-scope': '@acme',
      'pacote-req-type': 'tarball',
      'cargo-protocol': 'version=1',
    };
    const others = {
      'x-original-url': '/admin',
      'x-rewrite-url': '/admin',
      'x-http-method-override': 'DELETE',
      'x-method-override': 'DELETE',
      'x-anything': 'else',
      apikey: 'mine',
      api_key: 'mine',
      'x-jfrog-art-api': 'mine',
      dpop: 'mine',
      'npm-otp': '1',
      origin: 'https://a.example',
      'x-forwarded-host': 'a.example',
    };

    await ask(guest, web.place, { headers: { ...others, ...needed } });

    const { host, connection, ...rest } = web.seen[0]?.headers ?? {};
    expect(rest).toEqual(needed);
    expect([host, connection]).toEqual([web.place, 'keep-alive']);
  });

  it('that expects more than an answer is refused, counted and written down', async () => {
    const web = await serveSecureWeb();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust, limits: { requests: 4 } });

    expect(await ask(guest, web.place, { headers: { expect: 'z' } })).toMatchObject({ status: 400, body: expect.stringContaining('Expect') });
    expect(await ask(guest, web.place, { headers: { expect: 'z' } })).toMatchObject({ status: 400 });

    expect(guest.gateway.ledger.map(({ method, decision, rule }) => [method, decision, rule])[1]).toEqual(['GET', 'refused', 'Expect']);
    expect((await openTunnel(guest, web.place)).head).toContain('used up its number of requests');
    expect(web.seen).toEqual([]);
  });
});

describe('requests over HTTP/2', () => {
  it('bring no more headers than the limit, also when the client has heard of it', async () => {
    const web = await serveSecureWeb();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });
    const secure = await secureTunnel(guest, web.place, 'h2');
    const session = connectHttp2(`https://${web.place}`, { createConnection: () => secure });
    const ask = async (headers: Record<string, string>): Promise<unknown> => {
      const [answer] = (await once(session.request({ ':path': '/', ...headers }), 'response')) as [Record<string, unknown>];
      return answer[':status'];
    };

    const statuses = [await ask({}), await ask({ x: 'y'.repeat(20_000) }), await ask({})];
    session.destroy();

    expect(statuses).toEqual([200, 431, 200]);
    expect(guest.gateway.ledger.map(({ rule }) => rule)).toContain('HPE_HEADER_OVERFLOW');
  });

  it('bring no more headers than the limit with the first one, when the client has not heard of it', async () => {
    const web = await serveSecureWeb();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });
    const many = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`npm-${index}`, 'x'.repeat(2_000)]));

    expect(await askHttp2(guest, web.place, [{ headers: many(20) }])).toMatchObject([{ status: 431 }]);
    expect(await askHttp2(guest, web.place, [{ headers: many(5) }])).toMatchObject([{ status: 200 }]);
    expect(web.seen).toHaveLength(1);
    expect(guest.gateway.ledger[1]).toMatchObject({ decision: 'refused', rule: 'HPE_HEADER_OVERFLOW' });
  });
});

describe('a CONNECT inside of a connection that is inspected', () => {
  it('is refused, counted and written down, over HTTP/1.1', async () => {
    const web = await serveSecureWeb();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust, limits: { requests: 2 } });
    const socket = await secureTunnel(guest, web.place, 'http/1.1');

    socket.write('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n');

    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 400 mayfly: .*CONNECT/);
    expect(guest.gateway.ledger[1]).toMatchObject({ method: 'CONNECT', host: 'secure.test.example', decision: 'refused', rule: 'CONNECT' });
    expect((await openTunnel(guest, web.place)).head).toContain('used up its number of requests');
  });

  it('is refused, counted and written down, over HTTP/2', async () => {
    const web = await serveSecureWeb();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust, limits: { requests: 2 } });
    const secure = await secureTunnel(guest, web.place, 'h2');
    const session = connectHttp2(`https://${web.place}`, { createConnection: () => secure });
    const stream = session.request({ ':method': 'CONNECT', ':authority': web.place });
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
    session.destroy();

    expect(answer[':status']).toBe(400);
    expect(guest.gateway.ledger[1]).toMatchObject({ method: 'CONNECT', decision: 'refused', rule: 'CONNECT' });
    expect((await openTunnel(guest, web.place)).head).toContain('used up its number of requests');
  });
});

describe('a request over a connection that the host closes without an answer', () => {
  it.each(['POST', 'PUT', 'DELETE', 'PATCH'])('is not sent twice when it is a %s, with or without a body', async (method) => {
    const web = await serveSecureWeb((request, response) => {
      if (request.method === method) return void request.socket.destroy();
      response.end('hello');
    });
    const guest = await world([`GET,${method} ${web.place}/*`], { trust: web.trust });

    await askHttp1(guest, web.place);
    expect(await askHttp1(guest, web.place, { method, headers: { 'content-length': '0' } })).toMatchObject({ status: 502 });
    expect(await askHttp1(guest, web.place, { method, body: 'x', headers: { 'content-length': '1' } })).toMatchObject({ status: 502 });

    expect(web.seen.filter((request) => request.method === method)).toHaveLength(2);
  });

  it('that was kept is not used for what may not be repeated', async () => {
    const web = await serveSecureWeb((request, response) => {
      response.end(request.url);
      response.once('finish', () => setImmediate(() => request.socket.destroy()));
    });
    const guest = await world([`GET,POST ${web.place}/*`], { trust: web.trust });

    for (let turn = 0; turn < 10; turn += 1) {
      expect(await askHttp1(guest, web.place, { path: `/${turn}` })).toMatchObject({ status: 200 });
      expect(await askHttp1(guest, web.place, { method: 'POST', path: `/${turn}` })).toMatchObject({ status: 200 });
    }
  });
});

describe('requests that come before the last one is answered', () => {
  const pipelined = (place: string, paths: readonly string[]): string =>
    paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: ${place}\r\n${path === paths.at(-1) ? 'Connection: close\r\n' : ''}\r\n`).join('');
  const paths = (count: number): string[] => Array.from({ length: count }, (_, index) => `/${index}`);

  it('are asked one after the other, and answered in their order', async () => {
    let [now, most] = [0, 0];
    const web = await serveSecureWeb((request, response) => {
      most = Math.max(most, (now += 1));
      response.once('finish', () => (now -= 1));
      setImmediate(() => response.end(`<${request.url}>`));
    });
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });
    const socket = await secureTunnel(guest, web.place, 'http/1.1');

    socket.write(pipelined(web.place, paths(20)));

    expect((await readAll(socket)).match(/<[^>]*>/g)).toEqual(paths(20).map((path) => `<${path}>`));
    expect(most).toBe(1);
  });

  it('end the connection when they are too many', async () => {
    const web = await serveSecureWeb(() => {});
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });
    const socket = await secureTunnel(guest, web.place, 'http/1.1');

    socket.write(pipelined(web.place, paths(1_000)));
    await readAll(socket);

    expect(guest.gateway.ledger[0]?.rule).toContain('too many requests before an answer');
    expect(web.seen.length).toBeLessThanOrEqual(1);
    expect(guest.gateway.ledger.length).toBeLessThanOrEqual(2);
  });
});
