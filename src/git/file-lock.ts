/**
 * Exclusive locks between the processes of a host, on a file, by flock(1) of util-linux. The kernel gives the lock back
 * when the holder ends, and the holder ends when its standard input closes: also after a `kill -9` of this process.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { FixError } from '../errors.ts';
import { cancelled } from './git-process.ts';

const hold = 'echo; exec cat';

/** Waits for the lock until the signal; disposing it gives it back. */
export async function acquireFileLock(file: string, signal: AbortSignal): Promise<AsyncDisposable> {
  if (signal.aborted) throw cancelled(signal);
  const holder = spawn('flock', ['--no-fork', file, 'sh', '-c', hold], { stdio: ['pipe', 'pipe', 'ignore'], cwd: '/', detached: true });
  const ended = new Promise<void>((resolve) => {
    holder.once('close', () => resolve());
    holder.once('error', () => resolve());
  });
  holder.stdin.on('error', () => undefined);
  const release = async (): Promise<void> => {
    holder.kill('SIGKILL');
    await ended;
  };
  try {
    await Promise.race([
      once(holder.stdout, 'data', { signal }),
      ended.then(() => Promise.reject(new FixError('host_incomplete', { details: { missing: 'flock' } }))),
    ]);
  } catch (error) {
    await release();
    throw signal.aborted ? cancelled(signal) : error;
  }
  return { [Symbol.asyncDispose]: release };
}
