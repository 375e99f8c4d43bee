/**
 * Host-wide locks as names of abstract Unix sockets: exclusive, nothing on disk, and the kernel gives them back when
 * the process ends, however it ends.
 */
import { createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { FixError } from '../errors.ts';

export interface Lock {
  release(): Promise<void>;
}

/** The lock, or null when another process (or this one) holds it. */
export function tryLock(name: string): Promise<Lock | null> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(`\0mayfly/${name}`, () => {
      server.unref();
      resolve({ release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

/** Waits for the lock; `onWait` is called once when it is not free at first. Throws `cancelled`. */
export async function waitForLock(name: string, options: { signal: AbortSignal; onWait?: () => void }): Promise<Lock> {
  const first = await tryLock(name);
  if (first) return first;
  options.onWait?.();
  for (;;) {
    await setTimeout(250, undefined, { signal: options.signal }).catch(() => {
      throw new FixError('cancelled');
    });
    const lock = await tryLock(name);
    if (lock) return lock;
  }
}
