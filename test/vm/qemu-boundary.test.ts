/** What separates a guest from the host: no network card, a user of its own, seccomp, a control group, a template that it cannot write. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCgroups } from '../../src/sandbox/cgroup.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { digestFile } from '../../src/sandbox/digest.ts';
import { verifyImage } from '../../src/sandbox/image.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { findTemplate } from '../../src/sandbox/template.ts';
import type { Template } from '../../src/sandbox/vm.ts';
import { lacksForGuests, newVmId, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const nobody = 65_534;
const workerScript = fileURLToPath(new URL('../support/vm-worker.ts', import.meta.url));
const lacking = await lacksForGuests();
if (lacking !== null) process.stderr.write(`skipped: guests, because ${lacking}\n`);
const asRoot = process.getuid?.() === 0;
if (!asRoot) process.stderr.write('skipped: user ids of VMs, because only root can give them\n');

describe.skipIf(lacking !== null)('a guest', () => {
  let host: GuestHost;
  let template: Template;
  let before: string[];
  let sandbox: Sandbox;
  beforeAll(async () => {
    host = await openGuestHost();
    template = await findTemplate(host.options);
    before = await digests(template);
    sandbox = await host.boot();
  });
  afterAll(async () => {
    await sandbox?.dispose();
    await host?.close();
  });

  test('has no network card, no route and no name server', async () => {
    expect(await output(sandbox, 'ls /sys/class/net')).toBe('lo');
    expect(await output(sandbox, 'cat /proc/net/route | wc -l; cat /etc/resolv.conf')).toBe('1');
    const reached = await sandbox.exec(['bash', '-c', 'exec 3<>/dev/tcp/192.0.2.1/80']);
    expect(reached).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Network is unreachable') });
  });

  test.runIf(asRoot)('is run by a user of its own, with nothing to gain', async () => {
    const [other, [pid = 0]] = [await host.boot(), await findProcesses(sandbox.id)];
    const [status, otherStatus] = await Promise.all([statusOf(pid), statusOf((await findProcesses(other.id))[0] ?? 0)]);
    await other.dispose();

    const { first, count } = host.options.uidRange;
    const uids = status['Uid']?.split('\t').map(Number) ?? [];
    expect(new Set(uids).size).toBe(1);
    expect(uids[0]).toBeGreaterThanOrEqual(first);
    expect(uids[0]).toBeLessThan(first + count);
    expect(otherStatus['Uid']).not.toBe(status['Uid']);
    expect(status).toMatchObject({ Groups: '', NoNewPrivs: '1', Seccomp: '2', CapPrm: '0'.repeat(16), CapEff: '0'.repeat(16), CapBnd: '0'.repeat(16) });
  });

  test('is run without the environment of the worker', async () => {
    const [pid = 0] = await findProcesses(sandbox.id);
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    const names = environment.split('\0').map((line) => line.split('=')[0]);
    expect(names.filter((name) => !['', 'PATH', 'LANG', 'PWD', 'SHLVL', '_', 'OLDPWD'].includes(name ?? ''))).toEqual([]);
  });

  test.runIf(asRoot)('is limited in memory and processes before it starts', async () => {
    const [pid = 0] = await findProcesses(sandbox.id);
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    const lines = groups.split('\n').filter((line) => line.endsWith(`/mayfly/${sandbox.id}`));
    expect(lines.length).toBeGreaterThanOrEqual(1);
    const limited = lines.some((line) => line.startsWith('0::')) || ['memory', 'pids'].every((name) => lines.some((line) => line.includes(`:${name}:`)));
    expect(limited).toBe(true);

    const memory = await limitsOf(sandbox.id, ['memory.limit_in_bytes', 'memory.max']);
    expect(memory).toEqual([expect.stringMatching(/^\d+$/)]);
    // Those of the guest, and what QEMU itself needs.
    expect(Number(memory[0]) / 2 ** 20).toBeGreaterThan(host.options.memoryMib);
    expect(Number(memory[0]) / 2 ** 20).toBeLessThanOrEqual(host.options.memoryMib + 512);
    // Swap is no more memory. Not every kernel counts it.
    expect([memory, ['0'], []]).toContainEqual(await limitsOf(sandbox.id, ['memory.memsw.limit_in_bytes', 'memory.swap.max']));
    expect(await limitsOf(sandbox.id, ['pids.max'])).toEqual([expect.stringMatching(/^\d{2,3}$/)]);
  });

  test('leaves the template as it was, after a day of work in it', async () => {
    await output(sandbox, 'dd if=/dev/urandom of=/usr/local/bin/node bs=1M count=8 conv=notrunc; rm -rf /usr/share/perl; sync', 'root');
    const clones = await Promise.all([host.boot(), host.boot()]);
    const versions = await Promise.all(clones.map((clone) => output(clone, 'node --version && ls -d /usr/share/perl')));
    await Promise.all(clones.map((clone) => clone.dispose()));

    expect(versions).toEqual(Array.from({ length: 2 }, () => `${process.version}\n/usr/share/perl`));
    expect(await verifyImage(template.image)).toEqual([]);
    expect(await digests(template)).toEqual(before);
  });

  test.runIf(asRoot)('cannot write the template, not even as the user that its QEMU is', async () => {
    const files = [template.snapshot?.memory, template.snapshot?.state, template.snapshot?.disk, template.image.disk, template.image.kernel];
    const uid = String(host.options.uidRange.first);
    for (const file of files) {
      const { uid: owner, mode } = await stat(file ?? '');
      expect([owner, mode & 0o777]).toEqual([0, 0o444]);
      const written = await execa('setpriv', ['--reuid', uid, '--regid', uid, '--clear-groups', 'sh', '-c', ': >> "$1"', 'sh', file ?? ''], { reject: false });
      expect(written).toMatchObject({ failed: true, stderr: expect.stringContaining('Permission denied') });
    }
    const [pid = 0] = await findProcesses(sandbox.id);
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
    expect(maps.split('\n').filter((line) => line.includes(template.snapshot?.memory ?? '?'))).toEqual([expect.stringMatching(/^\S+ rw-p/)]);
  });

  // How little the host keeps of it is tested without a VM, with a gigabyte: integration/host-process.test.ts.
  test('may print without end: the host reads it, and goes on', async () => {
    await sandbox.exec(['sh', '-c', 'timeout 5 cat /dev/zero | tr "\\0" x > /dev/ttyS0'], { user: 'root' });
    expect(await output(sandbox, 'echo still here')).toBe('still here');
  });
});

/** A checkout below a closed home directory cannot be run by another user. */
const closed = asRoot && (await execa('setpriv', [...asUser(nobody), 'test', '-r', workerScript], { reject: false })).failed;
if (closed) console.warn('SKIPPED: a worker that is not root; other users cannot read this checkout.');

describe.runIf(lacking === null && asRoot && !closed)('a worker that is not root', () => {
  let host: GuestHost;
  beforeAll(async () => {
    host = await openGuestHost();
    await chown(host.options.stateDir, nobody, nobody);
  });
  afterAll(async () => {
    await host?.provider().sweep();
    await host?.close();
  });

  test('is refused guests that it cannot limit', async () => {
    const { log: _, ...options } = host.options;
    const refused = await execa('setpriv', asNobody({ ...options, id: newVmId() }), { reject: false });
    expect(refused).toMatchObject({ failed: true, stderr: expect.stringContaining("code: 'sandbox_unlimited'") });
  });

  test('gets them when the operator accepts that, and they run as its own user', async () => {
    const { log: _, ...options } = host.options;
    const id = newVmId();
    const worker = spawn('setpriv', asNobody({ ...options, id, allowUnlimited: true }), { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(worker.stdout, 'data');
    const [pid = 0] = await findProcesses(id);
    const status = await statusOf(pid);
    worker.kill('SIGKILL');
    await once(worker, 'exit');

    expect(status).toMatchObject({ Uid: Array.from({ length: 4 }, () => nobody).join('\t'), Seccomp: '2', NoNewPrivs: '1' });
    await expect.poll(() => findProcesses(id), { timeout: 60_000 }).toEqual([]);
  });
});

describe.skipIf(lacking !== null)('a guest that misbehaves', () => {
  let host: GuestHost;
  beforeAll(async () => {
    host = await openGuestHost();
  });
  afterAll(async () => {
    await host?.close();
  });

  test('and fills its disk gets an error, and its host loses no more than the disk', async () => {
    await using sandbox = await host.boot();
    const result = await sandbox.exec(['bash', '-c', 'fallocate -l 20G /workspace/big || dd if=/dev/zero of=/workspace/big bs=1M count=1']);
    expect(result.stderr).toContain('No space left on device');
    const filled = await sandbox.exec(
      ['bash', '-c', 'fallocate -l $(($(stat -f -c "%a*%S" /workspace) - 1000000)) /workspace/full; df --output=avail / | tail -1'],
      { user: 'root' },
    );
    expect(filled.exitCode).toBe(0);
    expect(await output(sandbox, 'rm -f /workspace/*; df --output=avail / | tail -1')).toMatch(/^\d{7}/);
  });

  test('and fills its memory loses its own process, not the machine', async () => {
    await using sandbox = await host.boot({ coldBoot: true, memoryMib: 512 });
    const hog = await sandbox.exec(['python3', '-c', 'a = []\nwhile True: a.append(bytearray(64 << 20))'], { timeoutMs: 90_000 });
    expect(hog).toMatchObject({ ended: 'exited', exitCode: expect.toSatisfy((code: number | null) => code !== 0) });
    expect(await output(sandbox, 'echo still here')).toBe('still here');
    expect(sandbox.lost.aborted).toBe(false);
  });

  test('and stops its kernel is thrown away all the same', async () => {
    const sandbox = await host.boot();
    const lost = once(sandbox.lost, 'abort');
    const stopped = sandbox
      .exec(['sh', '-c', 'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger'], { user: 'root' })
      .catch((error: unknown) => error);
    await lost;
    expect(await sandbox.dispose()).toEqual([]);
    expect(await stopped).toMatchObject({ code: 'sandbox_lost' });
  });
});

function asUser(uid: number): string[] {
  return ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups'];
}

function asNobody(options: Record<string, unknown>): string[] {
  return [...asUser(nobody), process.execPath, workerScript, JSON.stringify(options)];
}

/** What is written in such files of a VM's control groups, of whatever hierarchy has them. */
async function limitsOf(id: string, names: readonly string[]): Promise<string[]> {
  const files = (await findCgroups(id)).flatMap((directory) => names.map((name) => join(directory, name)));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.map((text) => text.trim()).filter((text) => text !== '');
}

async function digests(template: Template): Promise<string[]> {
  const { snapshot } = template;
  return Promise.all(snapshot ? [snapshot.memory, snapshot.state, snapshot.disk].map((file) => digestFile(file)) : []);
}

async function statusOf(pid: number): Promise<Record<string, string>> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Object.fromEntries(text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
}
