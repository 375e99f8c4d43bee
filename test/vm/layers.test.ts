/** Disks that outlive their VM: the same contract for each provider that can keep one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findLoops } from '../../src/sandbox/capped-disk.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { digestFile } from '../../src/sandbox/digest.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, newVmId, openGuestHost, output, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const guests = [
  { name: 'qemu', create: createQemuProvider, lacking: await lacksForGuests() },
  { name: 'oci', create: createOciProvider, lacking: await lacksForGvisor() },
];

/** Names of everything that lives in memory, and what a machine is called. */
const canaries = `
sudo sh -c 'echo canary > /run/canary'
echo canary > /dev/shm/canary
setsid sleep 4242 > /dev/null 2>&1 < /dev/null &
cat /proc/sys/kernel/random/boot_id /etc/machine-id /etc/hostname > names`;

const files = `
mkdir -p deep/er && echo kept > deep/er/file && ln deep/er/file hard && ln -s deep/er/file soft && chmod 640 hard
for index in $(seq 300); do echo $index > many-$index; done
sudo rm -rf /etc/motd /usr/share/perl
sudo sh -c 'echo kept > /etc/kept; mkdir -p /opt/kept; chown agent /opt/kept'`;

const look = `
cat deep/er/file hard soft /etc/kept; stat -c '%h %a %U' hard; ls -1 many-* | wc -l; stat -c %U /opt/kept
ls -d /etc/motd /usr/share/perl 2> /dev/null || true; sudo -n id -un`;

/** As setup runs: with sudo, and in the workspace. */
async function setUp(sandbox: Sandbox, script: string): Promise<string> {
  const result = await sandbox.exec(['bash', '-ec', script], { sudo: true });
  expect(result).toMatchObject({ exitCode: 0 });
  return result.stdout.trim();
}

for (const { name, create, lacking } of guests) {
  describe.skipIf(isSkipped(`kept disks of ${name} guests`, lacking))(`a kept disk of a ${name} guest`, () => {
    let host: GuestHost;
    let file: string;
    const boot = async (): Promise<Sandbox> => await host.provider().boot({ id: newVmId(), signal: AbortSignal.timeout(120_000), layer: file });
    const make = async (id: string, signal: AbortSignal, fill: (sandbox: Sandbox) => Promise<void>): Promise<void> =>
      await host.provider().layers?.make({ id, signal }, join(host.options.stateDir, `layer-${id}`), fill);
    const isThere = async (id: string): Promise<boolean> => (await readdir(host.options.stateDir)).includes(`layer-${id}`);

    beforeAll(async () => {
      host = await openGuestHost(create);
      const id = newVmId();
      file = join(host.options.stateDir, `layer-${id}`);
      await make(id, AbortSignal.timeout(170_000), async (sandbox) => {
        for (const script of [files, canaries]) await setUp(sandbox, script);
      });
      const left = await tracesOf(id, host.options);
      if (left.length > 0) throw new Error(`its maker left ${left.join(', ')}`);
    }, 180_000);
    afterAll(async () => {
      await host?.close();
    });

    // Both only look: one guest is enough for them. What is kept begins with a cold boot, which takes longest here.
    describe('in a guest that begins with it', () => {
      let sandbox: Sandbox;
      beforeAll(async () => {
        sandbox = await boot();
      }, 120_000);
      afterAll(async () => void (await sandbox?.dispose()));

      test('has what was written: contents, links, modes, owners, and what was removed', async () => {
        expect((await setUp(sandbox, look)).split('\n')).toEqual([...Array(4).fill('kept'), '2 640 agent', '300', 'agent', 'root']);
      });

      test('has no process, no memory and no name of the guest that wrote it', async () => {
        expect(await output(sandbox, 'ls -A /dev/shm; ls -d /run/canary 2> /dev/null; pgrep -a sleep; true', 'root')).toBe('');
        const before = (await output(sandbox, 'cat /workspace/names')).split('\n');
        const now = (await output(sandbox, 'cat /proc/sys/kernel/random/boot_id /etc/machine-id /etc/hostname')).split('\n');
        expect(now).toHaveLength(3);
        // gVisor has one boot id for all of its guests.
        for (const word of name === 'oci' ? now.slice(1) : now) expect(before).not.toContain(word);
      });
    });

    test('is begun with by many at once, who see nothing of each other, and stays as it was', async () => {
      const digest = await digestFile(file);
      const [one, other] = await Promise.all([boot(), boot()]);

      await setUp(one, 'rm -rf deep many-1 && echo changed > hard && sudo rm /etc/kept && touch new');
      expect((await setUp(other, `${look}\nls -d new 2> /dev/null || true`)).split('\n')).toHaveLength(8);

      const directories = [one, other].map(({ id }) => join(host.options.stateDir, 'vms', id));
      expect(await Promise.all([one.dispose(), other.dispose()])).toEqual([[], []]);
      expect((await Promise.all(directories.map(findLoops))).flat()).toEqual([]);
      expect(await digestFile(file)).toBe(digest);
      expect((await stat(file)).mode & 0o777).toBe(0o400);
    });

    test('does not come to be when what fills it fails', async () => {
      const id = newVmId();

      await expect(make(id, AbortSignal.timeout(120_000), () => Promise.reject(new Error('no')))).rejects.toMatchObject({ code: 'sandbox_boot' });

      expect(await isThere(id)).toBe(false);
      expect(await tracesOf(id, host.options)).toEqual([]);
    });

    test('does not come to be when it is stopped half-way', async () => {
      const id = newVmId();
      const stop = new AbortController();
      const making = make(id, stop.signal, async (sandbox) => {
        const sleeping = sandbox.exec(['sleep', '600']);
        stop.abort();
        await sleeping;
      });

      await expect(making).rejects.toMatchObject({ code: 'cancelled' });
      expect(await isThere(id)).toBe(false);
      expect(await tracesOf(id, host.options)).toEqual([]);
    });

    test('leaves nothing when its maker is killed, but for what the next start removes', async () => {
      const id = newVmId();
      const { log: _, ...options } = host.options;
      const script = fileURLToPath(new URL('../support/vm-worker.ts', import.meta.url));
      const given = { ...options, id, provider: name, layer: join(options.stateDir, `layer-${id}`) };
      const worker = spawn(...endsWithUs(process.execPath, [script, JSON.stringify(given)]), { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(worker.stdout, 'data');
      expect((await findProcesses(id)).length).toBeGreaterThan(0);

      worker.kill('SIGKILL');
      await once(worker, 'exit');

      expect(await host.provider().sweep()).toEqual([id]);
      expect(await tracesOf(id, options as GuestHost['options'])).toEqual([]);
      // What it has begun to write is for whoever keeps layers to find.
      expect(await isThere(id)).toBe(true);
      expect(await findLoops(join(options.stateDir, 'vms', id))).toEqual([]);
    });
  });
}
