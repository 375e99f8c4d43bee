/**
 * Locks between the processes of a host, also of those in containers that share a folder: flock(2) on files. It belongs
 * to the open file, which flock(1) shares with us for a moment, so the kernel gives it back when that is closed: by us, or
 * by our end, however that comes.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
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
  // What lies beside the folder of locks is passed through by the users of VMs.
  await mkdir(dirname(dirname(file)), { recursive: true, mode: 0o755 });
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  for (;;) {
    const descriptor = openSync(file, 'a', 0o600);
    if (!(await flock(descriptor, []))) return null;
    if (await isStillThere(file, descriptor)) return { release: () => rm(file, { force: true }).finally(() => closeSync(descriptor)) };
    // Whoever had it has taken the file away in between.
    closeSync(descriptor);
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
  const descriptor = openOrNull(file);
  if (descriptor === null || !(await flock(descriptor, shared ? ['--shared'] : []))) return null;
  if (await isStillThere(file, descriptor)) return { release: () => Promise.resolve(closeSync(descriptor)) };
  closeSync(descriptor);
  return null;
}

/** The lock of a file that we make, and that stays. Throws when it is there already. */
export async function lockNewFile(file: string): Promise<Lock> {
  const descriptor = openSync(file, 'wx', 0o600);
  if (!(await flock(descriptor, []))) throw new FixError('internal', { details: { reason: 'a new file is locked by another process' } });
  return { release: () => Promise.resolve(closeSync(descriptor)) };
}

function openOrNull(file: string): number | null {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Closes the file when it is somebody else's. A number, for Node ends a process that loses a FileHandle, and a lock may be held to its end. */
async function flock(descriptor: number, how: readonly string[]): Promise<boolean> {
  const asked = await execa('flock', ['--nonblock', ...how, '3'], {
    // The types know no descriptor beyond the usual three.
    stdio: ['ignore', 'ignore', 'ignore', descriptor] as unknown as ['ignore', 'ignore', 'ignore'],
    cwd: '/',
    reject: false,
  });
  if (!asked.failed) return true;
  closeSync(descriptor);
  if (asked.exitCode === heldExitCode) return false;
  const couldNotStart = asked.exitCode === undefined && asked.code !== 'ENOENT';
  if (couldNotStart) throw new FixError('sandbox_boot', { cause: asked, details: { why: 'flock could not be started' } });
  throw new FixError('host_incomplete', { cause: asked, details: { missing: 'flock, on file systems that know it' } });
}

async function isStillThere(file: string, descriptor: number): Promise<boolean> {
  const [here, there] = [fstatSync(descriptor), await stat(file).catch(() => null)];
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
