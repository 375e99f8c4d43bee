/** Guests that misbehave, under each provider: their command ends at its limit plus 5 s at most, or the machine does, and the next one is fine. */
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { asFixError } from '../../src/errors.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { GuestUser, Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost, output, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const noQemu = isSkipped('guests of qemu that misbehave', await lacksForGuests());
const noGvisor = isSkipped('guests of oci that misbehave', await lacksForGvisor());

const limitMs = 2_000;
const promisedMs = 5_000;
/** What is read on this host afterwards, of a machine that was busy until now. How long a guest may take is integration/channel.test.ts, to the millisecond. */
const slackMs = 15_000;

/** Forks until it cannot, and goes on. */
const bomb = 'while (1) { fork }';
const leaving = 'use POSIX; while (1) { my $child = fork; POSIX::setsid() if defined $child && $child == 0 }';
const files = 'my $number = 0; while (1) { open(my $file, ">", $number++) or sleep 1 }';
const deaf =
  'trap "" TERM HUP INT QUIT USR1; for each in 1 2 3; do setsid sh -c "trap \\"\\" TERM HUP INT; while :; do sleep 1; done" & done; while :; do sleep 1; done';

const commands: readonly (readonly [name: string, user: GuestUser, argv: readonly string[]])[] = [
  ['forks without end', 'agent', ['perl', '-e', bomb]],
  ['forks without end, and each leaves its session, as root', 'root', ['perl', '-e', leaving]],
  ['ignores every signal that it can', 'root', ['bash', '-c', deaf]],
  ['prints without end', 'agent', ['yes', 'x'.repeat(1000)]],
  ['kills who ends commands', 'root', ['sh', '-c', 'pkill -9 -f -- --ender; sleep 600']],
  ['stops its sshd', 'root', ['sh', '-c', 'pkill -STOP -x sshd; sleep 600']],
  ['fills its disk', 'agent', ['sh', '-c', 'head -c 100G /dev/zero > /workspace/big; sleep 600']],
];

/** What all processes of a VM have in memory; those that end meanwhile have none. */
async function residentMib(id: string): Promise<number> {
  const sizes = await Promise.all((await findProcesses(id)).map(async (pid) => await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '0 0')));
  return sizes.reduce((pages, size) => pages + Number(size.split(' ')[1]), 0) / 256;
}

describe.each([
  ['qemu', createQemuProvider, !noQemu],
  ['oci', createOciProvider, !noGvisor],
] as const)('a guest of %s', (name, create, runs) => {
  let host: GuestHost;
  beforeAll(async () => {
    if (runs) host = await openGuestHost(create);
  });
  afterAll(async () => {
    await host?.close();
  });

  /** What became of a command that would never end, or `overdue` when it is still there after all that it may take. */
  async function outlast(sandbox: Sandbox, argv: readonly string[], user: GuestUser): Promise<string> {
    const startedAt = performance.now();
    const command = sandbox.exec(argv, { user, timeoutMs: limitMs, cwd: '/' }).then(
      (result) => result.ended,
      (thrown: unknown) => asFixError(thrown).code,
    );
    const ending = await Promise.race([command, overdue()]);
    console.info(`${name}: ${argv.at(-1)?.slice(0, 40)}: ${ending}, ${Math.round(performance.now() - startedAt - limitMs)} ms beyond the limit`);
    return ending;
  }

  async function expectNothingLeft(sandbox: Sandbox): Promise<void> {
    expect(await sandbox.dispose()).toEqual([]);
    expect(await tracesOf(sandbox.id, host.options)).toEqual([]);
  }

  test.skipIf(!runs).each(commands)('that %s', async (_name, user, argv) => {
    const sandbox = await host.boot({ layerBytes: 200 * 2 ** 20 });
    // The machine after the last one is fine; and after a first command, who ends commands stands ready.
    expect(await output(sandbox, 'echo well')).toBe('well');

    expect(['timeout', 'exited', 'sandbox_lost']).toContain(await outlast(sandbox, argv, user));
    await expectNothingLeft(sandbox);
  });

  // Each is memory of gVisor's kernel, which the guest does not count. In a VM they are on its disk.
  test.runIf(runs && name === 'oci')('that makes empty files without end has no more memory of this host for it', async () => {
    const memoryMib = 256;
    const sandbox = await host.boot({ memoryMib });
    let peakMib = 0;
    const watch = setInterval(() => void residentMib(sandbox.id).then((mib) => (peakMib = Math.max(peakMib, mib))), 200);
    onTestFinished(() => clearInterval(watch));

    const made = sandbox.exec(['perl', '-e', files], { user: 'agent', timeoutMs: 60_000, cwd: '/workspace' });

    expect(['timeout', 'sandbox_lost']).toContain(
      await made.then(
        ({ ended }) => ended,
        (thrown: unknown) => asFixError(thrown).code,
      ),
    );
    expect(peakMib).toBeGreaterThan(50);
    expect(peakMib).toBeLessThan(2.5 * memoryMib);
    await expectNothingLeft(sandbox);
  });

  test.skipIf(!runs)('whose process on this host is stopped, as one that hangs would be', async () => {
    const sandbox = await host.boot();
    expect(await output(sandbox, 'echo well')).toBe('well');
    for (const pid of await findProcesses(sandbox.id)) process.kill(pid, 'SIGSTOP');

    expect(await outlast(sandbox, ['sleep', '600'], 'agent')).toBe('sandbox_lost');
    await expectNothingLeft(sandbox);
  });

  test.skipIf(!runs)('that comes after all of them is fine', async () => {
    const sandbox = await host.boot();

    expect(await output(sandbox, 'echo well')).toBe('well');
    await expectNothingLeft(sandbox);
  });
});

/**
 * By timers of the process whose timers end the command, one after the other as there: when this machine is busy, they are
 * late together, and never out of their order.
 */
async function overdue(): Promise<'overdue'> {
  await pause(limitMs);
  return await pause(promisedMs + slackMs, 'overdue' as const);
}
