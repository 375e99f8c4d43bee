import { describe, expect, it, vi } from 'vitest';
import { secureTunnel, serveSecureWeb } from '../support/gateway/secure-web.ts';
import { get, hear, openTunnel, readAll, serveWeb, stopClock, world } from '../support/gateway/world.ts';

const minuteMs = 60_000;

describe('a connection', () => {
  it('that never finishes its head is cut', async () => {
    const { connect, gateway } = await world([], { limits: { headerTimeoutMs: 100 } });
    const socket = await connect();
    const dribble = setInterval(() => socket.writable && socket.write('x'), 20);

    socket.write('GET http://example.org/ HTTP/1.1\r\nX: ');
    await readAll(socket);

    clearInterval(dribble);
    expect(gateway.ledger).toEqual([]);
  });

  it('that stands still is cut', async () => {
    const { host } = await serveWeb((_request, response) => void response.write('begun'));
    stopClock();
    const { connect } = await world([host], { limits: { idleTimeoutMs: minuteMs } });
    const socket = await connect();
    const heard = hear(socket);

    socket.write(get(host));
    await expect.poll(() => heard.soFar).toContain('begun');
    vi.advanceTimersByTime(minuteMs);

    await heard.whole;
  });

  it('that stands still in a tunnel is cut, before its first byte and after the last', async () => {
    const { host } = await serveWeb();
    stopClock();
    const guest = await world([host], { limits: { idleTimeoutMs: minuteMs } });
    const [silent, asking] = [(await openTunnel(guest, host)).socket, (await openTunnel(guest, host)).socket];
    const [nothing, answer] = [hear(silent), hear(asking)];

    asking.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await expect.poll(() => answer.soFar).toMatch(/hello$/);
    vi.advanceTimersByTime(minuteMs);

    expect(await nothing.whole).toBe('');
    await answer.whole;
  });

  it('that is looked into and stands still is cut, over HTTP/1.1 and HTTP/2', async () => {
    const web = await serveSecureWeb();
    stopClock();
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust, limits: { idleTimeoutMs: minuteMs } });
    const [first, second] = [await secureTunnel(guest, web.place, 'http/1.1'), await secureTunnel(guest, web.place, 'h2')];
    const [answer, nothing] = [hear(first), hear(second)];

    first.write(`GET / HTTP/1.1\r\nHost: ${web.place}\r\n\r\n`);
    await expect.poll(() => answer.soFar).toMatch(/hello$/);
    vi.advanceTimersByTime(minuteMs);

    await Promise.all([answer.whole, nothing.whole]);
    expect(guest.gateway.ledger.filter(({ method }) => method === 'CONNECT').map(({ rule }) => rule.split('; ')[1])).toEqual([undefined, 'nothing was asked']);
  });

  it('beyond the limit of connections is told so, and far beyond it is cut', async () => {
    const { connect, ask } = await world([], { limits: { connections: 2 } });
    const held = [await connect(), await connect()];

    expect(await ask(get('example.org'))).toMatch(/^HTTP\/1\.1 503 mayfly: 2 connections at once is the limit/);

    const crowd = await Promise.all(Array.from({ length: 6 }, () => connect()));
    await expect.poll(() => ask(get('example.org'))).toBe('');
    for (const socket of crowd) socket.destroy();

    held[0]?.destroy();
    await expect.poll(() => ask(get('example.org'))).toMatch(/^HTTP\/1\.1 403 /);
    held[1]?.destroy();
  });

  it('is cut when the run has used up its bytes, and the next one is refused', async () => {
    const { host } = await serveWeb((_request, response) => response.end(Buffer.alloc(300_000)));
    const { ask, gateway } = await world([host], { limits: { totalBytes: 100_000 } });

    expect((await ask(get(host))).length).toBeLessThan(250_000);
    expect(await ask(get(host))).toContain('this run has used up its');
    expect(gateway.ledger).toMatchObject([
      { decision: 'refused', rule: 'byte limit' },
      { decision: 'refused', rule: 'byte limit' },
    ]);
  });

  it('keeps the ledger bounded and counts the rest', async () => {
    const { ask, gateway } = await world([], { limits: { ledgerEntries: 3 } });

    for (let at = 0; at < 5; at += 1) await ask(get(`${at}.example.org`));

    expect(gateway.ledger.map(({ host }) => host)).toEqual(['0.example.org', '1.example.org', '2.example.org']);
    expect(gateway.unlisted.map(({ host, count }) => [host, count])).toEqual([
      ['3.example.org', 1],
      ['4.example.org', 1],
    ]);
  });

  it('is in a sum of what it became, when the ledger is full', async () => {
    const { host } = await serveWeb((_request, response) => response.end('x'.repeat(1_000)));
    const { ask, gateway } = await world([host], { limits: { ledgerEntries: 0 } });

    for (let at = 0; at < 3; at += 1) await ask(get(host));
    await ask(get('web.test.example:1'));

    expect(gateway.ledger).toEqual([]);
    expect(gateway.unlisted).toMatchObject([
      { host: 'web.test.example', decision: 'allowed', rule: `allow ${host}`, count: 3, bytesIn: 3_000 },
      { host: 'web.test.example', decision: 'refused', rule: 'port 1', wouldAllow: 'web.test.example:1', count: 1 },
    ]);
  });

  it('is refused with others, and hides no allowed one, when there is no end of them', async () => {
    const { host } = await serveWeb();
    const { ask, gateway } = await world([host], { limits: { ledgerEntries: 0, connections: 64 } });

    for (let at = 0; at < 25; at += 1) await Promise.all(Array.from({ length: 42 }, (_, index) => ask(get(`${at}-${index}.example.org`))));
    await ask(get(host));

    expect(gateway.unlisted).toHaveLength(1_002);
    expect(gateway.unlisted.reduce((sum, { count }) => sum + count, 0)).toBe(1_051);
    expect(gateway.unlisted.slice(-2)).toMatchObject([
      { host: 'other hosts', decision: 'refused', count: 50 },
      { decision: 'allowed', count: 1 },
    ]);
  });

  it('is ended by close, and none is taken afterwards', async () => {
    const { connect, gateway } = await world([]);
    const socket = await connect();
    const ended = readAll(socket);

    await gateway.close();
    await ended;

    const late = await connect();
    expect(await readAll(late)).toBe('');
  });
});
