/** Commands on the host, for building the template only: argument arrays, progress by line, root by sudo when we are not root. */
import { execa } from 'execa';
import { FixError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';

export interface HostCommandOptions {
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  readonly cwd?: string;
  /** Standard input; empty when not given. */
  readonly input?: string;
  /** Code of the FixError when the command fails. Default `template_failed`. */
  readonly code?: ErrorCode;
}

/** Runs a command to its end; its last lines go into the details when it fails. */
export async function runHost(argv: readonly [string, ...string[]], options: HostCommandOptions): Promise<string> {
  const [file, ...rest] = argv;
  const lines: string[] = [];
  const note = function* (line: unknown) {
    lines.push(String(line).slice(0, 500));
    if (lines.length > 40) lines.shift();
    options.onLine(String(line).slice(0, 200));
    yield line;
  };
  const result = await execa(file, rest, {
    cwd: options.cwd ?? '/',
    input: options.input ?? '',
    stdout: note,
    stderr: note,
    cancelSignal: options.signal,
    forceKillAfterDelay: 1000,
    reject: false,
    maxBuffer: 1_000_000,
  });
  if (result.isCanceled) throw new FixError('cancelled');
  if (result.code === 'ENOENT') throw new FixError('host_incomplete', { details: { missing: file } });
  if (result.failed && lines.some((line) => line.includes('No space left on device')))
    throw new FixError('disk_full', { details: { command: argv[0], lines } });
  if (result.failed && !result.isMaxBuffer)
    throw new FixError(options.code ?? 'template_failed', { details: { command: argv.join(' '), exitCode: result.exitCode, lines } });
  return result.stdout;
}

/** The same as root: directly when we are, through `sudo -n` when we are not. */
export async function runAsRoot(argv: readonly [string, ...string[]], options: HostCommandOptions): Promise<string> {
  return process.getuid?.() === 0 ? runHost(argv, options) : runHost(['sudo', '-n', ...argv], options);
}

/** Throws `host_incomplete` when `runAsRoot` could not work. */
export async function requireRoot(): Promise<void> {
  if (process.getuid?.() === 0) return;
  const allowed = await execa('sudo', ['-n', 'true'], { reject: false, stdin: 'ignore' });
  if (allowed.failed) throw new FixError('host_incomplete', { details: { missing: 'root or passwordless sudo, to build the guest template' } });
}
