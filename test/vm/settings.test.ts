/** What the settings of a repository say about a VM, in real guests. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withdrawRoot } from '../../src/fix/guest-root.ts';
import { findCgroups } from '../../src/sandbox/cgroup.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, newVmId, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const countCpus = async (sandbox: Sandbox): Promise<number> => Number(await output(sandbox, 'nproc'));

/** gVisor shows the processors of the host; the time on them is what is limited: microseconds in each 100 ms. */
async function readQuota({ id }: Sandbox): Promise<number> {
  const files = (await findCgroups(id)).flatMap((directory) => ['cpu.max', 'cpu.cfs_quota_us'].map((file) => join(directory, file)));
  const texts = await Promise.all(files.map(async (file) => await readFile(file, 'utf8').catch(() => '')));
  const quotas = texts.map((text) => Number.parseInt(text, 10)).filter((quota) => quota > 0);
  return Math.min(...quotas) / 100_000;
}

const { signal } = new AbortController();
const guests = [
  { name: 'a qemu guest', create: createQemuProvider, readCpus: countCpus, lacking: await lacksForGuests() },
  { name: 'a gVisor guest', create: createOciProvider, readCpus: readQuota, lacking: await lacksForGvisor() },
];

for (const { name, create, readCpus, lacking } of guests) {
  describe.skipIf(isSkipped(`settings in ${name}`, lacking))(`settings in ${name}`, () => {
    let host: GuestHost;
    let sandbox: Sandbox;
    beforeAll(async () => {
      host = await openGuestHost(create);
      const size = { cpus: 1, memoryMib: 1024, diskGib: host.options.diskGib };
      sandbox = await host.provider().boot({ id: newVmId(), signal: AbortSignal.timeout(120_000), size });
    }, 180_000);
    afterAll(async () => {
      await sandbox?.dispose();
      await host?.close();
    });

    test('is as small as it was asked to be', async () => {
      const memoryKib = Number(await output(sandbox, "awk '/^MemTotal/ {print $2}' /proc/meminfo"));

      expect(await readCpus(sandbox)).toBe(1);
      expect(memoryKib).toBeLessThan((1024 + 300) * 1024);
      expect(memoryKib).toBeGreaterThan(700 * 1024);
    });

    test('knows sudo where a command is told so, until it is taken away', async () => {
      const ask = async (sudo: boolean): Promise<string> => {
        const { stdout } = await sandbox.exec(['sh', '-c', 'sudo -n id -un 2>/dev/null || echo nobody'], { sudo });
        return stdout.trim();
      };

      expect([await ask(false), await ask(true), await ask(false)]).toEqual(['nobody', 'root', 'nobody']);
      await withdrawRoot(sandbox, signal);
      await withdrawRoot(sandbox, signal);
      expect([await ask(false), await ask(true)]).toEqual(['nobody', 'nobody']);
    });
  });
}
