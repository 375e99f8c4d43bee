/**
 * A real Redis of its own for a test file or the demo: on a Unix socket in a directory of its own, so that no two ever
 * share a port or a key. It writes every command to a file, so that it can be killed and started again with its data. The
 * file is in memory, for it need not outlive the host, and a wait for a busy disk looks like a worker that is gone.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { endsWithUs } from './ends-with-us.ts';

export interface RedisServer {
  /** For REDIS_URL: the path of its socket. */
  readonly url: string;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
  /** SIGKILL; the data stays. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, with its data. */
  restart(): Promise<void>;
  /** Stops it from answering, as a hung host would; connections stay open. */
  freeze(): void;
  thaw(): void;
}

const startMs = 10_000;
const memory = '/dev/shm';

/** Says once why tests that need Redis are skipped. */
export function redisIsMissing(): boolean {
  const missing = spawnSync('redis-server', ['--version']).status !== 0;
  if (missing) console.warn('SKIPPED: redis-server is not installed; run `npx mayfly setup`.');
  return missing;
}

/** `settings` go over those that Mayfly asks for. */
export async function startRedis(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
  const directory = await mkdtemp(join(existsSync(memory) ? memory : tmpdir(), 'mayfly-redis-'));
  const url = join(directory, 'redis.sock');
  let server = await launch(directory, url, settings);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, 'exit');
    server.kill('SIGCONT');
    server.kill(signal);
    await exited;
  };
  return {
    url,
    kill: () => end('SIGKILL'),
    async restart() {
      server = await launch(directory, url, settings);
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async stop() {
      await end('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function launch(directory: string, socket: string, changes: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir: directory,
    save: '',
    appendonly: 'yes',
    appendfsync: 'no',
    'maxmemory-policy': 'noeviction',
    ...changes,
  };
  const server = spawn(
    ...endsWithUs(
      'redis-server',
      Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ),
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const failed = once(server, 'exit').then(() => Promise.reject(new Error('redis-server ended at its start')));
  await Promise.race([answering(socket), failed, once(server, 'error').then(([error]) => Promise.reject(error as Error))]);
  failed.catch(() => {});
  return server;
}

/** Asks until it answers; the socket file is there a little before that. */
async function answering(socket: string): Promise<void> {
  const until = Date.now() + startMs;
  while (!(await answersPing(socket))) {
    if (Date.now() > until) throw new Error('redis-server does not answer');
    await pause(20);
  }
}

function answersPing(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const client = connect(socket);
    client.once('error', () => resolve(false));
    client.once('data', (data) => {
      client.destroy();
      resolve(data.toString().startsWith('+PONG'));
    });
    client.write('PING\r\n');
  });
}
