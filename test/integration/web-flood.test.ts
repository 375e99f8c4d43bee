/** The web role as a process of its own, under what strangers can send before anything is known about them. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anIssuesPayload } from '../support/payloads.ts';
import { redisIsMissing, startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis.ts';
import { startWebProcess } from '../support/start-web-process.ts';
import type { WebProcess } from '../support/start-web-process.ts';
import { deliver, openReceiver, sign } from '../support/web-role.ts';

const mib = 1024 * 1024;
let redis: RedisServer;

const startProcess = (): Promise<WebProcess> => startWebProcess(redis.url);

/** Like `once`, but an error of the socket, which a flood is bound to get, is no failure. */
const seen = (socket: Socket, event: 'close' | 'drain' | 'connect') => new Promise<void>((resolve) => socket.once(event, () => resolve()));

/** A stranger's connection; what it is answered until the connection ends. */
async function open(port: number): Promise<{ socket: Socket; answer: Promise<string> }> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('error', () => {}).on('data', (chunk: Buffer) => chunks.push(chunk));
  const answer = seen(socket, 'close').then(() => Buffer.concat(chunks).toString());
  await Promise.race([seen(socket, 'connect'), seen(socket, 'close')]);
  return { socket, answer };
}

const head = (framing: string) =>
  `POST /api/github/webhooks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\nX-GitHub-Delivery: d\r\nX-Hub-Signature-256: sha256=${'0'.repeat(64)}\r\n${framing}\r\n\r\n`;

/** Writes up to `count` chunks, as fast as they are taken; stops when the other side closed. */
async function pour(socket: Socket, chunk: Buffer, count: number): Promise<number> {
  let written = 0;
  const closed = seen(socket, 'close');
  while (written < count && !socket.destroyed) {
    written += 1;
    if (!socket.write(chunk)) await Promise.race([seen(socket, 'drain'), closed]);
  }
  return written;
}

/** What the first `count` connections to end were answered. Waits for them: an end is on its way to us after the server made it. */
async function firstAnswers(connections: readonly { readonly answer: Promise<string> }[], count: number): Promise<string[]> {
  const answers: string[] = [];
  return new Promise((resolve) => {
    for (const { answer } of connections) void answer.then((text) => answers.push(text) === count && resolve([...answers]));
  });
}

const realDelivery = async (web: WebProcess) => (await deliver(web.url, anIssuesPayload({ issue: { title: `${performance.now()}` } }))).status;

describe.skipIf(redisIsMissing())('a flood', () => {
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  test.each([
    ['that says its length', head(`Content-Length: ${400 * mib}`), Buffer.alloc(mib, 'a')],
    ['in chunks', head('Transfer-Encoding: chunked'), Buffer.concat([Buffer.from(`${mib.toString(16)}\r\n`), Buffer.alloc(mib, 'a'), Buffer.from('\r\n')])],
  ])('of 400 MiB %s is answered with 413 and takes no memory', async (_how, request, chunk) => {
    await using web = await startProcess();
    await realDelivery(web);
    const before = await web.peakBytes();
    const { socket, answer } = await open(web.port);

    socket.write(request);
    const poured = pour(socket, chunk, 400);

    expect(await answer).toMatch(/^HTTP\/1.1 413 /);
    await poured;
    expect((await web.peakBytes()) - before).toBeLessThan(200 * mib);
    expect(await realDelivery(web)).toBe(200);
  });

  test('of body as large as allowed, on many connections, takes bounded memory', async () => {
    await using web = await startProcess();
    await realDelivery(web);
    const before = await web.peakBytes();

    const floods = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const { socket, answer } = await open(web.port);
        socket.write(head(`Content-Length: ${5 * mib}`));
        // All but the end: it is kept, and the signature is never looked at.
        return { socket, answer, poured: pour(socket, Buffer.alloc(mib - 1, 'a'), 5) };
      }),
    );
    await Promise.all(floods.map(({ poured }) => poured));

    expect(await realDelivery(web)).toBe(200);
    expect((await web.peakBytes()) - before).toBeLessThan(350 * mib);
    for (const { socket } of floods) socket.destroy();
  });

  test('of 3,000 connections that say nothing, or too little, does not keep a delivery out', async () => {
    await using web = await startProcess();
    const slow = await Promise.all(Array.from({ length: 3_000 }, () => open(web.port)));
    for (const { socket } of slow.slice(0, 1_500)) socket.write('POST /api/github/webhooks HTTP/1.1\r\nX-Slow: ');

    expect(await realDelivery(web)).toBe(200);
    // On a slow machine the first of them may have run into their time limit as well: no text is asked of the answers.
    expect(await web.openSockets()).toBeLessThan(512 + 32);
    await firstAnswers(slow, 3_000 - 512);
    for (const { socket } of slow) socket.destroy();
  });

  test('of more strangers than there is room for pushes out the oldest of them, without a word', async () => {
    const hour = 3_600_000;
    await using receiver = await openReceiver({ limits: { connections: 4, headersTimeoutMs: hour, requestTimeoutMs: hour } });
    const port = Number(new URL(receiver.url).port);
    const slow: Awaited<ReturnType<typeof open>>[] = [];
    // One after the other, so that the first is the oldest.
    for (let index = 0; index < 10; index += 1) slow.push(await open(port));

    expect((await deliver(receiver.url, anIssuesPayload())).status).toBe(200);

    // Seven: the delivery took a place, too.
    expect(await Promise.all(slow.slice(0, 7).map(({ answer }) => answer))).toEqual(Array(7).fill(''));
    expect(slow.slice(7).map(({ socket }) => socket.readableEnded || socket.destroyed)).toEqual([false, false, false]);
    for (const { socket } of slow) socket.destroy();
  });

  test('of one slow sender ends by itself', async () => {
    await using web = await startProcess();
    const [headers, body] = await Promise.all([open(web.port), open(web.port)]);

    headers.socket.write('POST /api/github/webhooks HTTP/1.1\r\nX-Slow: ');
    body.socket.write(`${head('Content-Length: 100')}{`);

    expect(await headers.answer).toMatch(/^HTTP\/1.1 408 /);
    expect(await body.answer).toMatch(/^(?:HTTP\/1.1 408 |$)/);
  });

  test('of headers is cut off', async () => {
    await using web = await startProcess();
    const { socket, answer } = await open(web.port);

    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nX-Large: ${'a'.repeat(100_000)}`);

    expect(await answer).toMatch(/^HTTP\/1.1 431 /);
  });

  test('of requests on one connection keeps it in order', async () => {
    await using web = await startProcess();
    const body = JSON.stringify(anIssuesPayload());
    const request = (framing: string) => `${head(`Content-Length: ${Buffer.byteLength(body)}${framing}`).replace(/sha256=0+/, sign(body))}${body}`;
    const { socket, answer } = await open(web.port);

    socket.write(`${request('').repeat(19)}${request('\r\nConnection: close')}`);

    expect((await answer).match(/^HTTP\/1.1 200 /gm)).toHaveLength(20);
  });
});
