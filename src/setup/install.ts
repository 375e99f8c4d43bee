/** Runs the steps of a plan, as root or through sudo. */
import { execa } from 'execa';
import { FixError } from '../errors.ts';
import type { HostFacts } from './facts.ts';
import type { Step } from './plan.ts';
import type { Progress } from './progress.ts';

const tailLines = 12;
const tidyTimeoutMs = 30_000;

/** The command as it is run here: with sudo when this process is not root. */
export function withPrivilege(argv: readonly string[], privilege: HostFacts['privilege']): readonly string[] {
  return privilege === 'root' ? argv : ['sudo', ...(privilege === 'sudo' ? ['-n'] : []), ...argv];
}

/** A step as a line that can be pasted into a shell. Every word in it is ours or a path of this host. */
export function asShellLine(step: Step, privilege: HostFacts['privilege']): string {
  const quote = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
  const line = withPrivilege(step.argv, privilege).map(quote).join(' ');
  return step.stdin === undefined ? line : `printf '%s' ${quote(step.stdin)} | ${line}`;
}

interface RunOptions {
  readonly privilege: HostFacts['privilege'];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

// apt-get update ends with 0 although an archive did not answer, so the reason of a failure may lie a step before it.
const unreachable = /^(?:Err:|[WE]: Failed to fetch)/;

/** `complaints` collects what apt said about archives that it could not reach. */
async function runStep(step: Step, options: RunOptions, complaints: string[]): Promise<void> {
  const [program = '', ...args] = withPrivilege(step.argv, options.privilege);
  // No SIGKILL after a while: dpkg must get the time to leave its database whole.
  const child = execa(program, args, { all: true, reject: false, cancelSignal: options.signal, forceKillAfterDelay: false, input: step.stdin ?? '' });
  const tail: string[] = [];
  for await (const line of child.iterable({ from: 'all' })) {
    tail.push(line);
    if (tail.length > tailLines) tail.shift();
    if (unreachable.test(line) && complaints.length < tailLines) complaints.push(line);
    options.progress.update(line);
  }
  const result = await child;
  options.progress.clear();
  if (options.signal.aborted) throw new FixError('cancelled', { cause: options.signal.reason });
  if (result.exitCode === 0 || step.isTidying === true) return;
  explain(step, { tail, complaints, progress: options.progress });
  throw new FixError('host_setup_failed', { details: { argv: step.argv, exitCode: result.exitCode } });
}

function explain(step: Step, found: { tail: readonly string[]; complaints: readonly string[]; progress: Progress }): void {
  const { say } = found.progress;
  say(`Could not ${step.title}. The last lines of ${step.argv.find((word) => word === 'apt-get') ?? step.argv[0]}:`);
  for (const line of found.tail) say(`  ${line}`);
  if (found.complaints.length === 0) return;
  say('An archive of packages could not be reached. Check the network, the mirrors in /etc/apt and the proxy in /etc/apt/apt.conf.d:');
  for (const line of new Set(found.complaints)) say(`  ${line}`);
}

async function tidyUp(steps: readonly Step[], options: RunOptions): Promise<void> {
  const quiet = { ...options, signal: AbortSignal.timeout(tidyTimeoutMs) };
  for (const step of steps) if (step.isTidying === true) await runStep(step, quiet, []);
}

/** Throws `host_setup_failed` at the first step that fails, `cancelled` when the signal ends it. Tidying steps run in any case. */
export async function runSteps(steps: readonly Step[], options: RunOptions): Promise<void> {
  const complaints: string[] = [];
  for (const [index, step] of steps.entries()) {
    options.progress.say(`[${index + 1}/${steps.length}] ${step.title}`);
    try {
      await runStep(step, options, complaints);
    } catch (error) {
      await tidyUp(steps.slice(index + 1), options);
      throw error;
    }
  }
}
