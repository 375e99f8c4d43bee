/** Contract: where an exec allows it, `sudo` gives the agent root, for one command, with the descriptors and the environment that it has, and for no longer than that exec. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { countProcesses, newMarker, run, runIntoLimit } from './subject.ts';
import type { Subject } from './subject.ts';

const proxy = { HTTPS_PROXY: 'http://127.0.0.1:3128', TRICKY: 'a=b\nc="$(id)"\n' };

export function testSudo(plain: () => Subject): void {
  const subject = (): Subject => {
    const { sandbox, scratch } = plain();
    return { scratch, sandbox: { ...sandbox, exec: (argv, options) => sandbox.exec(argv, { sudo: true, ...options }) } };
  };

  test('nothing makes root of the agent unless the exec allows it', async () => {
    const refused = await plain().sandbox.exec(['sudo', '-n', 'id', '-u']);

    expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('sudo: ') });
    expect(await run(plain().sandbox, ['id', '-Gn'])).toMatchObject({ stdout: 'agent\n' });
  });

  test('the agent becomes root', async () => {
    expect(await run(subject().sandbox, ['sudo', '-n', 'id', '-u'])).toMatchObject({ stdout: '0\n' });
  });

  test('or another user', async () => {
    const { sandbox } = subject();

    expect(await run(sandbox, ['sudo', '-u', 'agent', 'sh', '-c', 'id -un; id -Gn'], { user: 'root' })).toMatchObject({ stdout: 'agent\nagent sudo\n' });
    expect(await run(sandbox, ['sudo', 'sudo', '-u', 'nobody', 'id', '-un'])).toMatchObject({ stdout: 'nobody\n' });
  });

  test('nobody but root and the agent does', async () => {
    const refused = await subject().sandbox.exec(['sudo', '-u', 'nobody', 'sudo', '-n', 'id', '-u']);

    expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('sudo: ') });
  });

  test('exit codes and signals come back as they are', async () => {
    const { sandbox } = subject();

    for (const code of [0, 1, 127, 255]) expect(await sandbox.exec(['sudo', 'sh', '-c', `exit ${code}`])).toMatchObject({ exitCode: code, signal: null });
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV']) {
      expect(await sandbox.exec(['sudo', 'sh', '-c', `kill -${signal.slice(3)} $$`])).toMatchObject({ exitCode: null, signal });
    }
  });

  test('arguments and the working directory are those of the caller', async () => {
    const { sandbox, scratch } = subject();
    const odd = ['', ' ', "it's", 'two\nlines\n', '$(id)', '-n', '--', 'a=b', 'ünïcödé 🦋'];

    const { stdout } = await run(sandbox, ['sudo', '--', 'sh', '-c', String.raw`pwd; printf '%s\0' "$@"`, 'sh', ...odd], { cwd: scratch });

    expect(stdout).toBe(`${scratch}\n${odd.map((word) => `${word}\0`).join('')}`);
  });

  test('the environment is kept, but for what belongs to the user', async () => {
    const { sandbox } = subject();
    const shown = 'printf "%s|" "$HTTPS_PROXY" "$TRICKY" "$HOME" "$USER" "$LOGNAME" "$PATH" "$SUDO_USER" "$SUDO_UID" "$SUDO_GID" "$MORE"';
    const [, ...own] = ['', '/root', 'root', 'root', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'agent', '1000', '1000', 'a=b'];

    const { stdout } = await run(sandbox, ['sudo', '-nEH', 'MORE=a=b', 'sh', '-c', shown], { env: proxy });

    expect(stdout).toBe([proxy.HTTPS_PROXY, proxy.TRICKY, ...own, ''].join('|'));
  });

  test('a login shell starts at home', async () => {
    expect(await run(subject().sandbox, ['sudo', '-i', 'pwd'])).toMatchObject({ stdout: '/root\n' });
  });

  test('an option that it does not know is named, and nothing runs', async () => {
    const result = await subject().sandbox.exec(['sudo', '--no-such-option', 'echo', 'ran']);

    expect(result).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('no-such-option') });
  });

  test('5 MB go through a pipe unchanged, and the two outputs stay apart', async () => {
    const bytes = randomBytes(5 * 1024 * 1024);

    const { stdout, stderr } = await run(subject().sandbox, ['sh', '-c', 'cat | sudo sh -c "cat; echo error >&2" | sha256sum'], { stdin: bytes });

    expect(stdout).toContain(createHash('sha256').update(bytes).digest('hex'));
    expect(stderr).toMatch(/(^|\n)error\n$/);
  });

  test('what a command leaves in the background outlives the command, and not its exec', async () => {
    const { sandbox } = subject();
    const marker = newMarker();
    const script = `sudo sh -c 'setsid sleep "$0" > /dev/null 2>&1 & (nohup env -i sleep "$0" > /dev/null 2>&1 &)' "$1"
      until [ "$(pgrep -fc "^sleep $1")" = 2 ]; do sleep 0.05; done; echo both`;

    expect(await sandbox.exec(['sh', '-c', script, 'sh', marker], { timeoutMs: 60_000 })).toMatchObject({ exitCode: 0, stdout: 'both\n' });
    await expect.poll(() => countProcesses(sandbox, marker), { interval: 50 }).toBe(0);
  });

  test('a timeout ends what sudo runs', async () => {
    const { sandbox } = subject();
    const marker = newMarker();
    const script = `sudo sh -c 'trap "" TERM HUP INT; setsid sleep "$0" & echo begun; sleep "$0"; wait' "$1"`;

    expect(await runIntoLimit(sandbox, ['sh', '-c', script, 'sh', marker])).toMatchObject({ ended: 'timeout', stdout: 'begun\n' });
    await expect.poll(() => countProcesses(sandbox, marker), { interval: 50 }).toBe(0);
  });

  test('twenty at once, each in another', async () => {
    const script = 'for each in $(seq 20); do sudo sudo -u agent sudo id -u & done; wait';

    expect((await run(subject().sandbox, ['sh', '-c', script])).stdout).toBe('0\n'.repeat(20));
  });

  test('apt-get starts', async () => {
    expect((await run(subject().sandbox, ['sudo', 'apt-get', '--version'])).stdout).toMatch(/^apt /);
  });
}
