/** What a clone of a template gets of its own before it may speak, and that nothing speaks when it does not. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootSandbox } from '../../src/sandbox/boot.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { findTemplate } from '../../src/sandbox/template.ts';
import { createIdentity, thaw, thawMessage } from '../../src/sandbox/thaw.ts';
import type { Identity } from '../../src/sandbox/thaw.ts';
import { wake, withVm } from '../../src/sandbox/vm.ts';
import { lacksForGuests, newVmId, openGuestHost, output, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { readServerHandshake } from '../support/ssh-handshake.ts';
import type { ServerHandshake } from '../support/ssh-handshake.ts';

const lacking = await lacksForGuests();
if (lacking !== null) process.stderr.write(`skipped: guests, because ${lacking}\n`);

describe.skipIf(lacking !== null)('two clones of one template', () => {
  let host: GuestHost;
  let first: Sandbox;
  let second: Sandbox;
  let begunAt: number;
  beforeAll(async () => {
    host = await openGuestHost();
    begunAt = Date.now();
    first = await host.boot();
    second = await host.boot();
  });
  afterAll(async () => {
    await Promise.all([first?.dispose(), second?.dispose()]);
    await host?.close();
  });

  test('come from saved memory and say so', () => {
    expect(first.info).toMatchObject({ provider: 'qemu', restored: true, networkCards: 0 });
    expect(first.info.bootMs).toBeGreaterThan(0);
  });

  test('have the time of the host, and keep it', async () => {
    const earlier = await readClock(first);
    // The time that it was given, which may have been long on its way; not that of the template.
    expect(earlier.guestAt).toBeGreaterThanOrEqual(begunAt);
    expect(earlier.guestAt).toBeLessThan(earlier.hostAfter + 2000);

    await first.exec(['sleep', '2']);
    const later = await readClock(first);
    const passedMs = later.guestAt - earlier.guestAt;
    expect(passedMs).toBeGreaterThan(0.8 * (later.hostBefore - earlier.hostAfter));
    expect(passedMs).toBeLessThan(1.2 * (later.hostAfter - earlier.hostBefore));
  });

  test.each([
    ['random bytes', 'head -c 32 /dev/urandom | base64 -w0'],
    ['UUIDs', 'cat /proc/sys/kernel/random/uuid'],
    ['boot ids', 'cat /proc/sys/kernel/random/boot_id'],
    ['machine ids', 'cat /etc/machine-id'],
    ['host names', 'hostname'],
    ['random numbers in Node', 'node -p "crypto.randomUUID()"'],
    ['random numbers in Python', 'python3 -c "import random; print(random.random())"'],
  ])('have different %s', async (_, script) => {
    const [one, other] = await Promise.all([output(first, script), output(second, script)]);

    expect(one).not.toBe('');
    expect(one).not.toBe(other);
  });

  test('have their host keys in no file, and their client keys where no user but root can read', async () => {
    expect(await output(first, 'ls /run/mayfly | grep -c key', 'root')).toBe('1');
    expect(await output(first, 'cat /run/mayfly/authorized_keys', 'root')).not.toBe(await output(second, 'cat /run/mayfly/authorized_keys', 'root'));
    await expect(output(first, 'cat /run/mayfly/authorized_keys')).rejects.toThrow('Permission denied');
  });

  test('have SSH keys of their own, and draw their secrets anew although their servers were started before the template was saved', async () => {
    const template = await findTemplate(host.options);
    const handshake = (): Promise<ServerHandshake> =>
      withVm(host.options, template, { id: newVmId(), signal: AbortSignal.timeout(60_000) }, async (vm) => {
        await wake(vm, template);
        await thaw(vm.machine.channel, createIdentity('guest'));
        const seen = await readServerHandshake(vm.machine.channel);
        vm.machine.kill();
        await vm.machine.exited;
        await vm.claim.release();
        return seen;
      });
    const [one, other] = [await handshake(), await handshake()];

    for (const part of ['cookie', 'hostKey', 'ephemeralKey'] as const) {
      expect(one[part]).toMatch(/^[0-9a-f]{32,}$/);
      expect(one[part]).not.toBe(other[part]);
    }
  });

  test('can resolve their own names and both loopback addresses', async () => {
    expect(await output(first, 'getent hosts "$(hostname)" && getent ahosts localhost')).toContain('127.0.0.1');
    expect(await output(first, 'python3 -c "import socket; s = socket.socket(socket.AF_INET6); s.bind((\'::1\', 0)); print(s.getsockname()[0])"')).toBe('::1');
  });
});

describe.skipIf(lacking !== null)('a clone whose thaw fails', () => {
  let host: GuestHost;
  beforeAll(async () => {
    host = await openGuestHost();
  });
  afterAll(async () => {
    await host?.close();
  });

  const broken: [string, Partial<Identity>, string][] = [
    ['another version of the message', { version: '2' }, 'version'],
    ['too little entropy', { entropy: randomBytes(63) }, 'entropy'],
    ['a host name that is none', { hostname: 'a b' }, 'hostname'],
    ['a machine id that is none', { machineId: 'x'.repeat(32) }, 'machine-id'],
    ['a host key that is not base64', { hostPrivateKey: '' }, 'host-key'],
    ['another kind of client key', { authorizedKey: 'ssh-rsa AAAA' }, 'authorized-key'],
    ['a line too many', { authorizedKey: 'ssh-ed25519 AAAA\nroot yes' }, 'syntax'],
    ['a message without end', { authorizedKey: `ssh-ed25519 ${'A'.repeat(20_000)}` }, 'size'],
  ];

  test.each(broken)('with %s is thrown away', async (_, change, reason) => {
    const id = newVmId();
    const template = await findTemplate(host.options);

    const booted = bootSandbox(host.options, template, { id, signal: AbortSignal.timeout(60_000) }, (name) => ({ ...createIdentity(name), ...change }));

    await expect(booted).rejects.toMatchObject({ code: 'sandbox_thaw', details: { line: `error ${reason}` } });
    expect(await tracesOf(id, host.options)).toEqual([]);
  });

  test('ends by itself, without a word of SSH, when nobody listens to the error', async () => {
    const template = await findTemplate(host.options);
    const id = newVmId();

    const said = await withVm(host.options, template, { id, signal: AbortSignal.timeout(60_000) }, async (vm) => {
      await wake(vm, template);
      const { channel } = vm.machine;
      const chunks: Buffer[] = [];
      channel.on('data', (chunk: Buffer) => chunks.push(chunk));
      channel.write(thawMessage({ ...createIdentity('mayfly'), version: '0' }, Date.now()));
      await Promise.all([once(channel, 'close'), vm.machine.exited]);
      expect(await vm.claim.release()).toEqual([]);
      return Buffer.concat(chunks).toString();
    });

    expect(said).toBe('error version\n');
    expect(await tracesOf(id, host.options)).toEqual([]);
  });
});

/** The guest's clock, and ours before and after it was asked: how long the question takes is nobody's fault. */
async function readClock(sandbox: Sandbox): Promise<Readonly<Record<'hostBefore' | 'guestAt' | 'hostAfter', number>>> {
  const hostBefore = Date.now();
  const guestAt = Number(await output(sandbox, 'date +%s%3N'));
  return { hostBefore, guestAt, hostAfter: Date.now() };
}
