/**
 * The walls inside a VM, under each provider: what the agent's user tries once setup is over, each attempt refused. The
 * same attempt by root, or by the agent while it may use sudo, shows that it would succeed but for the walls; where it
 * does not even then, the provider has no such thing.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withdrawRoot } from '../../src/fix/guest-root.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { ExecOptions, Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const libc = 'import ctypes, os, socket, stat, sys, time\nlibc = ctypes.CDLL(None, use_errno=True)\n';
const python = (script: string): readonly string[] => ['python3', '-c', libc + script];
/** Succeeds unless the call is refused for want of privilege, or is not there at all: with such arguments it fails anyway. */
const call = (number: number, ...words: readonly string[]): readonly string[] =>
  python(`libc.syscall(${[number, ...words].join(', ')})\nsys.exit(ctypes.get_errno() in (1, 38))`);
const shell = (script: string): readonly string[] => ['bash', '-c', script];
/** PTRACE_SEIZE neither stops nor changes whom it takes. */
const seize = (pid: string): readonly string[] => python(`pid = int(os.popen("${pid}").read())\nsys.exit(libc.ptrace(0x4206, pid, None, None) != 0)`);
const sshd = 'pgrep -x sshd | head -n 1';
const isRoot = 'test "$(id -u)" = 0';

const openPipe = `
folder = '/proc/' + os.popen('${sshd}').read().strip() + '/fd/'
paths = [folder + name for name in os.listdir(folder)]
pipes = [path for path in paths if stat.S_ISFIFO(os.stat(path).st_mode) and os.stat(path).st_uid == 0]
os.open(pipes[0], os.O_RDONLY | os.O_NONBLOCK)`;

/** Who succeeds where nothing stops it, under which provider. */
type Attempt = readonly [what: string, argv: readonly string[], able: { readonly qemu: boolean; readonly oci: boolean }];
const both = { qemu: true, oci: true };
const machine = { qemu: true, oci: false };
const neither = { qemu: false, oci: false };

const byRoot: readonly Attempt[] = [
  ['changes the configuration of sshd', shell('echo >> /etc/ssh/mayfly_sshd_config'), both],
  ['adds a key for sshd', shell('echo >> /run/mayfly/authorized_keys'), both],
  ['signals sshd', shell(`kill -0 $(${sshd})`), both],
  ['traces sshd', seize(sshd), both],
  ['opens the memory of sshd', shell(`exec 3<> /proc/$(${sshd})/mem`), both],
  ['reads what another has open', shell('head -c 1 /proc/$(pgrep -f ^left-open)/fd/3'), both],
  ['writes what another has open', shell('echo >> /proc/$(pgrep -f ^left-open)/fd/3'), both],
  ['opens a pipe of sshd', python(openPipe), both],
  ['opens the port that sshd speaks through', shell('head -c 1 /dev/vport* > /dev/null'), neither],
  ['listens where the way out begins', python('socket.create_server(("127.0.0.1", 3128))'), neither],
  ['replaces the supervisor', shell('touch /usr/lib/mayfly/run'), both],
  ['takes the name of a command', shell('ln -s 1 /run/mayfly/00 && rm /run/mayfly/00'), both],
  ['signals PID 1', shell('kill -0 1'), both],
  ['traces PID 1', seize('echo 1'), both],
  ['opens the memory of PID 1', shell('exec 3<> /proc/1/mem'), both],
  ['changes what names mean', shell('echo >> /etc/hosts'), both],
  ['changes who is who', shell('touch /etc/passwd'), both],
  ['becomes root by asking', python('os.setuid(0)'), both],
  ['lets itself have more processes', shell('ulimit -Hu 100000'), machine],
  ['loads a module', call(175, 'b""', '0', 'b""'), machine],
  ['restarts the machine', call(169, '0', '0', '0', '0'), machine],
  ['opens the memory of the machine', shell('exec 3< /dev/mem'), machine],
  ['reads the disk below the files', shell('head -c 512 /dev/vda > /dev/null'), machine],
  ['reads the memory of the machine by a device of its own', shell('rm -f /dev/own; mknod /dev/own c 1 1 && head -c 1 /dev/own > /dev/null'), machine],
  ['reads the disk in a user namespace', shell('unshare --user --map-root-user head -c 512 /dev/vda > /dev/null'), machine],
  ['sets the clock', python('time.clock_settime(time.CLOCK_REALTIME, time.time())'), machine],
  ['sets the name of the machine', shell('hostname "$(hostname)"'), machine],
  ['mounts', shell('mount -t tmpfs none /mnt && umount /mnt'), machine],
  ['makes a control group', shell('mkdir /sys/fs/cgroup/own && rmdir /sys/fs/cgroup/own'), machine],
  ['tells the kernel how to work', shell('echo 1 > /proc/sys/vm/drop_caches'), machine],
  ['sends packets of its own making', python('socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'), machine],
];

/** What a setup could leave that makes root of its user. gVisor has no such programs, but the sudo that we give it. */
const bySetup: readonly Attempt[] = [
  ['uses sudo', shell('sudo -n true'), both],
  ['uses a shell with the setuid bit', ['/usr/local/bin/left-shell', '-p', '-c', isRoot], machine],
  ['uses a program with capabilities', ['/usr/local/bin/left-python', '-c', 'import os; os.setuid(0)'], machine],
  ['uses su without a password', ['su', '-c', isRoot], machine],
  ['uses a second rule of sudo', shell('/usr/bin/sudo.distrib -n true || sudo -n true'), both],
  ['uses a group that owns the disk', shell('head -c 512 /dev/vda > /dev/null'), machine],
  ['uses a list of users that is open', shell('echo >> /etc/passwd'), both],
  ['uses a supervisor that is open', shell('touch /usr/lib/mayfly/other'), both],
];

const leave = `
set -e
install -m 4755 /bin/bash /usr/local/bin/left-shell
install -m 0755 "$(readlink -f /usr/bin/python3)" /usr/local/bin/left-python
passwd -q -d root
echo 'agent ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/left
chmod 0440 /etc/sudoers.d/left
usermod --append --groups disk agent
if [ -e /dev/vda ]; then chgrp disk /dev/vda && chmod 0660 /dev/vda; fi
chmod 0666 /etc/passwd
chmod 0777 /usr/lib/mayfly
mkdir -p /root/.ssh /etc/cron.d /etc/systemd/system
echo 'ssh-ed25519 AAAA left' > /root/.ssh/authorized_keys
echo '* * * * * root touch /tmp/cron-was-here' > /etc/cron.d/left
setsid nohup sleep 86400 > /dev/null 2>&1 &
`;
/** cap_setuid, permitted and effective, as capabilities(7) lays it out; gVisor keeps no such attribute. */
const giveCapability = `os.setxattr("/usr/local/bin/left-python", "security.capability", bytes.fromhex("010000028000000000000000" + "00000000" * 2))`;

const guests = [
  ['qemu', createQemuProvider, !isSkipped('walls in guests of qemu', await lacksForGuests())],
  ['oci', createOciProvider, !isSkipped('walls in guests of oci', await lacksForGvisor())],
] as const;

describe.each(guests)('in a guest of %s', (provider, create, runs) => {
  let host: GuestHost;
  let sandbox: Sandbox;
  let holding: Promise<unknown>;
  const release = new AbortController();
  beforeAll(async () => {
    if (!runs) return;
    host = await openGuestHost(create);
    sandbox = await host.boot();
    await sandbox.forward(3128, (stream) => stream.destroy());
    await output(sandbox, leave, 'root');
    await sandbox.exec(python(giveCapability), { user: 'root', cwd: '/' });
    const hold = ['bash', '-c', 'umask 077; exec 3<> /root/left-open; echo text >&3; exec -a left-open sleep 86400'];
    holding = sandbox.exec(hold, { user: 'root', cwd: '/', signal: release.signal }).catch(() => null);
    await output(sandbox, 'until pgrep -f ^left-open > /dev/null; do sleep 0.05; done');
  });
  afterAll(async () => {
    await sandbox?.dispose();
    await host?.close();
  });

  const succeeds = async (argv: readonly string[], options: ExecOptions): Promise<boolean> =>
    (await sandbox.exec(argv, { cwd: '/', timeoutMs: 60_000, ...options })).exitCode === 0;
  const tried = async (attempts: readonly Attempt[], options: ExecOptions): Promise<Record<string, boolean>> => {
    const results: [string, boolean][] = [];
    for (const [what, argv] of attempts) results.push([what, await succeeds(argv, options)]);
    return Object.fromEntries(results);
  };
  const expected = (attempts: readonly Attempt[]): Record<string, boolean> => Object.fromEntries(attempts.map(([what, , able]) => [what, able[provider]]));
  const nothing = (attempts: readonly Attempt[]): Record<string, boolean> => Object.fromEntries(attempts.map(([what]) => [what, false]));

  test.skipIf(!runs)('the agent may use what setup has left only where it is told that it may', async () => {
    expect(await tried(bySetup, { sudo: true })).toEqual(expected(bySetup));
    const closed = { ...nothing(bySetup), 'uses a list of users that is open': true, 'uses a supervisor that is open': true };
    expect(await tried(bySetup, {})).toEqual(closed);
  });

  test.skipIf(!runs)('nothing that setup has left makes root of the agent afterwards', async ({ signal }) => {
    await withdrawRoot(sandbox, signal);

    expect(await tried(bySetup, {})).toEqual(nothing(bySetup));
  });

  test.skipIf(!runs)('the agent touches nothing that is not its own', async () => {
    expect(await tried(byRoot, {})).toEqual(nothing(byRoot));
  });

  test.skipIf(!runs)('root could have, as far as there is such a thing', async () => {
    expect(await tried(byRoot, { user: 'root' })).toEqual(expected(byRoot));
  });

  test.skipIf(!runs)('a command of the agent inherits three descriptors and no more', async () => {
    // The fourth is that of the list itself.
    expect(await output(sandbox, 'echo $(ls /proc/self/fd)')).toBe('0 1 2 3');
  });

  test.skipIf(!runs)('no new privileges, no capability, no group but its own', async () => {
    const status = await output(sandbox, 'cat /proc/self/status; echo "groups: $(id -Gn)"');

    expect(status).toMatch(/^groups: agent$/m);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd']) expect(status).toMatch(new RegExp(`^${set}:\\s0+$`, 'm'));
    expect(await succeeds(python('sys.exit(libc.prctl(39, 0, 0, 0, 0) != 1)'), {})).toBe(true);
  });

  test.skipIf(!runs)('nobody but ours runs as root, and nobody listens but the way out', async () => {
    release.abort();
    await holding;
    const processes = `for each in /proc/[0-9]*; do [ "$(stat -c %u $each)" != 0 ] || readlink $each/exe || true; done | sort -u`;
    const ours = ['/init', '/usr/bin/bash', '/usr/bin/readlink', '/usr/bin/sort', '/usr/bin/stat', '/usr/lib/mayfly/', '/usr/sbin/sshd'];
    const strangers = (await output(sandbox, processes, 'root')).split('\n').filter((line) => !ours.some((own) => line.startsWith(own)));
    const listening = await output(sandbox, `cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" {print $2}' | sort -u`);

    expect(strangers).toEqual([]);
    expect(listening.split('\n').every((line) => line.endsWith(':0C38'))).toBe(true);
  });

  test.skipIf(!runs || provider !== 'oci')('a process that got away from the setup commands ends the run', async ({ signal }) => {
    await using other = await host.boot();
    await other.exec(['sudo', 'bash', '-c', 'setsid sleep 86400 < /dev/null > /dev/null 2>&1 & kill -9 $PPID'], { sudo: true, cwd: '/' });

    await expect(withdrawRoot(other, signal)).rejects.toMatchObject({ code: 'setup_failed', details: { processes: 'sleep' } });
  });
});
