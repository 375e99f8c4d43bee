/**
 * Locks between the processes of a host, also of those in containers that share a folder: flock(2) on files. It belongs
 * to the open file, which flock(1) shares with us for a moment, so the kernel gives it back when that is closed: by us, or
 * by our end, however that comes.
 */
import { createServer } from 'node:net';
import { mkdir, open, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { FixError } from '../errors.ts';

export interface Lock {
  release(): Promise<void>;
}

/** What flock(1) says when somebody else has it. */
const heldExitCode = 1;

/** The lock of a file that is made for it and goes with it; null when another holder has it, in this process or any. */
export async function tryLock(file: string): Promise<Lock | null> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  for (;;) {
    const handle = await open(file, 'a', 0o600);
    if (!(await flock(handle, []))) return null;
    if (await isStillThere(file, handle)) return { release: () => rm(file, { force: true }).finally(() => handle.close()) };
    // Whoever had it has taken the file away in between.
    await handle.close();
  }
}

/** Waits for the lock; `onWait` is called once when it is not free at first. Throws `cancelled`. */
export async function waitForLock(file: string, options: { signal: AbortSignal; onWait?: () => void }): Promise<Lock> {
  const first = await tryLock(file);
  if (first) return first;
  options.onWait?.();
  for (;;) {
    await setTimeout(250, undefined, { signal: options.signal }).catch(() => {
      throw new FixError('cancelled');
    });
    const lock = await tryLock(file);
    if (lock) return lock;
  }
}

/**
 * The lock of a file that is there for another reason, and stays: of one holder, or shared by many. Null when it cannot be
 * had, or the file is gone.
 */
export async function lockFile(file: string, { shared = false }: { readonly shared?: boolean } = {}): Promise<Lock | null> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!handle || !(await flock(handle, shared ? ['--shared'] : []))) return null;
  if (await isStillThere(file, handle)) return { release: () => handle.close() };
  await handle.close();
  return null;
}

/** Closes the file when it is somebody else's. */
export async function flock(handle: FileHandle, how: readonly string[]): Promise<boolean> {
  const asked = await execa('flock', ['--nonblock', ...how, '3'], {
    // The types know no descriptor beyond the usual three.
    stdio: ['ignore', 'ignore', 'ignore', handle.fd] as unknown as ['ignore', 'ignore', 'ignore'],
    cwd: '/',
    reject: false,
  });
  if (!asked.failed) return true;
  await handle.close();
  if (asked.exitCode === heldExitCode) return false;
  throw new FixError('host_incomplete', { cause: asked, details: { missing: 'flock, on file systems that know it' } });
}

async function isStillThere(file: string, handle: FileHandle): Promise<boolean> {
  const [here, there] = await Promise.all([handle.stat(), stat(file).catch(() => null)]);
  return there !== null && there.ino === here.ino && there.dev === here.dev;
}

/** A name in this host's - or this container's - network namespace: as good between processes that share one, and quicker. */
export function tryName(name: string): Promise<Lock | null> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(`\0mayfly/${name}`, () => {
      server.unref();
      resolve({ release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}
