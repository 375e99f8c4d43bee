/**
 * What the supervisor in the guest (guest-run.c) is told by stdin before the command's own input: nothing from
 * outside is ever part of a shell command line, so nothing has to be quoted.
 */

/** As in guest-run.c. The kernel takes at most 128 KiB in one argument and 2 MiB in all. */
const maxPreambleBytes = 1024 * 1024;

export interface Invocation {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** NUL-terminated: cwd, number of arguments, arguments, NAME=value pairs; or one sentence that says why it cannot be run. */
export function encodePreamble(invocation: Invocation): Buffer | { readonly problem: string } {
  const { argv, cwd, env } = invocation;
  const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const fields = [cwd, String(argv.length), ...argv, ...pairs];
  if (argv.length === 0) return { problem: 'there is no command' };
  if (fields.some((field) => field.includes('\0'))) return { problem: 'a NUL character cannot be part of a command, its directory or its environment' };
  if (Object.keys(env).some((name) => name === '' || name.includes('='))) return { problem: 'a name in the environment is empty or has an equals sign' };
  const preamble = Buffer.from(fields.map((field) => `${field}\0`).join(''));
  return preamble.length > maxPreambleBytes ? { problem: 'the command is longer than 1 MiB; give it by stdin or as a file' } : preamble;
}
