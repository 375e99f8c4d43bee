/** Files of the guest: written whole or not at all, read within bounds. Paths are arguments, never part of a script. */
import { Writable } from 'node:stream';
import { FixError } from '../errors.ts';
import type { Exec } from './exec.ts';
import type { ExecResult, Sandbox } from './sandbox.ts';

/** $1 path, $2 name of the temporary file, $3 mode or nothing. Without a mode an existing file keeps its own. */
const writeScript = `
set -e
mkdir -p -- "$(dirname -- "$1")"
trap 'rm -f -- "$2"' EXIT
cat > "$2"
if [ -n "$3" ]; then chmod -- "$3" "$2"; elif [ -f "$1" ]; then chmod --reference="$1" -- "$2"; fi
mv -fT -- "$2" "$1"
`;

/** $1 path, $2 how many bytes. */
const readScript = `
[ -e "$1" ] || exit 66
[ -f "$1" ] || { echo 'not a regular file' >&2; exit 65; }
exec head -c "$2" -- "$1"
`;
const missingExitCode = 66;

/** For one file; a guest whose tools hang must not hold up whoever set no limit. */
const timeoutMs = 5 * 60_000;

/** The scripts read what coreutils say. */
const plainMessages = { LC_ALL: 'C' };

export function createFiles(exec: Exec): Pick<Sandbox, 'put' | 'get'> {
  return {
    async put(path, content, options = {}) {
      const mode = options.mode === undefined ? '' : options.mode.toString(8).padStart(4, '0');
      const temporary = `${path}.mayfly-${crypto.randomUUID().slice(0, 8)}`;
      const result = await exec(['sh', '-c', writeScript, 'put', path, temporary, mode], {
        ...asExecOptions(options),
        stdin: content,
      });
      // Killed, the script could not clean up after itself.
      if (result.signal) await exec(['rm', '-f', '--', temporary], { cwd: '/', timeoutMs, ...(options.user && { user: options.user }) });
      throwUnlessDone(result, path);
    },
    async get(path, options) {
      const { sink, read } = createBoundedSink(options.maxBytes);
      const result = await exec(['sh', '-c', readScript, 'get', path, String(options.maxBytes + 1)], {
        ...asExecOptions(options),
        stdout: sink,
      });
      if (result.ended === 'output_sink') throw new FixError('guest_file_too_large', { details: { path, maxBytes: options.maxBytes } });
      if (result.exitCode === missingExitCode) throw new FixError('guest_file_missing', { details: { path } });
      throwUnlessDone(result, path);
      return read();
    },
  };
}

function asExecOptions(options: { user?: 'agent' | 'root'; signal?: AbortSignal }): Parameters<Exec>[1] {
  return { cwd: '/', env: plainMessages, timeoutMs, ...(options.user && { user: options.user }), ...(options.signal && { signal: options.signal }) };
}

function throwUnlessDone(result: ExecResult, path: string): void {
  if (result.ended === 'cancelled') throw new FixError('cancelled', { details: { path } });
  if (result.exitCode === 0) return;
  const full = /No space left on device|Disk quota exceeded/.test(result.stderr);
  throw new FixError(full ? 'guest_disk_full' : 'guest_file_failed', {
    details: { path, ended: result.ended, exitCode: result.exitCode, signal: result.signal, stderr: result.stderr.slice(0, 500) },
  });
}

/** Fails at the first byte too many, whatever the guest sends. */
function createBoundedSink(maxBytes: number): { readonly sink: Writable; readonly read: () => Buffer } {
  const chunks: Buffer[] = [];
  let total = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      total += chunk.length;
      if (total > maxBytes) return callback(new FixError('guest_file_too_large'));
      chunks.push(chunk);
      callback();
    },
  });
  return { sink, read: () => Buffer.concat(chunks, total) };
}
