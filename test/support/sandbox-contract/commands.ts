/** Contract: a command is run as it was given, and what it said and how it ended comes back exactly. */
import { createHash, randomBytes } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { run } from './subject.ts';
import type { Subject } from './subject.ts';

const oddArguments = [
  '',
  ' ',
  "it's",
  '"quoted"',
  'two\nlines\n',
  '$(id)',
  '`id`',
  '$HOME',
  '*',
  '\\',
  '-n',
  '--',
  ';',
  '&',
  '|',
  '>',
  'ünïcödé 🦋',
  '\t',
  '!',
  '%s',
];

export function testCommands(subject: () => Subject): void {
  test('an exit code comes back as it is', async () => {
    for (const code of [0, 1, 2, 125, 126, 127, 130, 255]) {
      expect(await subject().sandbox.exec(['sh', '-c', `exit ${code}`])).toMatchObject({ exitCode: code, signal: null, ended: 'exited' });
    }
  });

  test('a signal comes back by its name', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGABRT', 'SIGPIPE']) {
      const result = await subject().sandbox.exec(['sh', '-c', `kill -${signal.slice(3)} $$`]);
      expect(result).toMatchObject({ exitCode: null, signal, ended: 'exited' });
    }
  });

  test('a signal that SSH has no name for comes back as 128 and its number', async () => {
    expect(await subject().sandbox.exec(['sh', '-c', 'kill -TRAP $$'])).toMatchObject({ exitCode: 133, signal: null, ended: 'exited' });
  });

  test('the two outputs stay apart', async () => {
    expect(await run(subject().sandbox, ['sh', '-c', 'echo out; echo error >&2'])).toMatchObject({ stdout: 'out\n', stderr: 'error\n', clippedBytes: 0 });
  });

  test('the outputs can be opened by name', async () => {
    expect(await run(subject().sandbox, ['sh', '-c', 'echo out > /dev/stdout; echo error > /dev/stderr'])).toMatchObject({
      stdout: 'out\n',
      stderr: 'error\n',
    });
  });

  test('every argument arrives as it was given', async () => {
    const { stdout } = await run(subject().sandbox, ['sh', '-c', String.raw`printf '%s\0' "$@"`, 'sh', ...oddArguments]);

    expect(stdout.split('\0').slice(0, -1)).toEqual(oddArguments);
  });

  test('the environment arrives as it was given', async () => {
    const env = { TRICKY: 'a=b\nc="$(id)"\n', EMPTY: '', PATH: '/usr/bin:/bin:/odd place' };

    const { stdout } = await run(subject().sandbox, ['sh', '-c', 'printf "%s|%s|%s" "$TRICKY" "$EMPTY" "$PATH"'], { env });

    expect(stdout).toBe(`${env.TRICKY}||${env.PATH}`);
  });

  test('nothing of the connection is in the environment', async () => {
    const { stdout } = await run(subject().sandbox, ['env']);

    expect(stdout).toMatch(/^LANG=C\.UTF-8$/m);
    expect(stdout).not.toMatch(/^(SSH_|MAYFLY)/m);
  });

  test('the working directory is the one that was asked for', async () => {
    const { sandbox, scratch } = subject();

    expect(await run(sandbox, ['pwd'], { cwd: scratch })).toMatchObject({ stdout: `${scratch}\n` });
  });

  test('a missing working directory is named', async () => {
    const result = await subject().sandbox.exec(['true'], { cwd: '/not there' });

    expect(result).toMatchObject({ exitCode: 127, ended: 'exited' });
    expect(result.stderr).toContain('/not there');
  });

  test('a missing command is 127 and one that may not run is 126, both named', async () => {
    const { sandbox } = subject();

    expect(await sandbox.exec(['not-a-command'])).toMatchObject({ exitCode: 127, stderr: expect.stringContaining('not-a-command') });
    expect(await sandbox.exec(['/etc/passwd'])).toMatchObject({ exitCode: 126, stderr: expect.stringContaining('/etc/passwd') });
  });

  test('what cannot be a command is a value too', async () => {
    const { sandbox } = subject();

    for (const argv of [[], ['echo', 'a\0b'], ['echo', 'x'.repeat(2_000_000)], ['echo', 'x'.repeat(200_000)]]) {
      expect(await sandbox.exec(argv)).toMatchObject({ exitCode: 126, ended: 'exited', stderr: expect.stringContaining('mayfly: ') });
    }
  });

  test('without an input the command reads an empty one', async () => {
    expect(await run(subject().sandbox, ['cat'])).toMatchObject({ stdout: '' });
  });

  test('20 MB go in and come out unchanged', async () => {
    const bytes = randomBytes(20 * 1024 * 1024);
    const hash = createHash('sha256');
    const sink = new Writable({
      write(chunk: Buffer, _encoding, callback) {
        hash.update(chunk);
        callback();
      },
    });

    await run(subject().sandbox, ['cat'], { stdin: Readable.from(slices(bytes, 100_000)), stdout: sink });

    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  test('a command that does not read its input ends all the same', async () => {
    let destroyed = false;
    const endless = new Readable({ read: () => void endless.push(Buffer.alloc(65_536)) });
    endless.on('close', () => (destroyed = true));

    expect(await subject().sandbox.exec(['sh', '-c', 'exit 4'], { stdin: endless })).toMatchObject({ exitCode: 4, ended: 'exited' });
    expect(destroyed).toBe(true);
  });

  test('an input that fails ends the command before it can take a part for the whole', async () => {
    const first = Promise.withResolvers<string>();
    const stdout = new Writable({ write: (chunk: Buffer, _encoding, callback) => (first.resolve(chunk.toString()), callback()) });
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('half');
        await first.promise;
        throw new Error('source failed');
      })(),
    );

    expect(await subject().sandbox.exec(['sh', '-c', 'cat; echo whole'], { stdin: broken, stdout })).toMatchObject({ ended: 'cancelled' });
    expect(await first.promise).toBe('half');
  });

  test('50 commands run at once', async () => {
    const { sandbox } = subject();

    const results = await Promise.all(Array.from({ length: 50 }, (_, index) => run(sandbox, ['sh', '-c', 'sleep 0.2; echo "$1"', 'sh', String(index)])));

    expect(results.map((result) => result.stdout.trim())).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
  });

  test('more commands than sessions wait their turn', async () => {
    const { sandbox } = subject();

    const results = await Promise.all(Array.from({ length: 150 }, () => sandbox.exec(['sleep', '0.5'])));

    expect(results.every((result) => result.exitCode === 0)).toBe(true);
  });
}

function* slices(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
