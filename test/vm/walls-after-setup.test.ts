/** What a setup that is up to no good leaves for later, under each provider: taking root away puts it right, or ends the run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withdrawRoot } from '../../src/fix/guest-root.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const guests = [
  ['qemu', createQemuProvider, !isSkipped('walls after setup in guests of qemu', await lacksForGuests())],
  ['oci', createOciProvider, !isSkipped('walls after setup in guests of oci', await lacksForGvisor())],
] as const;

const isAble = async (sandbox: Sandbox, script: string): Promise<boolean> => (await sandbox.exec(['bash', '-c', script], { cwd: '/' })).exitCode === 0;

/** The kernel starts it as root when a process dies. It ends when it was told everything, unless it has more to do. */
const dieWith = (more: string): string => `
set -e
printf '#!/bin/sh\ncat > /dev/null\n${more}\n' > /usr/local/bin/left-undertaker
chmod 0755 /usr/local/bin/left-undertaker
echo '|/usr/local/bin/left-undertaker' > /proc/sys/kernel/core_pattern
`;
const die = `bash -c 'kill -SEGV $$' || true`;

describe.each(guests)('in a guest of %s', (provider, create, runs) => {
  let host: GuestHost;
  beforeAll(async () => {
    if (runs) host = await openGuestHost(create);
  });
  afterAll(async () => {
    await host?.close();
  });
  const isMachine = provider === 'qemu';

  test.skipIf(!runs)('a guest that has lost its name is walled like any other', async ({ signal }) => {
    await using sandbox = await host.boot();
    await output(sandbox, 'rm /run/mayfly/machine-id; chmod 0777 /usr/lib/mayfly', 'root');
    expect(await isAble(sandbox, 'touch /usr/lib/mayfly/other')).toBe(true);

    await withdrawRoot(sandbox, signal);

    expect(await isAble(sandbox, 'touch /usr/lib/mayfly/other')).toBe(false);
  });

  test.skipIf(!runs)('what cannot be put right ends the run', async ({ signal }) => {
    await using sandbox = await host.boot();
    await output(sandbox, 'rm /etc/nsswitch.conf', 'root');

    await expect(withdrawRoot(sandbox, signal)).rejects.toMatchObject({ code: 'sandbox_boot', details: { step: 'root' } });
  });

  test.skipIf(!runs || isMachine)('a process that got away and has no name ends the run', async ({ signal }) => {
    await using sandbox = await host.boot();
    const nameless = 'import ctypes, time; ctypes.CDLL(None).prctl(15, b"\\n"); open("/tmp/ready", "w"); time.sleep(86400)';
    const getAway = `setsid python3 -c '${nameless}' < /dev/null > /dev/null 2>&1 & until [ -e /tmp/ready ]; do sleep 0.05; done; kill -9 $PPID`;
    await sandbox.exec(['sudo', 'bash', '-c', getAway], { sudo: true, cwd: '/' });

    await expect(withdrawRoot(sandbox, signal)).rejects.toMatchObject({ code: 'setup_failed', details: { processes: '' } });
  });

  test.skipIf(!runs || !isMachine).for([
    ['is open to all', 'chmod 0666 /dev/vda'],
    ['is of the agent', 'chown agent /dev/vda'],
    ['is of what setup made the first group of the agent', 'chgrp disk /dev/vda; chmod 0660 /dev/vda; usermod -g disk agent'],
  ])('a disk that %s is of root again', async ([, open], { signal }) => {
    await using sandbox = await host.boot();
    const read = 'head -c 512 /dev/vda > /dev/null';
    await output(sandbox, `${open}; chmod 0666 /dev/vport*`, 'root');
    expect(await isAble(sandbox, read)).toBe(true);

    await withdrawRoot(sandbox, signal);

    expect(await isAble(sandbox, read)).toBe(false);
    expect(await output(sandbox, 'stat -c "%U:%G %a" /dev/vd* /dev/vport* | sort -u')).toBe('root:root 600');
  });

  test.skipIf(!runs || !isMachine)('a node that setup made for the disk opens nothing', async ({ signal }) => {
    await using sandbox = await host.boot();
    const nodes = ['/home/agent/left', '/dev/left/deep/node', '/mnt/a b/left', '/mnt/bound/home/agent/left'];
    const make = (path: string): string => `mknod -m 666 '${path}' b $(stat -c '%Hr %Lr' /dev/vda)`;
    const mounts = `mkdir -p /dev/left/deep '/mnt/a b' /mnt/bound; mount -t tmpfs none '/mnt/a b'; mount --bind / /mnt/bound`;
    await output(sandbox, ['set -e', mounts, ...nodes.slice(0, 3).map(make)].join('\n'), 'root');
    const opens = (): Promise<boolean[]> => Promise.all(nodes.map((path) => isAble(sandbox, `head -c 512 '${path}' > /dev/null`)));
    expect(await opens()).toEqual([true, true, true, true]);

    await withdrawRoot(sandbox, signal);

    expect(await opens()).toEqual([false, false, false, false]);
    expect(await isAble(sandbox, 'echo > /dev/null; head -c 1 /dev/urandom > /dev/null')).toBe(true);
  });

  test.skipIf(!runs || !isMachine)('the kernel starts nothing of setup any more', async ({ signal }) => {
    await using sandbox = await host.boot();
    await output(sandbox, `${dieWith('id -u > /tmp/heir')} echo /usr/local/bin/left-undertaker > /proc/sys/kernel/modprobe`, 'root');
    await output(sandbox, `${die}; until [ -s /tmp/heir ]; do sleep 0.05; done`);
    expect(await output(sandbox, 'cat /tmp/heir')).toBe('0');
    await output(sandbox, 'rm /tmp/heir', 'root');

    await withdrawRoot(sandbox, signal);

    expect(await output(sandbox, 'cat /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe')).toBe('core');
    // Had there been somebody to tell, the kernel would have started it before the one who died was reaped.
    await output(sandbox, die);
    expect(await isAble(sandbox, 'pgrep left-undertaker || [ -e /tmp/heir ]')).toBe(false);
  });

  test.skipIf(!runs || !isMachine)('a process that the kernel started for setup ends the run', async ({ signal }) => {
    await using sandbox = await host.boot();
    await output(sandbox, dieWith('exec sleep 86400'), 'root');
    await output(sandbox, `${die}; until pgrep -x sleep; do :; done`);

    await expect(withdrawRoot(sandbox, signal)).rejects.toMatchObject({ code: 'setup_failed', details: { processes: 'sleep' } });
  });
});
