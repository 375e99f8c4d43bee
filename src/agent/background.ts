/**
 * Commands that go on while the agent does other things: a server, a watcher. Each is one exec of the sandbox that lasts,
 * so that the host ends it, and everything it started, when the round is over. To the agent it is an ordinary process:
 * a PID to kill, a file to read.
 */
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecResult, Sandbox } from '../sandbox/sandbox.ts';
import { clipLines, plainText } from './clip.ts';
import { refuse } from './tool.ts';
import type { ToolResult } from './tool.ts';

const maxProcesses = 4;
/** Most programs that cannot start, a port being taken for example, say so within this time. */
const firstLookMs = 1000;

/**
 * $1 is the command, $2 the file with the state of the shell, $3 the output, of which the first 32 MiB are kept.
 * The output goes through a pipe that is not buffered, so that the file is as new as the program lets it be.
 */
const script = `
[ -f "$2" ] && . "$2"
echo $$
( exec </dev/null; eval "$1" ) 2>&1 | { stdbuf -o0 head -c 33554432; cat >/dev/null; } >"$3"
code=\${PIPESTATUS[0]}
echo "[exit code $code]" >>"$3"
exit $code
`;

export interface Background {
  /** What the model is told: the PID and the file, or why it did not start. */
  start(command: string, options: StartOptions): Promise<ToolResult>;
  /** One line for each process that has ended since the last call. */
  news(): readonly string[];
  /** Ends every process; returns when they are gone, or the sandbox is. */
  end(): Promise<void>;
}

interface StartOptions {
  readonly sandbox: Sandbox;
  readonly env: Readonly<Record<string, string>>;
  readonly shellState: string;
  readonly signal: AbortSignal;
}

interface Process {
  readonly pid: string;
  readonly done: Promise<ExecResult>;
}

/** `scratch` is the beginning of the paths of the outputs. */
export function createBackground(scratch: string): Background {
  const running = new Set<Process>();
  const ended: string[] = [];
  let count = 0;
  let ending = new AbortController();
  const watch = async (process: Process): Promise<void> => {
    running.add(process);
    const result = await process.done.catch(() => null);
    running.delete(process);
    ended.push(`background process ${process.pid} has ended: ${describe(result)}`);
  };
  return {
    async start(command, { sandbox, env, shellState, signal }) {
      if (running.size >= maxProcesses) {
        const pids = [...running].map(({ pid }) => pid).join(', ');
        return refuse(`Not started: ${maxProcesses} background processes are running already (${pids}). End one with kill.`);
      }
      const file = `${scratch}-background-${(count += 1)}.txt`;
      const first = firstLine();
      const done = sandbox.exec(['bash', '-c', script, 'bash', command, shellState, file], {
        env,
        signal: AbortSignal.any([signal, ending.signal]),
        stdout: first.sink,
      });
      const pid = await Promise.race([first.line, done.then(() => null)]);
      if (pid === null) return refuse(`Not started: ${describe(await done)}.`);
      const over = watch({ pid, done }).then(() => true);
      const early = await Promise.race([over, sleep(firstLookMs, false)]);
      if (early) ended.splice(0, ended.length, ...ended.filter((line) => !line.startsWith(`background process ${pid} `)));
      const output = early ? await readEnd(sandbox, file, signal) : null;
      if (output !== null) return refuse(`It has ended already, and left this in ${file}:\n${output}`);
      return { text: `Started with PID ${pid}. Its output goes to ${file}: read it with tail. End it with kill ${pid}.`, failed: false };
    },
    news: () => ended.splice(0),
    async end() {
      ending.abort();
      await Promise.allSettled([...running].map(({ done }) => done));
      ending = new AbortController();
    },
  };
}

function describe(result: ExecResult | null): string {
  if (result === null || result.ended !== 'exited') return 'the host stopped it';
  return result.exitCode === null ? `by ${result.signal ?? 'a signal'}` : `exit code ${result.exitCode}`;
}

/** The first line that is written to the sink. */
function firstLine(): { sink: Writable; line: Promise<string> } {
  const { promise: line, resolve } = Promise.withResolvers<string>();
  let text = '';
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (text.length < 100) text += chunk.toString('latin1');
      const [first, rest] = text.split('\n');
      if (rest !== undefined && /^\d{1,10}$/.test(first ?? '')) resolve(first ?? '');
      done();
    },
  });
  return { sink, line };
}

async function readEnd(sandbox: Sandbox, file: string, signal: AbortSignal): Promise<string> {
  const result = await sandbox.exec(['tail', '-c', '4000', '--', file], { signal, timeoutMs: 10_000, maxOutputBytes: 16 * 1024 });
  return clipLines(plainText(result.stdout).trimEnd(), 4000);
}
