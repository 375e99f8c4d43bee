/**
 * One git process on the host. Nothing of the host's own git set-up reaches it: no configuration file, no hook, no
 * credential helper, no prompt. Settings go by GIT_CONFIG_* in the environment, because arguments are public in /proc.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { FixError, asFixError } from '../errors.ts';

export interface GitCommand {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Settings on top of the safe ones; may hold a token. */
  readonly config?: Readonly<Record<string, string>>;
  /** `http:https` for a server, `file` for a local directory. Default: none at all. */
  readonly protocols?: string;
  readonly input?: string;
  /** Default 1 MiB; what is longer ends as `clipped`. */
  readonly maxOutputBytes?: number;
  /** The kernel refuses to let any file grow beyond it. */
  readonly maxFileBytes?: number;
  readonly signal: AbortSignal;
}

export interface GitEnding {
  readonly exitCode: number | null;
  /** The end of it: hostile text, for the log only. */
  readonly stderr: string;
}

const stopGraceMs = 2_000;

const safeConfig: Readonly<Record<string, string>> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.askPass': '/bin/false',
  'credential.helper': '',
  // The first answer of a server must not send the host to another one.
  'http.followRedirects': 'false',
  'http.lowSpeedLimit': '1',
  'http.lowSpeedTime': '60',
  'protocol.version': '2',
  'pack.windowMemory': '256m',
  'gc.auto': '0',
};

/** Runs git to its end and returns what it printed; a non-zero exit code is a value. Throws `cancelled`, `host_incomplete`. */
export async function runGit(command: GitCommand): Promise<GitEnding & { readonly stdout: string; readonly clipped: boolean }> {
  const { stdout, ending, stop } = startGit(command);
  const maxOutputBytes = command.maxOutputBytes ?? 2 ** 20;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxOutputBytes) {
      stop();
      break;
    }
    chunks.push(chunk);
  }
  const { exitCode, stderr } = await ending;
  // Latin-1 keeps every byte, so that callers who need bytes can have them.
  return { exitCode, stderr, stdout: Buffer.concat(chunks).toString('latin1'), clipped: size > maxOutputBytes };
}

/** Starts git with its standard output as a stream. `ending` rejects with `cancelled` when the signal ended it. */
export function startGit(command: GitCommand): { readonly stdout: Readable; readonly ending: Promise<GitEnding>; readonly stop: () => void } {
  if (command.signal.aborted) throw cancelled(command.signal);
  const limit = command.maxFileBytes === undefined ? [] : ['prlimit', `--fsize=${command.maxFileBytes}`];
  const [file = 'git', ...rest] = [...limit, 'git', ...command.arguments];
  // A group of its own: git starts helpers, which have to end with it.
  const child = spawn(file, rest, { env: environmentOf(command), cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const stop = (): void => stopGroup(child);
  command.signal.addEventListener('abort', stop, { once: true });
  const ending = waitForEnd(child, command.signal).finally(() => command.signal.removeEventListener('abort', stop));
  // Whoever only reads the stream must not be hit by an unhandled rejection.
  ending.catch(() => undefined);
  child.stdin.on('error', () => undefined);
  child.stdin.end(command.input ?? '');
  return { stdout: child.stdout, ending, stop };
}

async function waitForEnd(child: ChildProcess, signal: AbortSignal): Promise<GitEnding> {
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4000)));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(new FixError('host_incomplete', { cause, details: { missing: child.spawnfile } })));
    child.once('close', resolve);
  });
  if (signal.aborted) throw cancelled(signal);
  return { exitCode, stderr };
}

/** The reason of the run's signal: what it says, or a plain `cancelled`. */
export function cancelled(signal: AbortSignal): FixError {
  return asFixError(signal.reason, 'cancelled');
}

/** First kindly, so that git removes its lock files and half a pack. */
function stopGroup(child: ChildProcess): void {
  signalGroup(child, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), stopGraceMs);
  child.once('close', () => clearTimeout(timer));
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended by itself in this moment.
  }
}

function environmentOf({ environment, config, protocols }: GitCommand): Record<string, string> {
  const settings = Object.entries({ ...safeConfig, ...config });
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    GIT_CONFIG_GLOBAL: '/dev/null',
    ...environment,
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    GIT_ALLOW_PROTOCOL: protocols ?? 'none',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key, value], index) => [[`GIT_CONFIG_KEY_${index}`, key] as const, [`GIT_CONFIG_VALUE_${index}`, value] as const]),
    ),
  };
}
