import { createServer as createTcpServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { closeServer, get, listen, serveWeb, world } from '../support/gateway/world.ts';

describe('a plain request', () => {
  it('reaches an allowed host with the end-to-end headers only', async () => {
    const { host, seen } = await serveWeb();
    const { ask, gateway } = await world([host]);

    const answer = await ask(
      get(
        host,
        'X-Mine: 1\r\nX-Mine: 2\r\nX-Hop: 3\r\nConnection: keep-alive, x-hop\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: close\r\nTE: trailers\r\nUpgrade: h2c\r\n',
      ),
    );

    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toMatch(/hello$/);
    expect(seen.map(({ url, rawHeaders }) => [url, rawHeaders])).toEqual([['/a?b', ['host', host, 'x-mine', '1', 'x-mine', '2', 'Connection', 'close']]]);
    expect(gateway.ledger).toMatchObject([{ phase: 'setup', method: 'GET', host: 'web.test.example', decision: 'allowed', rule: `allow ${host}`, bytesIn: 5 }]);
    expect(gateway.ledger[0]?.bytesOut).toBeGreaterThan(0);
  });

  it('is refused for a host that is not on the list, in words that say what to do', async () => {
    const { host, seen } = await serveWeb();
    const { ask, gateway } = await world(['other.test.example'], { phase: 'agent', settingsKey: '`allow:` in .github/mayfly.yml' });

    const answer = await ask(get(host));

    expect(answer).toMatch(/^HTTP\/1\.1 403 mayfly: /);
    expect(answer.split('\r\n\r\n')[1]).toBe(
      `mayfly: web.test.example is not on the list of this phase (agent). To allow it, add ${host} to \`allow:\` in .github/mayfly.yml.\n`,
    );
    expect(seen).toEqual([]);
    expect(gateway.ledger).toMatchObject([{ phase: 'agent', decision: 'refused', rule: 'not on the list', bytesIn: 0, bytesOut: 0 }]);
  });

  it.each(['127.0.0.1', '2130706433', '0x7f.0.0.1', '017700000001', '127.1', '[::1]', '[::ffff:127.0.0.1]', '0', '169.254.169.254'])(
    'is refused for the address %s',
    async (address) => {
      const { host, seen } = await serveWeb();
      const port = host.split(':')[1];
      const { ask, gateway } = await world([host, `${address}:${port}`]);

      const answer = await ask(get(`${address}:${port}`));

      expect(answer).toMatch(/^HTTP\/1\.1 40[03] mayfly: /);
      expect(gateway.ledger).toMatchObject([{ decision: 'refused' }]);
      expect(seen).toEqual([]);
    },
  );

  it('reaches an address that the operator vouches for', async () => {
    const { host } = await serveWeb();
    const address = `127.0.0.1:${host.split(':')[1]}`;
    const { ask } = await world([address], { internal: ['127.0.0.1'] });

    expect(await ask(get(address))).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    ['private', '10.0.0.1'],
    ['loopback', '127.0.0.1'],
    ['link-local', '169.254.169.254'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['multicast', '224.0.0.1'],
    ['loopback', '::ffff:127.0.0.1'],
    ['private', 'fdaa::1'],
  ])('is refused when one of the addresses is %s', async (rule, address) => {
    const { host, seen } = await serveWeb();
    const { ask, gateway } = await world([host], {
      internal: [],
      lookup: async () => [
        { address: '203.0.113.9', family: 4 },
        { address, family: address.includes(':') ? 6 : 4 },
      ],
    });

    expect(await ask(get(host))).toContain('leads to an address that is not public');
    expect(gateway.ledger).toMatchObject([{ decision: 'refused', rule: `${rule} address` }]);
    expect(seen).toEqual([]);
  });

  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::ffff:cb00:7109', '203.0.113.9'],
    ['64:ff9b::cb00:7109', '203.0.113.9'],
    ['2001:db8::1', '2001:db8:0::0001'],
    ['2001:DB8::1', '2001:db8::1%eth0'],
  ])('is refused when the name leads to this host by a public address: %s is %s', async (address, own) => {
    const { ask, gateway } = await world(['me.example'], { lookup: async () => [{ address, family: 4 }], ownAddresses: () => [own] });

    expect(await ask(get('me.example'))).toMatch(/^HTTP\/1\.1 403 /);
    expect(gateway.ledger).toMatchObject([{ decision: 'refused', rule: 'own address' }]);
  });

  it('is refused when the name leads to a neighbour of this host', async () => {
    const { ask, gateway } = await world(['near.example'], {
      lookup: async () => [{ address: '198.51.100.1', family: 4 }],
      ownAddresses: () => ['198.51.100.7/24'],
    });

    expect(await ask(get('near.example'))).toContain('leads to an address that is not public (own network address). The operator can vouch');
    expect(gateway.ledger).toMatchObject([{ decision: 'refused', rule: 'own network address' }]);
  });

  it('asks the resolver once and connects to that very answer, and asks again for the next request', async () => {
    const { host, seen } = await serveWeb();
    const answers = ['127.0.0.1', '127.66.6.6'];
    const asked: string[] = [];
    const { ask, gateway } = await world([host], {
      lookup: async (name) => {
        asked.push(name);
        return [{ address: answers[asked.length - 1] ?? '', family: 4 }];
      },
    });

    const first = await ask(get(host));
    expect([first.slice(0, 12), asked, seen.length]).toEqual(['HTTP/1.1 200', ['web.test.example'], 1]);

    const second = await ask(get(host));
    expect([second.slice(0, 12), asked.length, seen.length]).toEqual(['HTTP/1.1 502', 2, 1]);
    expect(gateway.ledger).toMatchObject([{ decision: 'allowed' }, { decision: 'failed', rule: 'ECONNREFUSED' }]);
  });

  it('says so when a name has no address', async () => {
    const { ask, gateway } = await world(['gone.example'], { lookup: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) });

    expect(await ask(get('gone.example'))).toContain('mayfly: gone.example is allowed but could not be reached (ENOTFOUND).');
    expect(gateway.ledger).toMatchObject([{ decision: 'failed', rule: 'ENOTFOUND' }]);
  });

  it('carries a body of known and of unknown length, and an answer of 8 MiB', async () => {
    const bodies: string[] = [];
    const { host, seen } = await serveWeb((request, response) => {
      let body = '';
      request
        .on('data', (chunk: Buffer) => (body += chunk.toString()))
        .on('end', () => {
          bodies.push(body);
          response.end(Buffer.alloc(8 * 2 ** 20, 'x'));
        });
    });
    const { ask } = await world([host]);

    const first = await ask(`PUT http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 3\r\n\r\nabc`);
    await ask(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);

    expect(bodies).toEqual(['abc', 'abcde']);
    expect(seen[1]?.headers).toMatchObject({ 'transfer-encoding': 'chunked' });
    expect(first.length).toBeGreaterThan(8 * 2 ** 20);
  });

  it('gets a redirect as it is; where it leads is asked for anew', async () => {
    const { host } = await serveWeb((_request, response) => response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end());
    const { ask } = await world([host]);

    expect(await ask(get(host))).toMatch(/^HTTP\/1\.1 302 [^]*location: http:\/\/169\.254\.169\.254/);
    expect(await ask(get('169.254.169.254'))).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('survives an answer that is no HTTP, that breaks off, and that has a status of its own', async () => {
    const answers = [
      'SSH-2.0-x\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
      'HTTP/1.1 007 x\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      '',
    ];
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(answers.shift() ?? ''));
    });
    const host = `odd.test.example:${await listen(server)}`;
    const { ask } = await world([host]);

    const got: string[] = [];
    while (answers.length > 0) got.push((await ask(get(host))).slice(0, 12));
    await closeServer(server);

    expect(got).toEqual(['HTTP/1.1 502', 'HTTP/1.1 200', 'HTTP/1.1 502', 'HTTP/1.1 502', 'HTTP/1.1 502']);
  });
});

describe('a request that is not as it should be', () => {
  it.each([
    [
      'Content-Length and Transfer-Encoding',
      'POST http://HOST/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://HOST/second HTTP/1.1\r\nHost: HOST\r\n\r\n',
    ],
    ['two lengths', 'POST http://HOST/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef'],
    ['an unknown transfer coding', 'POST http://HOST/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['two transfer codings', 'POST http://HOST/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a bare line feed', 'GET http://HOST/ HTTP/1.1\nHost: HOST\n\n'],
    ['a bare carriage return', 'GET http://HOST/ HTTP/1.1\r\nHost: HOST\r\nX: a\rY: b\r\n\r\n'],
    ['a folded header', 'GET http://HOST/ HTTP/1.1\r\nHost: HOST\r\nX: a\r\n b\r\n\r\n'],
    ['a space before the colon', 'GET http://HOST/ HTTP/1.1\r\nHost : HOST\r\n\r\n'],
    ['a NUL in the name', 'GET http://evil.org\u0000.HOST/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['bytes above ASCII in the name', 'GET http://b\u00fc.HOST/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['a percent sign in the name', 'GET http://%77eb.test.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['user information', 'GET http://me@HOST/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['another Host header', 'GET http://HOST/ HTTP/1.1\r\nHost: evil.example\r\n\r\n'],
    ['the Host header with another port', 'GET http://HOST/ HTTP/1.1\r\nHost: web.test.example:1\r\n\r\n'],
    ['two Host headers', 'GET http://HOST/ HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n'],
    ['no proxy form', 'GET / HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['an https address', 'GET https://HOST/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['TRACE', 'TRACE http://HOST/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['an expectation', 'GET http://HOST/ HTTP/1.1\r\nHost: HOST\r\nExpect: z\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['random bytes', '\u0016\u0003\u0001\u0000\u00ff'],
  ])('with %s gets 400 and reaches nobody', async (_what, text) => {
    const { host, seen } = await serveWeb();
    const { ask, gateway } = await world([host, '*.test.example']);

    const answer = await ask(Buffer.from(text.replaceAll('HOST', host), 'latin1'));

    expect(answer).toMatch(/^HTTP\/1\.1 400 mayfly: /);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(seen).toEqual([]);
    expect(gateway.ledger).toMatchObject([{ decision: 'refused' }]);
  });

  it('is not followed by a second one on its connection', async () => {
    const { host, seen } = await serveWeb();
    const { ask } = await world([host]);

    for (const second of [get(host), `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /tunnel HTTP/1.1\r\n\r\n`]) await ask(get(host) + second);

    expect(seen.filter(({ url }) => url !== '/a?b')).toEqual([]);
    expect(seen.length).toBeLessThanOrEqual(2);
  });

  it('is refused when its head is too large, by bytes or by 10,000 headers', async () => {
    const { host, seen } = await serveWeb();
    const { ask } = await world([host]);

    expect(await ask(get(host, `X: ${'a'.repeat(17_000)}\r\n`))).toMatch(/^HTTP\/1\.1 431 mayfly: /);
    expect(await ask(get(host, Array.from({ length: 10_000 }, (_, at) => `x${at}: y\r\n`).join('')))).toMatch(/^HTTP\/1\.1 431 mayfly: /);
    expect(seen).toEqual([]);
  });

  it('passes on every header of a head that is small enough, however many there are', async () => {
    const { host, seen } = await serveWeb();
    const { ask } = await world([host]);

    await ask(get(host, 'x:y\r\n'.repeat(2100)));

    expect(seen[0]?.rawHeaders.filter((name) => name === 'x')).toHaveLength(2100);
  });
});
