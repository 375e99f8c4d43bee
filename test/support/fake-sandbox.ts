/** A sandbox in memory, for unit tests of what stands on the port: files in a map, commands answered by a function. Isolates nothing. */
import { posix } from 'node:path';
import { FixError } from '../../src/errors.ts';
import type { ExecOptions, ExecResult, Sandbox } from '../../src/sandbox/sandbox.ts';

export type FakeExec = (argv: readonly string[], options: ExecOptions) => Partial<ExecResult> | Promise<Partial<ExecResult>>;

export interface FakeSandbox extends Sandbox {
  readonly files: Map<string, Buffer>;
  /** Every argument vector so far. */
  readonly executed: readonly (readonly string[])[];
  /** As if the VM had died. */
  lose(): void;
  text(path: string): string | undefined;
}

/** `exec` answers bash calls; `realpath` and `git` are answered here unless it says otherwise. */
export function createFakeSandbox(options: { files?: Readonly<Record<string, string | Uint8Array>>; exec?: FakeExec } = {}): FakeSandbox {
  const files = new Map(Object.entries(options.files ?? {}).map(([path, content]) => [path, Buffer.from(content)]));
  const executed: (readonly string[])[] = [];
  const lost = new AbortController();
  return {
    id: 'fake',
    info: { provider: 'fake', accel: 'tcg', isolation: 'emulation', networkCards: 0, restored: false, pooled: false, bootMs: 0 },
    lost: lost.signal,
    files,
    executed,
    lose: () => lost.abort(new FixError('sandbox_lost')),
    text: (path) => files.get(path)?.toString('utf8'),
    async exec(argv, execOptions = {}) {
      lost.signal.throwIfAborted();
      executed.push(argv);
      const result = { ...silent, ...answerKnown(argv), ...(await options.exec?.(argv, execOptions)) };
      if (execOptions.stdout === undefined) return result;
      execOptions.stdout.end(result.stdout);
      return { ...result, stdout: '' };
    },
    async put(path, content) {
      if (typeof content !== 'string' && !(content instanceof Uint8Array)) throw new Error('the fake takes text and bytes only');
      files.set(path, Buffer.from(content));
    },
    async get(path, { maxBytes }) {
      const file = files.get(path);
      if (file === undefined) throw new FixError('guest_file_missing');
      if (file.length > maxBytes) throw new FixError('guest_file_too_large');
      return file;
    },
    forward: () => Promise.reject(new Error('the fake has no ports')),
    dispose: () => Promise.resolve([]),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const silent: ExecResult = { exitCode: 0, signal: null, stdout: '', stderr: '', ended: 'exited', durationMs: 5, clippedBytes: 0 };

function answerKnown(argv: readonly string[]): Partial<ExecResult> {
  if (argv[0] === 'realpath') return { stdout: `${posix.normalize(argv.at(-1) ?? '')}\0` };
  if (argv[0] === 'git') return { stdout: `${'a'.repeat(40)}\n` };
  // The question of submit whether anything has changed.
  if (argv[2]?.includes('ls-files')) return { stdout: 'a.js\n' };
  return {};
}
