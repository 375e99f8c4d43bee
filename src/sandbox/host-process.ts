/** The process of a VM on the host: in its control groups before its first instruction, tied to our life, spoken to over inherited sockets. */
import { spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { createTail } from './clip.ts';

const keptOutputBytes = 64 * 1024;

export interface HostProcessOptions {
  readonly argv: readonly string[];
  readonly cgroups: readonly string[];
  /** How many sockets it inherits, as descriptors from 3 on. */
  readonly sockets: number;
  /** Those of them that only tell: what comes is kept with stdout and stderr. */
  readonly consoles?: readonly number[];
  /** Open files that it inherits as well, as the descriptors after the sockets. */
  readonly files?: readonly number[];
}

export interface HostProcess {
  /** Our end of an inherited socket. */
  readonly socket: (descriptor: number) => Duplex;
  /** The end of what it said. Hostile text. */
  readonly output: () => string;
  /** Resolves when the process is gone and reaped; never rejects. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly kill: () => void;
}

/**
 * Joins the control groups, then becomes the command. Takes everything as positional arguments; nothing is ever put
 * into this text. A guest that fills its memory makes its own VM the first to go, and that leaves no core file.
 */
const launcher = `
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 97; shift; done
shift
ulimit -c 0
echo 900 > /proc/self/oom_score_adj
exec "$@"`;

export function startHostProcess({ argv, cgroups, sockets, consoles = [], files = [] }: HostProcessOptions): HostProcess {
  const child = spawn('/bin/sh', ['-c', launcher, 'mayfly-launcher', ...cgroups, '--', ...argv], {
    cwd: '/',
    // The worker's environment has the keys of the App and the model in it.
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe', ...Array.from({ length: sockets }, () => 'pipe' as const), ...files],
  });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  const socket = (descriptor: number): Duplex => {
    const stream = child.stdio[descriptor] as unknown as Duplex;
    stream.on('error', () => {}); // what matters is that it closes
    return stream;
  };
  const output = keepTail([1, 2, ...consoles].map(socket));
  return { socket, output, exited, kill: () => void child.kill('SIGKILL') };
}

/** Reads everything, so that nobody blocks, and keeps the end. */
function keepTail(streams: readonly Readable[]): () => string {
  const tail = createTail(keptOutputBytes);
  for (const stream of streams) stream.on('data', (chunk: Buffer) => tail.write(chunk));
  return () => tail.read().toString('latin1');
}
