/** Starts the web role as a process of its own on the Redis that is given. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, readlink } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { endsWithUs } from './ends-with-us.ts';

const program = new URL('web-process.ts', import.meta.url).pathname;

export interface WebProcess extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** The most memory that it has had. */
  peakBytes(): Promise<number>;
  /** Connections that it holds now, with those to Redis and the one it listens on. */
  openSockets(): Promise<number>;
}

export async function startWebProcess(redisUrl: string): Promise<WebProcess> {
  const child = spawn(...endsWithUs(process.execPath, [program, redisUrl]), { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the web role ended with ${code}`)));
  const [url] = (await Promise.race([once(createInterface(child.stdout), 'line'), exited])) as [string];
  exited.catch(() => {});
  return {
    url,
    port: Number(new URL(url).port),
    async peakBytes() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
    },
    async openSockets() {
      const files = `/proc/${child.pid}/fd`;
      // A file that is closed between the two looks is no connection any more.
      const targets = await Promise.all((await readdir(files)).map((name) => readlink(`${files}/${name}`).catch(() => '')));
      return targets.filter((target) => target.startsWith('socket:')).length;
    },
    async [Symbol.asyncDispose]() {
      // Ctrl-C in a terminal reaches it before us.
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
