/**
 * One command in the guest, as a value. The supervisor there (guest-run.c) sees to it that nothing of the command is
 * left when it ends; this side feeds it, keeps what it says within bounds, and ends it early when it must.
 */
import { finished, Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import type { ClientChannel } from 'ssh2';
import { createClip } from './clip.ts';
import type { Clip } from './clip.ts';
import type { Connection } from './connection.ts';
import { createEnder } from './ender.ts';
import type { Ender } from './ender.ts';
import { feed } from './feed.ts';
import { encodePreamble } from './preamble.ts';
import type { ExecOptions, ExecResult, GuestUser } from './sandbox.ts';
import { createSpare } from './spare.ts';
import type { Spare } from './spare.ts';
import { createSlots } from './slots.ts';

/** What the template calls things. Tests on another system have other names. */
export interface GuestLayout {
  /** The account that the host logs in to; it is root. */
  readonly login: string;
  /** What that account's login shell needs in front of the supervisor's own words: nothing where it is the supervisor. */
  readonly supervise: string;
  /** Account names; no character that a shell minds. */
  readonly users: Readonly<Record<GuestUser, string>>;
  readonly workspace: string;
}

export const templateLayout: GuestLayout = {
  login: 'mayfly',
  supervise: '',
  users: { agent: 'agent', root: 'root' },
  workspace: '/workspace',
};

export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** sshd in the guest allows 100 sessions; some stay free to end commands. */
const maxCommands = 92;
const defaultOutputBytes = 64 * 1024;
/**
 * How long a guest may take to end a command; after that it is not ours any more, and is thrown away. This is what a
 * person waits for beyond a limit. An emulated guest ends a storm of 1,024 processes in 1.1 s, and one of root without
 * bound in 8 s; gVisor needs 4 to 6 s on a busy host (four times more work than processors), and 20 s for one that still
 * grows. What does not make it is a machine that is lost, and the run begins anew.
 */
const endingMs = 5_000;

type Ending = ExecResult['ended'];

export function createExec(connection: Connection, layout: GuestLayout): Exec {
  const slots = createSlots(maxCommands);
  const ender = createEnder(connection, `${layout.supervise}--ender`);
  const spare = createSpare(connection, layout.supervise);
  const attempt = async (argv: readonly string[], options: ExecOptions): Promise<ExecResult> => {
    connection.lost.throwIfAborted();
    const preamble = encodePreamble({ argv, cwd: options.cwd ?? layout.workspace, env: options.env ?? {} });
    if (!Buffer.isBuffer(preamble)) return notRun({ exitCode: 126, stderr: `mayfly: ${preamble.problem}\n`, ended: 'exited' });
    const release = await connection.orLost(slots.take(options.signal));
    if (!release) return notRun({ exitCode: null, stderr: '', ended: 'cancelled' });
    try {
      return await runCommand({ connection, layout, ender, spare }, preamble, options);
    } finally {
      release();
    }
  };
  return async (argv, options = {}) => {
    try {
      return await attempt(argv, options);
    } finally {
      // Whoever waits for a stream of a command that is over waits for nothing.
      if (!options.stdout?.writableFinished) options.stdout?.destroy();
      if (options.stdin instanceof Readable) options.stdin.destroy();
    }
  };
}

function notRun(result: Pick<ExecResult, 'exitCode' | 'stderr' | 'ended'>): ExecResult {
  return { signal: null, stdout: '', durationMs: 0, clippedBytes: 0, ...result };
}

interface Guest {
  readonly connection: Connection;
  readonly layout: GuestLayout;
  readonly ender: Ender;
  readonly spare: Spare;
}

async function runCommand({ connection, layout, ender, spare }: Guest, preamble: Buffer, options: ExecOptions): Promise<ExecResult> {
  const startedAt = performance.now();
  const user = layout.users[options.user ?? 'agent'];
  const early = watchEarlyEnding(options, () => connection.lose('the guest does not end a command'));
  try {
    const { id, channel, exit } = await spare.take();
    const output = collect(channel, options, early.end);
    const fed = feed(channel, [`${user} ${preamble.length}${options.sudo === true ? ' sudo' : ''}\n`, preamble], options.stdin).catch(() =>
      early.end('cancelled'),
    );
    let ended = await connection.orLost(Promise.race([early.ended, exit.then((): Ending => 'exited')]));
    // A session whose output nobody takes does not close.
    if (ended !== 'exited') options.stdout?.destroy();
    // After a signal too: root in the guest may have killed the supervisor itself.
    if (ended !== 'exited' || (await exit).signal) {
      early.hurry();
      await ender.end(id, exit);
    }
    if (ended === 'exited') ended = await connection.orLost(Promise.race([early.ended, output.flush().then((): Ending => 'exited')]));
    await Promise.race([fed, exit]);
    ender.prepare();
    spare.prepare();
    return { ...(await exit), ...output.read(), ended, durationMs: Math.round(performance.now() - startedAt) };
  } finally {
    early.stop();
  }
}

interface EarlyEnding {
  readonly ended: Promise<Ending>;
  readonly end: (cause: Ending) => void;
  /** Starts the guest's time for ending the command, as `end` does. */
  readonly hurry: () => void;
  readonly stop: () => void;
}

/**
 * Time, cancel, a failing sink or source: the first cause wins. From then on the guest has little time, whatever it is
 * that we wait for: one that hangs does not even grant the session.
 */
function watchEarlyEnding(options: ExecOptions, onOverdue: () => void): EarlyEnding {
  const { promise: ended, resolve } = Promise.withResolvers<Ending>();
  let clock: NodeJS.Timeout | undefined;
  const hurry = (): void => {
    clock ??= setTimeout(onOverdue, endingMs);
  };
  const end = (cause: Ending): void => {
    hurry();
    resolve(cause);
  };
  const cancel = (): void => end('cancelled');
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => end('timeout'), options.timeoutMs);
  options.signal?.addEventListener('abort', cancel, { once: true });
  if (options.signal?.aborted) cancel();
  return {
    ended,
    end,
    hurry,
    stop() {
      clearTimeout(timer);
      clearTimeout(clock);
      options.signal?.removeEventListener('abort', cancel);
    },
  };
}

interface Output {
  /** Settles when the sink has taken everything. */
  flush(): Promise<void>;
  read(): Pick<ExecResult, 'stdout' | 'stderr' | 'clippedBytes'>;
}

function collect(channel: ClientChannel, options: ExecOptions, end: (cause: Ending) => void): Output {
  const stdout = createClip(options.maxOutputBytes ?? defaultOutputBytes);
  const stderr = createClip(options.maxOutputBytes ?? defaultOutputBytes);
  channel.stderr.on('data', (chunk: Buffer) => stderr.write(chunk));
  const flush = options.stdout ? pour(channel, options.stdout, () => end('output_sink')) : collectClip(channel, stdout);
  return {
    flush,
    read() {
      const [out, error] = [stdout.read(), stderr.read()];
      return { stdout: out.text, stderr: error.text, clippedBytes: out.clippedBytes + error.clippedBytes };
    },
  };
}

function collectClip(channel: ClientChannel, clip: Clip): () => Promise<void> {
  channel.on('data', (chunk: Buffer) => clip.write(chunk));
  return () => Promise.resolve();
}

/** Into a sink as fast as it takes it. Once it fails, what still comes is dropped, so that the session can end. */
function pour(channel: ClientChannel, sink: Writable, onFailed: () => void): () => Promise<void> {
  const { promise: flushed, resolve } = Promise.withResolvers<void>();
  let failed = false;
  const fail = (): void => {
    failed = true;
    onFailed();
    channel.resume();
  };
  finished(sink, { readable: false }, (error) => (error ? fail() : resolve()));
  sink.on('drain', () => channel.resume());
  channel.on('data', (chunk: Buffer) => {
    try {
      if (!failed && !sink.write(chunk)) channel.pause();
    } catch {
      fail();
    }
  });
  return () => {
    sink.end();
    return flushed;
  };
}
