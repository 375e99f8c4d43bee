/** Stands between a process and Redis, sees each command go by, and can hold one back: for killing at an exact moment. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface RedisTap {
  readonly url: string;
  /** Lets go what is held, and everything that comes later. */
  release(): void;
  close(): Promise<void>;
}

export type Verdict = 'pass' | 'hold' | 'pass_but_hold_the_reply';

/** `judge` sees what a client sends, as Latin-1 text. Whatever comes after something held is held too. */
export async function tapRedis(redisUrl: string, judge: (sent: string) => Verdict): Promise<RedisTap> {
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-tap-'));
  const url = join(directory, 'tap.sock');
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  let released = false;
  const server = createServer((client) => {
    const upstream = connect(redisUrl);
    let deaf = false;
    let mute = false;
    client.on('data', (chunk) => {
      const verdict = released ? 'pass' : deaf ? 'hold' : judge(chunk.toString('latin1'));
      mute ||= verdict === 'pass_but_hold_the_reply';
      deaf ||= verdict !== 'pass';
      if (verdict === 'hold') held.push(() => upstream.write(chunk));
      else upstream.write(chunk);
    });
    upstream.on('data', (chunk) => mute || client.write(chunk));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => other.destroy());
    }
  });
  server.listen(url);
  await once(server, 'listening');
  return {
    url,
    release() {
      released = true;
      for (const write of held.splice(0)) write();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
      await rm(directory, { recursive: true, force: true });
    },
  };
}
