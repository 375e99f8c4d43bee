/** Guests that stand ready, on real providers: what the second thaw changes, and that what waited is a guest like any other. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createPool } from '../../src/sandbox/pool.ts';
import { standBy } from '../../src/sandbox/stand-by.ts';
import { isSkipped, lacksForGvisor, newVmId, openGuestHost, output, tracesOf } from '../support/guest.ts';

const qemu = await openGuestHost();
const oci = await openGuestHost(createOciProvider);
afterAll(async () => {
  await qemu.close();
  await oci.close();
});
const noGvisor = isSkipped('the pool under gVisor', await lacksForGvisor());

describe.for([
  { name: 'qemu', host: qemu, isSkipped: false },
  { name: 'gVisor', host: oci, isSkipped: noGvisor },
])('a pool of $name guests', ({ host, isSkipped: skipped }) => {
  test.skipIf(skipped)('gives each away once, awake and with the time of now, and leaves nothing', async () => {
    const { memoryMib, vcpus: cpus, diskGib, log } = host.options;
    const pool = createPool({ provider: host.provider(), size: 1, vm: { cpus, memoryMib, diskGib }, availableMib: () => memoryMib, log });
    const boot = async () => {
      await pool.full();
      return await pool.boot({ id: newVmId(), signal: AbortSignal.timeout(60_000) });
    };

    const [first, second] = [await boot(), await boot()];

    expect(first.id).not.toBe(second.id);
    for (const sandbox of [first, second]) {
      expect(sandbox.info.pooled).toBe(true);
      expect(Math.abs(Number(await output(sandbox, 'date +%s%3N')) - Date.now())).toBeLessThan(5000);
      expect(await output(sandbox, 'pgrep -f [a]gain || echo none', 'root')).toBe('none');
      expect(await sandbox.dispose()).toEqual([]);
    }
    await pool.full();
    expect(await pool.drain()).toEqual([]);
    expect(await tracesOf('pool-', host.options)).toEqual([]);
  });

  test.skipIf(skipped)('has those of a kept disk as well, once one is announced, and gives them to nobody else', async () => {
    const { memoryMib, vcpus: cpus, diskGib, log, stateDir } = host.options;
    const provider = host.provider();
    const layer = join(stateDir, `layer-${newVmId()}`);
    const signal = AbortSignal.timeout(110_000);
    await provider.layers?.make({ id: newVmId(), signal }, layer, async (guest) => await guest.put('/workspace/kept', 'kept'));
    const pool = createPool({ provider, size: 1, vm: { cpus, memoryMib, diskGib }, availableMib: () => memoryMib, log });
    pool.expect({ layer });
    await pool.full();

    const [usual, kept] = [await pool.boot({ id: newVmId(), signal }), await pool.boot({ id: newVmId(), signal, layer })];

    expect([usual, kept].map(({ info }) => info.pooled)).toEqual([true, true]);
    expect(await output(usual, 'cat /workspace/kept 2> /dev/null || echo none')).toBe('none');
    expect(await output(kept, 'cat /workspace/kept')).toBe('kept');
    for (const sandbox of [usual, kept]) expect(await sandbox.dispose()).toEqual([]);
    expect(await pool.drain()).toEqual([]);
    expect(await tracesOf('pool-', host.options)).toEqual([]);
  });
});

test('a guest whose clock went astray while it waited is right again', async () => {
  await using sandbox = await qemu.boot();
  const handOver = await standBy(sandbox, AbortSignal.timeout(60_000));
  await output(sandbox, 'date -s 2001-01-01', 'root');

  await handOver();

  expect(Math.abs(Number(await output(sandbox, 'date +%s%3N')) - Date.now())).toBeLessThan(5000);
});

test('a guest that does not take the message is not handed over', async () => {
  await using sandbox = await qemu.boot();
  const handOver = await standBy(sandbox, AbortSignal.timeout(60_000));
  await output(sandbox, 'pkill -KILL -f [a]gain', 'root');

  await expect(handOver()).rejects.toMatchObject({ code: 'sandbox_thaw' });
});
