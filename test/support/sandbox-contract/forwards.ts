/** Contract: a connection to a forwarded port in the guest is a stream on the host. */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { run } from './subject.ts';
import type { Subject } from './subject.ts';

/** Sends its input, ends its side, then says how much came back and its digest. */
const client = `
const socket = require('node:net').connect({ port: Number(process.argv[1]), host: '127.0.0.1', allowHalfOpen: true });
const hash = require('node:crypto').createHash('sha256');
let total = 0;
socket.on('data', (chunk) => { total += chunk.length; hash.update(chunk); });
socket.on('end', () => console.log(total, hash.digest('hex')));
socket.on('error', (error) => console.log(error.code));
process.stdin.pipe(socket);
`;

export function testForwards(subject: () => Subject): void {
  test('10 MB go both ways at once, and each side ends alone', async () => {
    const { sandbox } = subject();
    const port = newPort();
    const [up, down] = [randomBytes(10_000_000), randomBytes(10_000_000)];
    const received = Promise.withResolvers<Buffer>();
    await sandbox.forward(port, (stream) => {
      const chunks: Buffer[] = [];
      stream.write(down);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      // The guest has ended its side, and ours is still open.
      stream.on('end', () => stream.end('after'));
      stream.on('end', () => received.resolve(Buffer.concat(chunks)));
    });

    const { stdout } = await run(sandbox, ['node', '-e', client, String(port)], { stdin: up });

    expect((await received.promise).equals(up)).toBe(true);
    expect(stdout.trim()).toBe(`10000005 ${createHash('sha256').update(down).update('after').digest('hex')}`);
  });

  test('several ports and several connections each reach their own', async () => {
    const { sandbox } = subject();
    const ports = [newPort(), newPort()];
    for (const port of ports) await sandbox.forward(port, (stream) => void stream.resume().end(`port ${port}`));

    const answers = await Promise.all([...ports, ...ports].map((port) => run(sandbox, ['bash', '-c', `cat < /dev/tcp/127.0.0.1/${port}`])));

    expect(answers.map((answer) => answer.stdout)).toEqual([...ports, ...ports].map((port) => `port ${port}`));
  });

  test('a connection that either side breaks harms nothing', async () => {
    const { sandbox } = subject();
    const port = newPort();
    const streams: Duplex[] = [];
    await sandbox.forward(port, (stream) => {
      streams.push(stream);
      if (streams.length === 1) stream.destroy(new Error('host broke it'));
      else if (streams.length === 2) throw new Error('host did not take it');
      else stream.write(Buffer.alloc(10_000_000));
    });

    for (let each = 0; each < 3; each += 1) await sandbox.exec(['bash', '-c', `exec 3<>/dev/tcp/127.0.0.1/${port}; head -c 1 <&3 > /dev/null`]);

    const last = streams[2];
    if (last && !last.destroyed) {
      last.resume();
      // An error is one of the ways in which it may end.
      if (!last.closed) await Promise.race([once(last, 'close'), once(last, 'end')]).catch(() => {});
    }
    expect(await sandbox.exec(['true'])).toMatchObject({ exitCode: 0 });
  });
}

/** Below those that Linux gives to connections by itself (32,768 on), of which a busy host has thousands. */
export function newPort(): number {
  return randomInt(20_000, 32_000);
}
