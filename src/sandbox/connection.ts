/**
 * One SSH connection to a guest over a provider's byte stream: sessions, reverse forwards, and one way to be lost.
 * The guest is assumed hostile, its sshd too: ssh2 enforces no window on what it receives, so what is buffered is bounded here.
 */
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import ssh2 from 'ssh2';
import type { Client, ClientChannel, ConnectConfig } from 'ssh2';
import { asFixError, FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createTunnel } from './tunnel.ts';

export interface ConnectOptions {
  /** Open already; the connection owns it from here on. */
  readonly stream: Duplex;
  readonly login: string;
  /** OpenSSH or PEM. */
  readonly privateKey: string;
  /** The public key blob that the guest must have; any other is refused. */
  readonly hostKey: Buffer;
  /** For connecting only; what is open is ended by `lose`. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What SSH says at the end of a session. */
export interface Exit {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export interface Session {
  readonly channel: ClientChannel;
  /** Settles when the session has closed, which it does once all of its output was read. */
  readonly exit: Promise<Exit>;
}

export interface Connection {
  /** Aborts with a FixError `sandbox_lost` when the connection is gone, whoever ended it. */
  readonly lost: AbortSignal;
  /** Runs a command line in a session of its own. The line must hold nothing from outside: a shell reads it. */
  open(commandLine: string): Promise<Session>;
  forward(port: number, accept: (stream: Duplex) => void): Promise<void>;
  /** The promise, or `sandbox_lost` when the connection goes first. */
  orLost<T>(promise: Promise<T>): Promise<T>;
  /** Ends the connection; every pending call fails with `sandbox_lost`. Idempotent. */
  readonly lose: (why: string, cause?: unknown) => void;
}

/** A guest that answers none of these is dead. A provider's stream mostly tells sooner. */
const keepalive = { keepaliveInterval: 15_000, keepaliveCountMax: 4 };
/**
 * How long a refused session is asked for again, less and less often. sshd counts sessions that ended a moment ago, and of
 * a busy one a hundred that ask at once are most of its work; a guest full of processes cannot fork. What was refused has
 * not run, and the limit of a command goes on meanwhile.
 */
const refusalMs = 30_000;
const firstPauseMs = 50;
const longestPauseMs = 1000;
/** ssh2 opens 2 MiB per channel and may have opened it twice; a hundred channels may each have 2 MiB to send. */
const maxReceivedBytes = 8 * 1024 * 1024;
const maxUnsentBytes = 256 * 1024 * 1024;

export async function connect(options: ConnectOptions): Promise<Connection> {
  const client = new ssh2.Client();
  const controller = new AbortController();
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const lose = (why: string, cause?: unknown): void => {
    if (controller.signal.aborted) return;
    controller.abort(new FixError('sandbox_lost', { cause, details: { why } }));
    client.destroy();
    options.stream.destroy();
  };
  client.on('ready', resolve).on('error', (error) => lose('connection failed', error));
  client.on('close', () => lose('connection closed'));
  // ssh2 takes its own error listener for enough; after its end the stream must still not throw.
  options.stream.on('error', (error) => lose('stream failed', error)).on('close', () => lose('stream closed'));
  const cancel = (): void => lose('cancelled');
  controller.signal.addEventListener('abort', () => reject(asFixError(controller.signal.reason)), { once: true });
  options.signal.addEventListener('abort', cancel, { once: true });
  try {
    if (options.signal.aborted) cancel();
    else start(client, options, lose);
    await ready;
  } catch (thrown) {
    throw options.signal.aborted ? new FixError('cancelled') : asFixError(thrown, 'sandbox_lost');
  } finally {
    options.signal.removeEventListener('abort', cancel);
  }
  return converse(client, options, { lost: controller.signal, lose });
}

function start(client: Client, options: ConnectOptions, lose: Connection['lose']): void {
  try {
    client.connect(configure(options));
  } catch (thrown) {
    lose('the key cannot be read', thrown);
  }
}

function configure(options: ConnectOptions): ConnectConfig {
  return {
    sock: options.stream,
    username: options.login,
    privateKey: options.privateKey,
    authHandler: ['publickey'],
    hostVerifier: (key: Buffer) => key.equals(options.hostKey),
    readyTimeout: 60_000,
    ...keepalive,
    algorithms: {
      kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org'],
      cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com'],
      serverHostKey: ['ssh-ed25519'],
      compress: ['none'],
    },
  };
}

function converse(client: Client, options: ConnectOptions, state: Pick<Connection, 'lost' | 'lose'>): Connection {
  const { lost, lose } = state;
  const channels = new Set<ClientChannel>();
  const accepts = new Map<number, (stream: Duplex) => void>();
  const orLost = <T>(promise: Promise<T>): Promise<T> => raceLost(promise, lost);
  boundBuffers(options.stream, channels, state);
  const track = (channel: ClientChannel): ClientChannel => {
    channels.add(channel);
    channel.once('close', () => channels.delete(channel));
    // ssh2 reports a write after the guest closed the channel so; whoever uses the channel waits for its close.
    channel.on('error', (error: Error) => options.log.debug({ err: error }, 'guest channel failed'));
    return channel;
  };
  client.on('tcp connection', (details, acceptChannel, rejectChannel) => {
    const accept = accepts.get(details.destPort);
    if (!accept) return rejectChannel();
    const stream = createTunnel(track(acceptChannel()), lost);
    stream.on('error', (error) => options.log.debug({ err: error }, 'forwarded connection failed'));
    try {
      accept(stream);
    } catch (thrown) {
      options.log.warn({ err: thrown, port: details.destPort }, 'a forwarded connection was not taken');
      stream.destroy();
    }
  });
  return {
    lost,
    lose,
    orLost,
    async open(commandLine) {
      const giveUpAt = performance.now() + refusalMs;
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
        try {
          return await orLost(openSession(client, commandLine, (channel) => watchExit(track(channel), state)));
        } catch (thrown) {
          if (performance.now() > giveUpAt) lose('the guest refuses a session', thrown);
          await orLost(setTimeout(pauseMs));
        }
      }
    },
    async forward(port, accept) {
      accepts.set(port, accept);
      await orLost(openForward(client, port)).catch((thrown: unknown) => {
        accepts.delete(port);
        throw asFixError(thrown);
      });
    },
  };
}

/** A guest that sends past its window, or takes nothing, does not get the host's memory. */
function boundBuffers(stream: Duplex, channels: ReadonlySet<ClientChannel>, { lost, lose }: Pick<Connection, 'lost' | 'lose'>): void {
  const check = (): void => {
    if (stream.writableLength > maxUnsentBytes) lose('the guest reads nothing');
    for (const channel of channels) {
      if (channel.readableLength + (channel.stderr?.readableLength ?? 0) > maxReceivedBytes) lose('the guest sent past its window');
    }
  };
  const timer = setInterval(check, 1000).unref();
  stream.on('data', check);
  lost.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** `watch` is called at once: what the guest sends along with its consent is told before a promise would be. */
function openSession(client: Client, commandLine: string, watch: (channel: ClientChannel) => Promise<Exit>): Promise<Session> {
  return new Promise((resolve, reject) => {
    client.exec(commandLine, (error, channel) => {
      if (error) return reject(error);
      keepWindow(channel);
      resolve({ channel, exit: watch(channel) });
    });
  });
}

/** A session that closes without a word has lost its supervisor. */
function watchExit(channel: ClientChannel, { lost, lose }: Pick<Connection, 'lost' | 'lose'>): Promise<Exit> {
  const closed = Promise.withResolvers<Exit>();
  let exit: Exit | null = null;
  channel.on('exit', (exitCode: number | null, signal?: string) => {
    exit = { exitCode, signal: signal ?? null };
  });
  channel.once('close', () => {
    if (!exit) lose('a session closed without an exit status');
    else closed.resolve(exit);
  });
  const settled = raceLost(closed.promise, lost);
  // Whoever asked for the session may be gone when the guest grants it.
  settled.catch(() => {});
  return settled;
}

/** In ssh2 both streams share a window, and reading stderr reopens it while stdout is still full: without bound. */
function keepWindow(channel: ClientChannel): void {
  const readStderr = channel.stderr._read.bind(channel.stderr);
  channel.stderr._read = (size) => {
    if (channel.readableLength < channel.readableHighWaterMark) readStderr(size);
  };
}

function openForward(client: Client, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    client.forwardIn('127.0.0.1', port, (error) => {
      if (error) reject(new FixError('internal', { cause: error, details: { port } }));
      else resolve();
    });
  });
}

/** Not a plain race: that would keep every promise of the connection's life. */
async function raceLost<T>(promise: Promise<T>, lost: AbortSignal): Promise<T> {
  const gone = Promise.withResolvers<never>();
  const onLost = (): void => gone.reject(asFixError(lost.reason));
  if (lost.aborted) onLost();
  else lost.addEventListener('abort', onLost, { once: true });
  try {
    return await Promise.race([gone.promise, promise]);
  } finally {
    lost.removeEventListener('abort', onLost);
  }
}
