/** `mayfly start` as an operator runs it: a process of its own, whose log is read, and that can be killed or told to stop. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endsWithUs } from './ends-with-us.ts';

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** What tests look for in a line of the log. */
export interface LogLine {
  readonly msg: string;
  readonly url?: string;
  readonly runId?: string;
  readonly issue?: number;
  /** When it was written, in milliseconds since 1970. */
  readonly time?: number;
  readonly phase?: string;
  readonly durationMs?: number;
  readonly attempt?: number;
  readonly swept?: readonly string[];
  readonly outcome?: { readonly kind: string; readonly code?: string };
  /** Null where a run began with nothing. */
  readonly template?: object | null;
}

export interface MayflyProcess {
  readonly pid: number;
  /** As they were written. */
  readonly lines: readonly string[];
  /** The first line that fits, also one of the past; rejects when the process ends before. */
  logged(wanted: (line: LogLine) => boolean): Promise<LogLine>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

/** Returns at once; the environment is all that the process gets. */
export function startMayfly(role: 'web' | 'worker' | 'all', environment: Readonly<Record<string, string>>): MayflyProcess {
  const child = spawn(...endsWithUs(process.execPath, [program, 'start', '--role', role]), { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
  const lines: string[] = [];
  const past: LogLine[] = [];
  const waiting = new Set<{ wanted: (line: LogLine) => boolean; found: PromiseWithResolvers<LogLine> }>();
  const reader = createInterface(child.stderr).on('line', (text) => {
    lines.push(text);
    const line = parse(text);
    past.push(line);
    for (const waiter of waiting) if (waiter.wanted(line)) waiter.found.resolve(line);
  });
  const ended = Promise.all([once(child, 'exit'), once(reader, 'close')]);
  const gone = ended.then(() => Promise.reject(new Error(`the ${role} process ended; its last lines:\n${lines.slice(-20).join('\n')}`)));
  gone.catch(() => {});
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  return {
    pid: child.pid ?? 0,
    lines,
    async logged(wanted) {
      const before = past.find(wanted);
      if (before) return before;
      const waiter = { wanted, found: Promise.withResolvers<LogLine>() };
      waiting.add(waiter);
      try {
        return await Promise.race([waiter.found.promise, gone]);
      } finally {
        waiting.delete(waiter);
      }
    },
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
}

/** What is no JSON, such as a warning of Node, is a message of its own. */
function parse(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { msg: text };
  }
}
