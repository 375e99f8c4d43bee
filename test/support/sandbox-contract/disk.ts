/** What a guest may write: as much as its disk is large, and not a block more. */
import { expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { newVmId, output } from '../guest.ts';
import type { GuestHost } from '../guest.ts';

/** Larger than anything that the test's host lets a guest have. */
const tooMuchGib = 1000;

/** Takes blocks until the disk has none left; returns how many GiB that were. Under gVisor the guest cannot see the size of its disk, so it has to be tried. */
async function fill(sandbox: Sandbox): Promise<number> {
  const script = `
    cd /workspace
    taken=0
    while error=$(fallocate -l 256M "fill-$taken" 2>&1); do taken=$((taken + 1)); done
    case $error in *'No space left on device'*) echo $taken ;; *) echo "$error" >&2; exit 1 ;; esac`;
  const quarters = await output(sandbox, script);
  expect((await sandbox.exec(['dd', 'if=/dev/zero', 'of=more', 'bs=1M', 'count=1024'])).stderr).toContain('No space left on device');
  await output(sandbox, 'rm -f /workspace/fill-* /workspace/more; echo again > /workspace/again');
  return Number(quarters) / 4;
}

/** Declares the tests; `bootsCold` is for a provider that has saved memory to do without. */
export function testDiskSizes(host: () => GuestHost, { bootsCold }: { readonly bootsCold: boolean }): void {
  const fillDisk = async (diskGib: number, coldBoot = false): Promise<number> => {
    const { options, provider } = host();
    const size = { cpus: options.vcpus, memoryMib: options.memoryMib, diskGib };
    await using sandbox = await provider({ coldBoot }).boot({ id: newVmId(), signal: AbortSignal.timeout(120_000), size });
    return await fill(sandbox);
  };
  /** What the system and the file system's own tables take. */
  const overheadGib = 2;

  test.for([
    ['of the template', 0, 0],
    ['that is larger', 3, 3],
    ['that is as small as the template when less is asked for', -6, 0],
    ['that is as large as the operator lets it be when more is asked for', tooMuchGib, 4],
  ] as const)('a guest fills a disk %s, and no more', async ([, asked, given]) => {
    const { diskGib } = host().options;

    const filledGib = await fillDisk(diskGib + asked);

    expect(filledGib).toBeLessThanOrEqual(diskGib + given);
    expect(filledGib).toBeGreaterThan(diskGib + given - overheadGib);
    expect(host().options.maxDiskGib).toBe(diskGib + 4);
  });

  test.runIf(bootsCold)('a guest that boots cold fills a larger disk, too', async () => {
    const { diskGib } = host().options;

    expect(await fillDisk(diskGib + 2, true)).toBeGreaterThan(diskGib);
  });
}
