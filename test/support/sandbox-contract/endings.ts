/** Contract: however a command ends, nothing that it started is left. */
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { asFixError } from '../../../src/errors.ts';
import type { ExecOptions, ExecResult, Sandbox } from '../../../src/sandbox/sandbox.ts';
import { countProcesses, guestUsers, newMarker, runIntoLimit } from './subject.ts';
import type { Subject } from './subject.ts';

/** Every way out that a shell knows; each leaves processes that hold the outputs and have the marker in their command line. */
const escapes = `
setsid sleep "$1" &
nohup sleep "$1" &
(setsid sh -c 'sleep "$0" & sleep "$0"' "$1" &)
env -i sleep "$1" &
sh -c 'trap "" TERM HUP INT QUIT; sleep "$0" & exec sleep "$0"' "$1" &
`;
const escaped = 7;

/** Forks without end, and goes on when it cannot: then each process says so once. */
const storm = '$| = 1; while (1) { defined(fork) or $full++ or print "full\n" }';
/** Never two at a time: each process starts the next and is gone. */
const comet = '(sh -c "$0" "$0" "$1" &)';

export function testEndings(subject: () => Subject, createSandbox: () => Promise<Sandbox>): void {
  for (const user of guestUsers) {
    test(`background children do not survive a normal exit, as ${user}`, async () => {
      const { sandbox } = subject();
      const marker = newMarker();

      const result = await sandbox.exec(['sh', '-c', `${escapes} exit 5`, 'sh', marker], { user });

      expect(result).toMatchObject({ exitCode: 5, ended: 'exited' });
      expect(await countProcesses(sandbox, marker)).toBe(0);
    });

    test(`a timeout leaves nothing, as ${user}`, async () => {
      const { sandbox } = subject();
      const marker = newMarker();

      const result = await runIntoLimit(sandbox, ['sh', '-c', `trap "" TERM HUP INT\n${escapes} echo begun; wait`, 'sh', marker], { user });

      expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL', ended: 'timeout', stdout: 'begun\n' });
      expect(result.durationMs).toBeGreaterThanOrEqual(result.timeoutMs - 10);
      expect(await countProcesses(sandbox, marker)).toBe(0);
    });

    test(`a cancel leaves nothing of what really ran, as ${user}`, async () => {
      const { sandbox } = subject();
      const marker = newMarker();

      const result = await cancelWhen(
        sandbox,
        ['sh', '-c', `${escapes} wait`, 'sh', marker],
        { user },
        async () => (await countProcesses(sandbox, marker)) > escaped,
      );

      expect(result).toMatchObject({ exitCode: null, ended: 'cancelled' });
      expect(await countProcesses(sandbox, marker)).toBe(0);
    });
  }

  // A machine that cannot do it in time is lost, which is an end, too; on a busy host that happens.
  test('a fork storm at its limit is brought to an end', async () => {
    await using sandbox = await createSandbox();
    const marker = newMarker();

    const ending = await sandbox.exec(['perl', '-e', storm, marker], { ...cancelledByOutput(), timeoutMs: 100_000 }).then(
      async ({ ended }) => [ended, await countProcesses(sandbox, marker)],
      (thrown: unknown) => asFixError(thrown).code,
    );

    // Asked of the call itself: `sandbox.lost` fires up to two seconds later, after the last words of the process.
    expect([['cancelled', 0], 'sandbox_lost']).toContainEqual(ending);
  });

  test('processes that only ever start the next one are caught, as root too', async () => {
    const { sandbox } = subject();
    const marker = newMarker();
    const start = `for each in 1 2 3 4 5; do sh -c "$0" "$0" "$1"; done; echo begun; sleep "$1"`;

    const result = await sandbox.exec(['sh', '-c', start.replace('$0" "$0', '$2" "$2'), 'sh', marker, comet], {
      ...cancelledByOutput(),
      user: 'root',
      timeoutMs: 100_000,
    });

    expect(result).toMatchObject({ ended: 'cancelled' });
    expect(await countProcesses(sandbox, marker)).toBe(0);
  });

  test('a command whose outputs are closed is still waited for', async () => {
    expect(await subject().sandbox.exec(['sh', '-c', 'exec <&- >&- 2>&-; sleep 0.3; exit 6'])).toMatchObject({ exitCode: 6, ended: 'exited' });
  });

  test('ending one command does not touch another', async () => {
    const { sandbox } = subject();
    const other = sandbox.exec(['sh', '-c', 'sleep 2; echo whole']);

    expect(await sandbox.exec(['sleep', '100'], { timeoutMs: 300 })).toMatchObject({ ended: 'timeout' });
    expect(await other).toMatchObject({ exitCode: 0, stdout: 'whole\n' });
  });

  test('a signal that has aborted already means that nothing runs', async () => {
    const { sandbox, scratch } = subject();

    const result = await sandbox.exec(['touch', `${scratch}/ran`], { signal: AbortSignal.abort() });

    expect(result).toMatchObject({ exitCode: null, ended: 'cancelled', durationMs: 0 });
    expect(await sandbox.exec(['ls', `${scratch}/ran`])).toMatchObject({ exitCode: 2 });
  });

  test('a signal that aborts at any moment gives an answer', async () => {
    for (let afterMs = 0; afterMs < 40; afterMs += 2) {
      const result = await subject().sandbox.exec(['sleep', '100'], { timeoutMs: afterMs });
      expect(result).toMatchObject({ exitCode: null, ended: 'timeout' });
    }
  });
}

/** Cancels a command as soon as it says something. */
function cancelledByOutput(): Required<Pick<ExecOptions, 'stdout' | 'signal'>> {
  const controller = new AbortController();
  const stdout = new Writable({
    write(_chunk, _encoding, callback) {
      controller.abort();
      callback();
    },
  });
  return { stdout, signal: controller.signal };
}

/** Runs a command and cancels it as soon as the condition holds. */
async function cancelWhen(sandbox: Sandbox, argv: readonly string[], options: ExecOptions, condition: () => Promise<boolean>): Promise<ExecResult> {
  const controller = new AbortController();
  const result = sandbox.exec(argv, { ...options, signal: controller.signal, timeoutMs: 60_000 });
  try {
    await expect.poll(condition, { timeout: 50_000, interval: 20 }).toBe(true);
  } finally {
    controller.abort();
  }
  return result;
}
