/** What is true of guests under gVisor beside the contract: what they cannot reach, how they end, what is left of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findLoops } from '../../src/sandbox/capped-disk.ts';
import { chooseProvider } from '../../src/sandbox/choose-provider.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { runscProgram } from '../../src/sandbox/runsc.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { isSkipped, lacksForGvisor, newVmId, openGuestHost, output, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const workerScript = fileURLToPath(new URL('../support/vm-worker.ts', import.meta.url));
const skipped = isSkipped('guests under gVisor', await lacksForGvisor());

describe.skipIf(skipped)('a gVisor guest', () => {
  let host: GuestHost;
  let sandbox: Sandbox;
  beforeAll(async () => {
    host = await openGuestHost(createOciProvider);
    sandbox = await host.boot();
  });
  afterAll(async () => {
    await sandbox?.dispose();
    await host?.close();
  });

  test('says what it is', () => {
    expect(sandbox.info).toMatchObject({ provider: 'oci', accel: 'systrap', isolation: 'syscall', networkCards: 0, restored: false });
  });

  test('runs on the kernel of gVisor, not on that of the host', async () => {
    expect(await output(sandbox, 'cat /proc/version')).not.toBe((await readFile('/proc/version', 'utf8')).trim());
    expect(await output(sandbox, 'dmesg', 'root')).toContain('gVisor');
  });

  test('has no network but loopback, and no route out', async () => {
    expect(await output(sandbox, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")).toBe('lo');
    expect(await output(sandbox, 'tail -n +2 /proc/net/route')).toBe('');
    const { stdout } = await sandbox.exec(['python3', '-c', reach]);
    expect(stdout.trim().split('\n')).toEqual(['10.0.0.1 no', '169.254.169.254 no', '8.8.8.8 no', '::1 yes', '127.0.0.1 yes']);
  });

  test('has the processors and the memory that it was given, not those of the host', async () => {
    const memoryKib = Number(await output(sandbox, "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"));

    expect(await output(sandbox, 'nproc')).toBe(`${host.options.vcpus}`);
    expect(memoryKib / 1024).toBeLessThanOrEqual(host.options.memoryMib + 256);
  });

  test('is served by a process without a user, a capability or a file system of the host', async () => {
    const statuses = await Promise.all((await findProcesses(sandbox.id)).map(describeProcess));
    const kernels = statuses.filter(({ name }) => name.startsWith('runsc-sandbox'));

    expect(kernels.length).toBeGreaterThan(0);
    for (const { uid, capabilities, seccomp, root } of kernels) {
      expect({ uid, capabilities, seccomp }).toEqual({ uid: '65534', capabilities: '0000000000000000', seccomp: '2' });
      expect(root.filter((entry) => !['etc', 'proc'].includes(entry))).toEqual([]);
    }
  });

  test('leaves the root filesystem that it shares as it was', async () => {
    await output(sandbox, 'echo changed > /etc/motd; rm -rf /usr/share/perl; touch /usr/bin/new; chmod 777 /etc/passwd', 'root');
    await using other = await host.boot();

    expect(await output(other, 'grep -c changed /etc/motd; ls -d /usr/bin/new /usr/share/perl 2>/dev/null; stat -c %a /etc/passwd')).toBe(
      '0\n/usr/share/perl\n644',
    );
  });

  test('that fills its disk gets an error, and its host loses no more than the disk', async () => {
    await using small = await host.boot({ layerBytes: 200 * 2 ** 20 });

    expect(await output(small, 'head -c 300M /dev/zero > /workspace/big || echo "exit $?"; stat -c %s /workspace/big')).toMatch(/^exit 1\n\d+$/);
    await expect(small.put('/workspace/more', Buffer.alloc(30_000_000, 'x'))).rejects.toMatchObject({ code: 'guest_disk_full' });
    expect(await output(small, 'rm /workspace/big; echo well')).toBe('well');
    expect(await output(small, 'head -c 150M /dev/zero > /workspace/again && echo well')).toBe('well');
  });

  test('whose process takes all memory loses the process, and is told why', async () => {
    await using small = await host.boot({ memoryMib: 300 });

    const hungry = await small.exec(['python3', '-c', 'held = []\nwhile True: held.append(bytearray(b"x" * (8 << 20)))']);

    expect(hungry.exitCode).not.toBe(0);
    expect(hungry.stderr).toContain('ran out of memory');
    expect(await output(small, 'echo well')).toBe('well');
    expect((await small.exec(['false'])).stderr).toBe('');
  });

  test('that fills its memory with files ends, and that is told apart from other endings', async () => {
    const small = await host.boot({ memoryMib: 300 });
    const lost = once(small.lost, 'abort');

    const working = small.exec(['sh', '-c', 'cat /dev/zero > /dev/shm/big']).catch((error: unknown) => error);
    await lost;

    expect(small.lost.reason).toMatchObject({ code: 'guest_memory_full' });
    expect(await working).toMatchObject({ code: 'sandbox_lost' });
    expect(await small.dispose()).toEqual([]);
  });

  test('cannot print where its first process does: whoever is no child of it has no console', async () => {
    const printed = await sandbox.exec(['sh', '-c', 'echo 1 > /proc/1/fd/1; echo 2 > /proc/1/fd/2'], { user: 'root' });

    expect(printed.exitCode).not.toBe(0);
    expect(printed.stderr.match(/No such device or address|nonexistent/g)).toHaveLength(2);
  });

  test('that holds much in /tmp holds it on its disk, not in its memory', async () => {
    await using small = await host.boot({ memoryMib: 300 });

    expect(await output(small, 'head -c 800M /dev/zero > /tmp/big && stat -c %s /tmp/big')).toBe(`${800 * 2 ** 20}`);
  });

  test.each(['runsc-sandbox', 'runsc-gofer', 'runsc'])('whose %s is killed is lost, and leaves nothing', async (name) => {
    const killed = await host.boot();
    const lost = once(killed.lost, 'abort');
    const working = killed.exec(['sleep', '600']).catch((error: unknown) => error);
    // The gofer only opens files: without it the next one that is not open yet fails.
    const opening = killed.exec(['bash', '-c', 'while cat /usr/share/*/* > /dev/null 2>&1 || true; do :; done']).catch((error: unknown) => error);
    const statuses = await Promise.all((await findProcesses(killed.id)).map(describeProcess));
    const [victim] = statuses.filter((status) => status.name === name).toSorted((left, right) => left.pid - right.pid);

    process.kill(victim?.pid ?? 0, 'SIGKILL');
    if (name !== 'runsc-gofer') await lost;

    expect(await killed.dispose()).toEqual([]);
    expect(await working).toMatchObject({ code: 'sandbox_lost' });
    await opening;
    expect(await tracesOf(killed.id, host.options)).toEqual([]);
  });

  test('ends with its worker, and the next start removes the rest', async () => {
    const id = newVmId();
    const { log: _, ...options } = host.options;
    const worker = spawn(...endsWithUs(process.execPath, [workerScript, JSON.stringify({ ...options, id, provider: 'oci' })]), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(worker.stdout, 'data');
    expect((await findProcesses(id)).length).toBeGreaterThan(0);

    worker.kill('SIGKILL');
    await once(worker, 'exit');

    expect(await host.provider().sweep()).toEqual([id]);
    expect(await tracesOf(id, host.options)).toEqual([]);
    expect(await findLoops(join(host.options.stateDir, 'vms', id))).toEqual([]);
  });

  test.each([0, 10, 30, 60, 100, 150, 200, 300])('leaves nothing when its boot is cancelled after %i ms', async (afterMs) => {
    const id = newVmId();

    const ended = await host
      .provider()
      .boot({ id, signal: AbortSignal.timeout(afterMs) })
      .then((made) => made.dispose())
      .catch((error: unknown) => error);

    expect([[], expect.objectContaining({ code: 'cancelled' })]).toContainEqual(ended);
    expect(await tracesOf(id, host.options)).toEqual([]);
    expect(await findLoops(join(host.options.stateDir, 'vms', id))).toEqual([]);
  });

  test('whose program is not runsc does not start, and says what was said', async () => {
    const id = newVmId();
    const { log: _, ...options } = host.options;
    const program = join(host.options.stateDir, 'runsc');
    await writeFile(program, await describeNoRunsc('only a script of this test'), { mode: 0o755 });

    // In a mount namespace of its own, where the script is in the place of runsc.
    const inPlace = 'mount --bind "$1" "$(command -v runsc)" && shift && exec "$@"';
    const worker = [process.execPath, workerScript, JSON.stringify({ ...options, id, provider: 'oci' })];
    const refused = await execa('unshare', ['--mount', 'sh', '-c', inPlace, 'sh', program, ...worker], { reject: false });

    expect(refused).toMatchObject({ failed: true, stdout: '', stderr: expect.stringContaining("code: 'sandbox_boot'") });
    expect(refused.stderr).toContain(String.raw`output: 'only a script of this test\n'`);
    expect(await tracesOf(id, host.options)).toEqual([]);
  });

  test('whose template is not there does not start, and none is made', async () => {
    const cacheDir = join(host.options.stateDir, 'nothing');
    await expect(host.provider({ cacheDir }).boot({ id: newVmId(), signal: AbortSignal.timeout(20_000) })).rejects.toMatchObject({ code: 'template_missing' });
  });

  test('is what boots where KVM does not work, unless the operator names another', async () => {
    const { provider, reason } = await chooseProvider(host.options, null);
    const named = await chooseProvider(host.options, 'qemu');

    expect(`${provider.name}: ${reason}`).toMatch(/^(?:oci: KVM does not work on this host|qemu: KVM works on this host)/);
    expect(named).toMatchObject({ provider: { name: 'qemu' }, reason: 'it was asked for' });
  });
});

/** A script that says of itself what the runsc of this host says of itself, and does nothing but say something. */
async function describeNoRunsc(words: string): Promise<string> {
  const [version, flags] = await Promise.all(['--version', 'flags'].map((question) => execa(runscProgram, [question], { all: true, reject: false })));
  return `#!/bin/sh
case "$1" in
--version) cat <<'END'
${version?.all}
END
;;
flags) cat <<'END'
${flags?.all}
END
;;
*) echo '${words}' >&2; exit 3 ;;
esac
`;
}

/** Whether each address takes, or could take, a connection. */
const reach = `
import socket
for host in ['10.0.0.1', '169.254.169.254', '8.8.8.8', '::1', '127.0.0.1']:
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    s.settimeout(2)
    try:
        s.connect((host, 9))
    except ConnectionRefusedError:
        print(host, 'yes')
    except OSError:
        print(host, 'no')
`;

interface ProcessStatus {
  readonly pid: number;
  readonly name: string;
  readonly uid: string | undefined;
  readonly capabilities: string | undefined;
  readonly seccomp: string | undefined;
  readonly root: readonly string[];
}

async function describeProcess(pid: number): Promise<ProcessStatus> {
  const [status, argv, root] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''),
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
    readdir(`/proc/${pid}/root`).catch(() => []),
  ]);
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1];
  return { pid, name: argv.split('\0')[0] ?? '', uid: field('Uid'), capabilities: field('CapEff'), seccomp: field('Seccomp'), root };
}
