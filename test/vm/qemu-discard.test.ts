/** That nothing of a VM is left on the host: after dispose, a failed or cancelled boot, and `kill -9` of everything there is to kill. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootSandbox } from '../../src/sandbox/boot.ts';
import { findCgroups } from '../../src/sandbox/cgroup.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { ourselves } from '../../src/sandbox/owner.ts';
import { findTemplate } from '../../src/sandbox/template.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { lacksForGuests, newVmId, openGuestHost, output, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const lacking = await lacksForGuests();
if (lacking !== null) process.stderr.write(`skipped: guests, because ${lacking}\n`);

describe.skipIf(lacking !== null)('of a VM', () => {
  let host: GuestHost;
  beforeAll(async () => {
    host = await openGuestHost();
  });
  afterAll(async () => {
    await host?.close();
  });

  test('nothing is left when it is disposed, however often, and in the middle of work', async () => {
    const sandbox = await host.boot();
    expect(await tracesOf(sandbox.id, host.options)).toHaveLength(2 + (await findCgroups(sandbox.id)).length);
    const working = sandbox.exec(['sleep', '600']).catch((error: unknown) => error);

    const [left, again] = await Promise.all([sandbox.dispose(), sandbox.dispose()]);

    expect([left, again, await sandbox.dispose()]).toEqual([[], [], []]);
    expect(await working).toMatchObject({ code: 'sandbox_lost' });
    expect(await tracesOf(sandbox.id, host.options)).toEqual([]);
    expect(sandbox.lost.aborted).toBe(false);
    await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'sandbox_lost' });
  });

  test('what cannot be removed is named', async () => {
    const sandbox = await host.boot();
    const cgroup = (await findCgroups(sandbox.id))[0];
    if (cgroup === undefined) return;
    await mkdir(join(cgroup, 'kept'));

    expect(await sandbox.dispose()).toContain(`cgroup ${cgroup}`);
    // Not abandoned: its owner, this process, lives. The next start of a dead one's would try again.
    await rmdir(join(cgroup, 'kept'));
    await rmdir(cgroup);
  });

  test('nothing is left when its QEMU is killed, and the sandbox is lost', async () => {
    const sandbox = await host.boot();
    const lost = once(sandbox.lost, 'abort');
    const working = sandbox.exec(['sleep', '600']).catch((error: unknown) => error);
    const [pid = 0] = await findProcesses(sandbox.id);

    process.kill(pid, 'SIGKILL');
    await lost;

    expect(sandbox.lost.reason).toMatchObject({ code: 'sandbox_lost' });
    expect(await working).toMatchObject({ code: 'sandbox_lost' });
    expect(await sandbox.dispose()).toEqual([]);
    expect(await tracesOf(sandbox.id, host.options)).toEqual([]);
  });

  test('the guest can end itself, which loses the sandbox', async () => {
    const sandbox = await host.boot();
    const lost = once(sandbox.lost, 'abort');
    void sandbox.exec(['bash', '-c', 'kill -9 $(pgrep -x sshd)'], { user: 'root' }).catch(() => {});
    await lost;

    expect(await sandbox.dispose()).toEqual([]);
  });

  test('QEMU dies with its worker, and the next start removes the rest', async () => {
    const id = newVmId();
    const { log: _, ...options } = host.options;
    const script = fileURLToPath(new URL('../support/vm-worker.ts', import.meta.url));
    const worker = spawn(...endsWithUs(process.execPath, [script, JSON.stringify({ ...options, id })]), { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(worker.stdout, 'data');
    expect(await host.provider().sweep()).toEqual([]);
    const [pid = 0] = await findProcesses(id);
    expect(pid).toBeGreaterThan(0);

    worker.kill('SIGKILL');
    await once(worker, 'exit');

    await expect.poll(() => findProcesses(id), { timeout: 60_000 }).toEqual([]);
    expect(await readdir(join(host.options.stateDir, 'vms'))).toContain(id);
    expect(await host.provider().sweep()).toEqual([id]);
    expect(await tracesOf(id, host.options)).toEqual([]);
  });

  test('the next start leaves alone what lives, and removes what has lost its owner', async () => {
    const vms = join(host.options.stateDir, 'vms');
    const alive = await host.boot();
    const us = await ourselves();
    const dead = { another_process: { ...us, startTicks: '1' }, another_boot: { ...us, bootId: 'x' }, no_process: { ...us, pid: 2 ** 22 + 1 } };
    for (const [name, owner] of Object.entries(dead)) {
      await mkdir(join(vms, name));
      await writeFile(join(vms, name, 'owner.json'), JSON.stringify(owner));
    }
    await mkdir(join(vms, 'just_made'));

    expect((await host.provider().sweep()).toSorted()).toEqual(Object.keys(dead).toSorted());

    expect((await readdir(vms)).toSorted()).toEqual(['just_made', alive.id].toSorted());
    expect(await output(alive, 'echo lives')).toBe('lives');
    await alive.dispose();
    await rmdir(join(vms, 'just_made'));
  });

  // Times at which a boot is somewhere between its first directory and its first command.
  test.each([0, 5, 20, 40, 60, 80, 120, 200, 300, 500])('nothing is left when its boot is cancelled after %i ms', async (afterMs) => {
    const id = newVmId();
    const signal = AbortSignal.timeout(afterMs);

    const ended = await host
      .provider()
      .boot({ id, signal })
      .then((sandbox) => sandbox.dispose())
      .catch((error: unknown) => error);

    // A boot that was quicker than the cancel has been disposed.
    expect([[], expect.objectContaining({ code: 'cancelled' })]).toContainEqual(ended);
    expect(await tracesOf(id, host.options)).toEqual([]);
  });

  test('nothing is left when QEMU cannot start', async () => {
    const id = newVmId();
    const template = await findTemplate(host.options);
    const image = { ...template.image, disk: '/nowhere' };

    const booted = bootSandbox(host.options, { ...template, image }, { id, signal: AbortSignal.timeout(20_000) });

    await expect(booted).rejects.toMatchObject({ code: 'sandbox_boot', details: { output: expect.stringContaining('/nowhere') } });
    expect(await tracesOf(id, host.options)).toEqual([]);
  });

  test('an id that is in use is refused, and its owner keeps what it has', async () => {
    const sandbox = await host.boot();

    await expect(host.provider().boot({ id: sandbox.id, signal: AbortSignal.timeout(20_000) })).rejects.toMatchObject({ code: 'sandbox_boot' });

    expect(await output(sandbox, 'echo lives')).toBe('lives');
    expect(await sandbox.dispose()).toEqual([]);
  });

  test('an id that is not one is refused', async () => {
    for (const id of ['', '../x', 'a/b', 'A', 'x'.repeat(41), '-a']) {
      await expect(host.provider().boot({ id, signal: AbortSignal.timeout(20_000) })).rejects.toMatchObject({ code: 'sandbox_boot' });
    }
  });

  test.runIf(process.getuid?.() === 0)('no two at once have the same user, and none is started when no user is left', async () => {
    const two = { uidRange: { first: host.options.uidRange.first + host.options.uidRange.count, count: 2 } };
    const sandboxes = await Promise.all([host.boot(two), host.boot(two)]);

    await expect(host.boot(two)).rejects.toMatchObject({ code: 'sandbox_boot' });

    await Promise.all(sandboxes.map((sandbox) => sandbox.dispose()));
    await using later = await host.boot(two);
    expect(later.info.restored).toBe(true);
  });

  test('a template that is not there is missing, not made', async () => {
    const booted = host.provider({ memoryMib: 333 }).boot({ id: newVmId(), signal: AbortSignal.timeout(20_000) });
    await expect(booted).rejects.toMatchObject({ code: 'template_missing' });
  });
});
