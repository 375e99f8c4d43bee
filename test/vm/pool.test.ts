/** Guests that stand ready, on real providers: what the second thaw changes, and that what waited is a guest like any other. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createPool } from '../../src/sandbox/pool.ts';
import type { Pool } from '../../src/sandbox/pool.ts';
import type { Sandbox, SandboxSpec } from '../../src/sandbox/sandbox.ts';
import { standBy } from '../../src/sandbox/stand-by.ts';
import { captureLog } from '../support/capture-log.ts';
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
  test.skipIf(skipped)('gives each away once, awake and with the time of now, and leaves nothing', async ({ signal }) => {
    const { memoryMib, vcpus: cpus, diskGib } = host.options;
    const { log, lines } = captureLog();
    const pool = createPool({ provider: host.provider(), size: 1, vm: { cpus, memoryMib, diskGib }, availableMib: () => memoryMib, log });

    const [first, second] = [await takeFrom(pool, lines, { signal }), await takeFrom(pool, lines, { signal })];

    expect(first.sandbox.id).not.toBe(second.sandbox.id);
    for (const { sandbox, askedAt } of [first, second]) {
      expect(await strayMs(askedAt, sandbox)).toBeLessThan(1000);
      expect(await output(sandbox, 'pgrep -f [a]gain || echo none', 'root')).toBe('none');
      expect(await sandbox.dispose()).toEqual([]);
    }
    await pool.full();
    expect(await pool.drain()).toEqual([]);
    expect(await tracesOf('pool-', host.options)).toEqual([]);
  });

  test.skipIf(skipped)('has those of a kept disk as well, once one is announced, and gives them to nobody else', async ({ signal }) => {
    const { memoryMib, vcpus: cpus, diskGib, stateDir } = host.options;
    const { log, lines } = captureLog();
    const provider = host.provider();
    const layer = join(stateDir, `layer-${newVmId()}`);
    await provider.layers?.make({ id: newVmId(), signal }, layer, async (guest) => await guest.put('/workspace/kept', 'kept'));
    const pool = createPool({ provider, size: 1, vm: { cpus, memoryMib, diskGib }, availableMib: () => memoryMib, log });
    pool.expect({ layer });

    const [{ sandbox: usual }, { sandbox: kept }] = [await takeFrom(pool, lines, { signal }), await takeFrom(pool, lines, { signal, layer })];

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

  const askedAt = Date.now();
  await handOver();

  expect(await strayMs(askedAt, sandbox)).toBeLessThan(1000);
});

test('a guest that does not take the message is not handed over', async () => {
  await using sandbox = await qemu.boot();
  const handOver = await standBy(sandbox, AbortSignal.timeout(60_000));
  await output(sandbox, 'pkill -KILL -f [a]gain', 'root');

  await expect(handOver()).rejects.toMatchObject({ code: 'sandbox_thaw' });
});

/** One that waited. On a busy machine one may answer too late and be thrown away, as it should; then the next one is asked. */
async function takeFrom(pool: Pool, lines: readonly string[], of: Omit<SandboxSpec, 'id'>): Promise<{ sandbox: Sandbox; askedAt: number }> {
  for (;;) {
    await pool.full();
    const [askedAt, told] = [Date.now(), lines.length];
    const sandbox = await pool.boot({ id: newVmId(), ...of });
    if (sandbox.info.pooled) return { sandbox, askedAt };
    await sandbox.dispose();
    expect(lines.slice(told).join('')).toContain('it did not answer in time');
  }
}

/** How far the guest's clock is from every moment since it was asked for. */
async function strayMs(askedAt: number, sandbox: Sandbox): Promise<number> {
  const seen = Number(await output(sandbox, 'date +%s%3N'));
  return Math.max(askedAt - seen, seen - Date.now(), 0);
}
