/** What every part of the sandbox contract needs: the sandbox under test, a scratch directory, a look at its processes. */
import { randomBytes, randomInt } from 'node:crypto';
import type { ExecOptions, ExecResult, GuestUser, Sandbox } from '../../../src/sandbox/sandbox.ts';

export interface Subject {
  readonly sandbox: Sandbox;
  /** Anyone may write there. */
  readonly scratch: string;
}

export const guestUsers: readonly GuestUser[] = ['agent', 'root'];

export async function createSubject(sandbox: Sandbox): Promise<Subject> {
  const scratch = `/tmp/contract-${randomBytes(6).toString('hex')}`;
  await run(sandbox, ['mkdir', '-m', '1777', scratch], { user: 'root', cwd: '/' });
  return { sandbox, scratch };
}

/** A command that must succeed. */
export async function run(sandbox: Sandbox, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const result = await sandbox.exec(argv, options);
  if (result.ended !== 'exited' || result.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${JSON.stringify(result)}`);
  return result;
}

/** Seconds to sleep that no other process sleeps: a name for processes that no command can drop. */
export function newMarker(): string {
  return `86400.${randomInt(1e9, 1e10)}`;
}

/** How many processes have the marker in their command line. The marker goes in by stdin, so that the search does not find itself. */
export async function countProcesses(sandbox: Sandbox, marker: string): Promise<number> {
  const found = await sandbox.exec(['sh', '-c', 'grep -lasF -f - /proc/[0-9]*/cmdline'], { user: 'root', cwd: '/', stdin: marker });
  if (found.ended !== 'exited') throw new Error('the processes could not be listed');
  return found.stdout.split('\n').filter(Boolean).length;
}

/**
 * A command that runs into its time limit, with twice the time for as long as that was too little for what it says first:
 * how fast a guest begins is not what is asked here.
 */
export async function runIntoLimit(sandbox: Sandbox, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult & { readonly timeoutMs: number }> {
  for (let timeoutMs = 2_000; ; timeoutMs *= 2) {
    const result = await sandbox.exec(argv, { ...options, timeoutMs });
    if (result.stdout !== '' || result.ended !== 'timeout' || timeoutMs > 30_000) return { ...result, timeoutMs };
  }
}
