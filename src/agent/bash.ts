/** The tool that runs shell commands. Directory and exported variables live on in a file of the guest; processes only in the background. */
import { z } from 'zod';
import type { ExecResult } from '../sandbox/sandbox.ts';
import { clipEnds, clipLines, plainText } from './clip.ts';
import { createOutput } from './output.ts';
import { defineTool } from './tool.ts';
import type { ToolContext, ToolResult } from './tool.ts';

/** The longest time limit that the model may ask for. */
export function longestTimeoutMs(commandTimeoutMs: number): number {
  return commandTimeoutMs * 6;
}

/** Stays in the history for many steps. Tests and compilers say most at their end. */
const maxOutputCharacters = 10_000;
const headShare = 0.3;

/**
 * $1 is the command, $2 the file with the state. Both outputs are one, in order. The state is read before and written at
 * the end, also after `exit`; a command that replaces the shell or is killed leaves the state as it was.
 */
const script = `
exec 2>&1
__state=$2
[ -f "$__state" ] && . "$__state"
trap '__code=$?; [ -n "$!" ] && [ -n "$(jobs -rp)" ] && echo "[what it left running is killed: use background: true to keep it]"; { export -p; printf "cd -- %q 2>/dev/null || cd /workspace\\n" "$PWD"; } 2>/dev/null > "$__state"; exit $__code' EXIT
eval "$1"
`;

/** Programs that page, prompt, draw or look for updates would wait for a person or a network, or fill the output. */
const environment = {
  PAGER: 'cat',
  GIT_PAGER: 'cat',
  MANPAGER: 'cat',
  GIT_TERMINAL_PROMPT: '0',
  GIT_EDITOR: 'true',
  TERM: 'dumb',
  DEBIAN_FRONTEND: 'noninteractive',
  PIP_PROGRESS_BAR: 'off',
  npm_config_progress: 'false',
  npm_config_update_notifier: 'false',
};
/** Python keeps what it prints to a file to itself for long. */
const unbuffered = { PYTHONUNBUFFERED: '1' };

export const bash = defineTool(
  {
    name: 'bash',
    description:
      'Runs a command with bash in the virtual machine. Working directory and exported variables are kept for the next call. ' +
      'Input is empty, and whatever is still running when the command ends is killed. ' +
      'With background: true the command goes on while you do other things (a server, a watcher): you get a PID to kill, and a file with its output to read with tail. ' +
      'Long output is shortened in the middle, and kept whole in a file: prefer commands that print little.',
    input: z.strictObject({
      command: z.string().min(1).max(100_000),
      timeoutSeconds: z.number().positive().optional().describe('Only when the usual limit is too short.'),
      background: z.boolean().optional().describe('True to go on while the command runs.'),
    }),
  },
  async ({ command, timeoutSeconds, background }, context) => {
    const shellState = `${context.scratch}-shell`;
    const result =
      background === true
        ? await context.background.start(command, { sandbox: context.sandbox, env: { ...environment, ...unbuffered }, shellState, signal: context.signal })
        : await runToEnd([command, shellState], timeoutSeconds, context);
    return { ...result, text: [result.text, ...context.background.news().map((line) => `[${line}]`)].join('\n') };
  },
);

async function runToEnd(input: readonly string[], timeoutSeconds: number | undefined, context: ToolContext): Promise<ToolResult> {
  const { sandbox, signal } = context;
  const limit = chooseLimit(timeoutSeconds, context);
  const asks = new AbortController();
  const output = createOutput(() => asks.abort());
  const result = await sandbox
    .exec(['bash', '-c', script, 'bash', ...input], {
      env: environment,
      timeoutMs: limit.timeoutMs,
      signal: AbortSignal.any([signal, asks.signal]),
      stdout: output.sink,
    })
    .finally(output.stop);
  const { text, clipped } = clipEnds(output.ends(), maxOutputCharacters, headShare);
  const file = clipped ? await context.keepOutput(sandbox, output.whole(), signal) : null;
  const lines = [
    text.trimEnd() === '' ? '(no output)' : text.trimEnd(),
    ...(file === null ? [] : [`[the whole output is in ${file}]`]),
    // What the shell itself says when it cannot even begin.
    ...(result.stderr === '' ? [] : [clipLines(plainText(result.stderr).trimEnd(), 2000)]),
    `[${describeEnd(result, limit, asks.signal.aborted && !signal.aborted)}]`,
  ];
  return { text: lines.join('\n'), failed: false, durationMs: result.durationMs, exitCode: result.exitCode };
}

interface TimeLimit {
  readonly timeoutMs: number;
  readonly longestMs: number;
}

/** The agent needs a moment after its last command to hand its work in. */
const reserveMs = 30_000;

/** Never more than what is left of the run. */
function chooseLimit(timeoutSeconds: number | undefined, { commandTimeoutMs, leftMs }: ToolContext): TimeLimit {
  const longestMs = Math.min(longestTimeoutMs(commandTimeoutMs), Math.max(1000, Math.round(leftMs() - reserveMs)));
  return { timeoutMs: Math.min(timeoutSeconds === undefined ? commandTimeoutMs : timeoutSeconds * 1000, longestMs), longestMs };
}

function describeEnd(result: ExecResult, { timeoutMs, longestMs }: TimeLimit, asked: boolean): string {
  const seconds = (ms: number): number => Math.round(ms / 100) / 10;
  if (result.ended === 'timeout') {
    return `stopped after ${seconds(timeoutMs)} s with everything it had started: does it wait for input, or for ever? A server or a watcher needs background: true. If it only takes longer, set timeoutSeconds (at most ${seconds(longestMs)})`;
  }
  if (asked)
    return `stopped after ${seconds(result.durationMs)} s: it waits for an answer, and there is nobody to give one. Use an option such as --yes, or pipe the answer in`;
  if (result.ended !== 'exited') return 'stopped: the run is ending';
  const end = result.exitCode === null ? `ended by ${result.signal ?? 'a signal'}` : `exit code ${result.exitCode}`;
  return `${end}, ${seconds(result.durationMs)} s`;
}
