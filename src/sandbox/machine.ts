/** One QEMU process: started in its control group as its own user, tied to our life, spoken to over inherited sockets. */
import { spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { inherited } from './qemu-arguments.ts';

export const qemuProgram = 'qemu-system-x86_64';
const keptOutputBytes = 64 * 1024;

export interface MachineOptions {
  readonly argv: readonly string[];
  /** The user it becomes; null keeps ours. */
  readonly uid: number | null;
  /** Group that may open /dev/kvm, when that is needed. */
  readonly gid: number | null;
  readonly cgroups: readonly string[];
}

export interface Machine {
  readonly monitor: Duplex;
  /** The guest's virtio-serial port. */
  readonly channel: Duplex;
  /** Device state goes out here when a template is saved, and in when it is restored. */
  readonly state: Duplex;
  /** The end of what guest console and QEMU said. Hostile text. */
  readonly output: () => string;
  /** Resolves when the process is gone and reaped; never rejects. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly kill: () => void;
}

/**
 * Joins the control groups, then becomes the command: the process is limited before QEMU's first instruction.
 * Takes everything as positional arguments; nothing is ever put into this text. A guest that fills its memory makes
 * its own QEMU the first to go, and QEMU leaves no core file.
 */
const launcher = `
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 97; shift; done
shift
ulimit -c 0
echo 900 > /proc/self/oom_score_adj
exec "$@"`;

export function startMachine(options: MachineOptions): Machine {
  const argv = ['-c', launcher, 'mayfly-launcher', ...options.cgroups, '--', 'setpriv', ...privileges(options), qemuProgram, ...options.argv];
  const child = spawn('/bin/sh', argv, {
    cwd: '/',
    // The worker's environment has the keys of the App and the model in it.
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  const stream = (descriptor: number): Duplex => {
    const socket = child.stdio[descriptor] as unknown as Duplex;
    socket.on('error', () => {}); // what matters is that it closes
    return socket;
  };
  const output = keepTail([stream(1), stream(2), stream(inherited.console)]);
  return {
    monitor: stream(inherited.monitor),
    channel: stream(inherited.channel),
    state: stream(inherited.state),
    output,
    exited,
    kill: () => void child.kill('SIGKILL'),
  };
}

function privileges(options: MachineOptions): string[] {
  const always = ['--no-new-privs', '--pdeathsig=KILL'];
  if (options.uid === null) return always;
  const groups = options.gid === null ? ['--clear-groups'] : [`--groups=${options.gid}`];
  return [...always, `--reuid=${options.uid}`, `--regid=${options.uid}`, ...groups, '--inh-caps=-all', '--bounding-set=-all'];
}

/** Reads everything, so that nobody blocks, and keeps the end. */
function keepTail(streams: readonly Readable[]): () => string {
  let tail = Buffer.alloc(0);
  for (const stream of streams) {
    stream
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        tail = Buffer.concat([tail, chunk]);
        if (tail.length > 2 * keptOutputBytes) tail = Buffer.from(tail.subarray(-keptOutputBytes));
      });
  }
  return () => tail.subarray(-keptOutputBytes).toString('latin1');
}
