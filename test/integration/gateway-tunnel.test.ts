import { once } from 'node:events';
import { createServer as createTcpServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createCertificateAuthority } from '../support/gateway/certificate-authority.ts';
import type { CertificateAuthority } from '../support/gateway/certificate-authority.ts';
import { helloMessage, nameExtension, record } from '../support/gateway/client-hello.ts';
import { servePort443 } from '../support/gateway/port-443.ts';
import { get, listen, openTunnel, readAll, serveWeb, stopClock, world } from '../support/gateway/world.ts';

const name = 'tls.test.example';
let authority: CertificateAuthority;
let issued: ReturnType<CertificateAuthority['issue']>;

beforeAll(() => {
  authority = createCertificateAuthority();
  issued = authority.issue(name);
});
afterAll(() => authority[Symbol.dispose]());

/** A TCP server; `seen` has what each connection sent. */
async function serveTcp(
  onSocket: (socket: Socket) => void = (socket) => socket.on('end', () => socket.end('bye')),
): Promise<{ port: number; seen: Buffer[]; server: Server }> {
  const seen: Buffer[] = [];
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const at = seen.push(Buffer.alloc(0)) - 1;
    socket.on('error', () => {}).on('data', (chunk: Buffer) => (seen[at] = Buffer.concat([seen[at] ?? chunk, chunk])));
    onSocket(socket);
  });
  return { port: await listen(server), seen, server };
}

async function handshake(socket: Socket, servername: string): Promise<TLSSocket> {
  const secure = connectTls({ socket, servername, ca: authority.caPem });
  await once(secure, 'secureConnect');
  return secure;
}

describe('a tunnel', () => {
  it('carries TLS end to end to an allowed host', async () => {
    const server = createTlsServer(issued, (socket) => socket.on('data', (chunk: Buffer) => socket.end(`got ${chunk.toString()}`)));
    const place = `${name}:${await listen(server)}`;
    const guest = await world([place]);

    const { head, socket } = await openTunnel(guest, place);
    const secure = await handshake(socket, name);
    secure.write('hello');

    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(await readAll(secure)).toBe('got hello');
    await expect.poll(() => guest.gateway.ledger[0]?.bytesIn).toBeGreaterThan(500);
    expect(guest.gateway.ledger).toMatchObject([{ method: 'CONNECT', host: name, decision: 'allowed', rule: `allow ${place}` }]);
    expect(guest.gateway.ledger[0]?.bytesOut).toBeGreaterThan(200);
  });

  it('takes the hello with the request, in one packet', async () => {
    const { port, seen } = await serveTcp();
    const place = `${name}:${port}`;
    const hello = record(helloMessage([nameExtension(name)]));
    const { ask } = await world([place]);

    const answer = await ask(Buffer.concat([Buffer.from(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`), hello]));

    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*bye$/);
    expect(seen).toEqual([hello]);
  });

  it.each([
    ['example.org:443', 'not on the list'],
    [`${name}:22`, 'port 22'],
    [`${name}:80`, 'port 80'],
    ['127.0.0.1:443', 'address literal'],
    ['[::1]:443', 'address literal'],
    ['0x7f000001:443', 'address in a notation of its own'],
    [name, 'no port'],
    [`me:secret@${name}:443`, 'not a host name'],
  ])('to %s is refused: %s', async (place, rule) => {
    const guest = await world([name]);

    const { head } = await openTunnel(guest, place);

    expect(head).toMatch(/^HTTP\/1\.1 40[03] mayfly: /);
    expect(guest.gateway.ledger).toMatchObject([{ decision: 'refused', rule }]);
  });

  it('goes to the same host for another spelling of its name', async () => {
    const { port } = await serveTcp();
    const guest = await world([`${name}:${port}`]);

    const { head, socket } = await openTunnel(guest, `TLS.Test.Example.:${port}`);
    socket.end(record(helloMessage([nameExtension('TLS.TEST.example')])));

    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(await readAll(socket)).toBe('bye');
  });

  it('answers 502 when nobody listens there', async () => {
    const { port, server } = await serveTcp();
    server.close();
    const guest = await world([`${name}:${port}`]);

    expect((await openTunnel(guest, `${name}:${port}`)).head).toContain('502 mayfly: tls.test.example is allowed but could not be reached (ECONNREFUSED).');
  });

  it('ends each way by itself', async () => {
    const { port, seen } = await serveTcp((socket) => socket.write('hello first'));
    const guest = await world([`${name}:${port}`]);
    const { socket } = await openTunnel(guest, `${name}:${port}`);

    await once(socket, 'data');
    socket.end('last words');

    await expect.poll(() => seen[0]?.toString()).toBe('last words');
    socket.destroy();
  });

  it('holds the sender back while the receiver does not read', async () => {
    const total = 64 * 2 ** 20;
    const taken = { bytes: 0, socket: null as Socket | null };
    const server = createTcpServer((socket) => {
      taken.socket = socket.on('error', () => {});
    });
    const place = `${name}:${await listen(server)}`;
    const web = await serveWeb();
    const guest = await world([place, web.host]);
    const { socket } = await openTunnel(guest, place);

    socket.end(Buffer.alloc(total));
    // Each of these is a full turn through the same gateway: time enough to read on if nothing held it.
    for (let turn = 0; turn < 30; turn += 1) await guest.ask(get(web.host));
    expect(guest.gateway.ledger[0]?.bytesOut).toBeLessThan(total / 2);

    taken.socket?.on('data', (chunk: Buffer) => (taken.bytes += chunk.length));
    await expect.poll(() => taken.bytes, { timeout: 20_000 }).toBe(total);
    socket.destroy();
  });

  it('is cut by a phase that does not allow its host; others go on', async () => {
    const kept = await serveTcp((socket) => socket.write('x'));
    const lost = await serveTcp((socket) => socket.write('x'));
    const places = [`kept.test.example:${kept.port}`, `lost.test.example:${lost.port}`];
    const guest = await world(places);
    const [first, second] = [await openTunnel(guest, places[0] ?? ''), await openTunnel(guest, places[1] ?? '')];
    const ended = readAll(second.socket);

    guest.gateway.enter('agent', places.slice(0, 1));
    await ended;
    first.socket.write('still here');

    await expect.poll(() => kept.seen[0]?.toString()).toBe('still here');
    expect((await openTunnel(guest, places[1] ?? '')).head).toContain('not on the list of this phase (agent)');
    expect(guest.gateway.ledger).toMatchObject([
      { phase: 'setup', decision: 'allowed' },
      { phase: 'setup', decision: 'allowed', rule: expect.stringMatching(/^allow .*; closed by phase agent$/) },
      { phase: 'agent', decision: 'refused', rule: 'not on the list' },
    ]);
    first.socket.destroy();
  });

  it('works over any duplex stream, also one that never says that it is closed', async () => {
    const { port, seen } = await serveTcp((socket) => socket.write('hello'));
    const { gateway } = await world([`${name}:${port}`]);
    const [near, far] = duplexPair();
    far.destroy = () => far.end();
    gateway.accept(far);
    near.write(`CONNECT ${name}:${port} HTTP/1.1\r\nHost: x\r\n\r\nSSH-2.0-guest`);

    let got = '';
    near.on('data', (chunk: Buffer) => (got += chunk.toString()));

    await expect.poll(() => got).toMatch(/^HTTP\/1\.1 200 [^]*hello$/);
    await expect.poll(() => seen[0]?.toString()).toBe('SSH-2.0-guest');
    await gateway.close();
  });

  it('survives a guest that breaks its connection at any moment', async () => {
    const { port } = await serveTcp((socket) => socket.write(Buffer.alloc(100_000)));
    const guest = await world([`${name}:${port}`], { limits: { connections: 200 } });

    for (let at = 0; at < 60; at += 1) {
      const [near, far] = duplexPair();
      guest.gateway.accept(far);
      near.on('error', () => {}).write(`CONNECT ${name}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`.slice(0, at));
      far.destroy(new Error('broken'));
    }
    for (let at = 0; at < 20; at += 1) (await openTunnel(guest, `${name}:${port}`)).socket.resetAndDestroy();

    expect((await openTunnel(guest, 'example.org:443')).head).toContain('403');
  });
});

describe('the TLS name inside a tunnel', () => {
  const hello = (...names: readonly string[]): Buffer => record(helloMessage(names.length > 0 ? [nameExtension(...names)] : []));

  it.each([
    ['another host', hello('evil.example'), 'another TLS server name'],
    ['no host', hello(), 'no TLS server name'],
    ['two hosts', hello(name, 'evil.example'), 'not TLS'],
    ['an address', hello('127.0.0.1'), 'another TLS server name'],
    ['a name with a NUL', hello(`${name}\u0000.evil.example`), 'another TLS server name'],
    ['no TLS at all', Buffer.from('GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n'), 'not TLS'],
    ['half a hello', hello(name).subarray(0, 30), 'unfinished TLS hello'],
  ])('is refused on port 443 with %s, and nothing of it is passed on', async (_what, bytes, rule) => {
    const target = await servePort443();
    const guest = await world([name], target.options);
    const { socket } = await openTunnel(guest, `${name}:443`);

    socket.end(bytes);

    expect(Buffer.from(await readAll(socket), 'latin1')).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, 49]));
    expect(target.seen).toEqual([]);
    expect(guest.gateway.ledger).toMatchObject([{ host: name, decision: 'refused', rule, bytesOut: 0 }]);
  });

  it('is passed on port 443 when it is the host of the request, however it is cut up', async () => {
    const target = await servePort443();
    const guest = await world([name], target.options);
    const { socket } = await openTunnel(guest, `${name}:443`);
    socket.setNoDelay(true);

    for (const byte of hello(name)) await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));

    await expect.poll(() => Buffer.concat(target.seen)).toEqual(hello(name));
    socket.destroy();
  });

  it('must come in time on port 443', async () => {
    const target = await servePort443();
    stopClock();
    const guest = await world([name], { ...target.options, limits: { headerTimeoutMs: 60_000 } });
    const [silent, stalled] = [await openTunnel(guest, `${name}:443`), await openTunnel(guest, `${name}:443`)];

    stalled.socket.write(hello(name).subarray(0, 30));
    // A full turn through the same gateway, which has those bytes by then.
    await guest.ask(get('example.org'));
    vi.advanceTimersByTime(60_000);

    expect([await readAll(silent.socket), await readAll(stalled.socket)]).toEqual(['', '']);
    expect(target.seen).toEqual([]);
    const lines = guest.gateway.ledger.filter(({ host }) => host === name).map(({ decision, rule }) => [decision, rule]);
    expect(lines).toEqual(Array.from({ length: 2 }, () => ['refused', 'no TLS hello in time']));
  });

  it('is refused on a port of its own too when it names another host', async () => {
    const { port, seen } = await serveTcp();
    const guest = await world([`${name}:${port}`]);
    const { socket } = await openTunnel(guest, `${name}:${port}`);

    socket.end(hello('evil.example'));
    await readAll(socket);

    expect(seen).toEqual([Buffer.alloc(0)]);
    expect(guest.gateway.ledger).toMatchObject([{ decision: 'refused', rule: 'another TLS server name' }]);
  });

  it('ends a real TLS client with an alert that it understands', async () => {
    const server = createTlsServer(issued);
    const place = `${name}:${await listen(server)}`;
    const guest = await world([place]);
    const { socket } = await openTunnel(guest, place);

    await expect(handshake(socket, 'evil.example')).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED' });
  });
});
