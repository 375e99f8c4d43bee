/** The tool that runs shell commands. Directory and exported variables live on in a file of the guest; processes do not. */
import { z } from 'zod';
import type { ExecResult } from '../sandbox/sandbox.ts';
import { clipLines, plainText } from './clip.ts';
import { defineTool } from './tool.ts';

/** The longest time limit that the model may ask for. */
export function longestTimeoutMs(commandTimeoutMs: number): number {
  return commandTimeoutMs * 6;
}

const maxOutputCharacters = 16_000;

/**
 * $1 is the command, $2 the file with the state. Both outputs are one, in order. The state is read before and written at
 * the end, also after `exit`; a command that replaces the shell or is killed leaves the state as it was.
 */
const script = `
exec 2>&1
__state=$2
[ -f "$__state" ] && . "$__state"
trap '__code=$?; { export -p; printf "cd -- %q 2>/dev/null || cd /workspace\\n" "$PWD"; } 2>/dev/null > "$__state"; exit $__code' EXIT
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

export const bash = defineTool(
  {
    name: 'bash',
    description:
      'Runs a command with bash in the virtual machine. Working directory and exported variables are kept for the next call. ' +
      'Input is empty, and every process that is still there when the command ends is killed, so start a server and use it in one call. ' +
      'Long output is shortened in the middle: prefer commands that print little.',
    input: z.strictObject({
      command: z.string().min(1).max(100_000),
      timeoutSeconds: z.number().positive().optional().describe('Only when the usual limit is too short.'),
    }),
  },
  async ({ command, timeoutSeconds }, { sandbox, signal, commandTimeoutMs, shellState }) => {
    const timeoutMs = Math.min(timeoutSeconds === undefined ? commandTimeoutMs : timeoutSeconds * 1000, longestTimeoutMs(commandTimeoutMs));
    const result = await sandbox.exec(['bash', '-c', script, 'bash', command, shellState], {
      env: environment,
      timeoutMs,
      signal,
      maxOutputBytes: 256 * 1024,
    });
    const output = clipLines(plainText(result.stdout + result.stderr).trimEnd(), maxOutputCharacters);
    return { text: `${output === '' ? '(no output)' : output}\n[${describeEnd(result, timeoutMs, commandTimeoutMs)}]`, failed: false };
  },
);

function describeEnd(result: ExecResult, timeoutMs: number, commandTimeoutMs: number): string {
  const seconds = (ms: number): number => Math.round(ms / 100) / 10;
  if (result.ended === 'timeout') {
    const longest = seconds(longestTimeoutMs(commandTimeoutMs));
    return `stopped after ${seconds(timeoutMs)} s with everything it had started: does it wait for input, or for ever? If it only needs longer, set timeoutSeconds (at most ${longest})`;
  }
  if (result.ended !== 'exited') return 'stopped: the run is ending';
  const end = result.exitCode === null ? `ended by ${result.signal ?? 'a signal'}` : `exit code ${result.exitCode}`;
  return `${end}, ${seconds(result.durationMs)} s`;
}
