/** A guest boots another kernel of Debian than the template's, by the steps that `mayfly setup` takes for MAYFLY_GUEST_KERNEL. */
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootSandbox } from '../../src/sandbox/boot.ts';
import { findImage, kernelOf } from '../../src/sandbox/image.ts';
import type { Image } from '../../src/sandbox/image.ts';
import { layOutKernel, packKernel } from '../../src/sandbox/kernel.ts';
import { buildTemplateOf } from '../../src/sandbox/template.ts';
import { isSkipped, lacksForGuests, newVmId, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const folder = await mkdtemp(join(tmpdir(), 'mayfly-kernel-'));
await chmod(folder, 0o755);

/** Packages of kernels that apt knows, newest first. */
async function knownKernels(): Promise<readonly string[]> {
  const asked = await execa('apt-cache', ['search', '--names-only', String.raw`^linux-image-[0-9][^ ]*-cloud-amd64$`], { reject: false });
  const names = asked.stdout.split('\n').flatMap((line) => line.split(' ', 1)[0] || []);
  return names.toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }));
}

/** The newest that is not the template's; null when there is none, or it cannot be fetched. */
async function fetchOther(release: string): Promise<{ file: string; release: string } | null> {
  for (const name of (await knownKernels()).filter((each) => each !== `linux-image-${release}`).slice(0, 3)) {
    const fetched = await execa('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', name], { cwd: folder, reject: false, timeout: 120_000 });
    const file = (await readdir(folder)).find((each) => each.startsWith(`${name}_`));
    if (!fetched.failed && file !== undefined) return { file: join(folder, file), release: name.slice('linux-image-'.length) };
  }
  return null;
}

const lacking = (await lacksForGuests()) ?? (process.getuid?.() === 0 ? null : 'the programs of the guest are used as root');
const host: GuestHost | null = lacking === null ? await openGuestHost() : null;
const base = host && (await findImage(host.options));
const other = base && (await fetchOther((await kernelOf(base)).release));
const skipped = isSkipped('a guest with another kernel', lacking ?? (other === null ? 'apt gives out no second kernel of Debian (apt-get update?)' : null));

const tidyUp = async (): Promise<void> => {
  await rm(folder, { recursive: true, force: true });
  await host?.close();
};
// Hooks of a skipped suite do not run.
if (skipped) await tidyUp();

describe.skipIf(skipped)('a kernel that the operator names', () => {
  let image: Image;
  let release: string;
  beforeAll(async () => {
    const target = join(folder, 'image');
    await mkdir(target);
    const command = { signal: AbortSignal.timeout(120_000), onLine: () => {} };
    await layOutKernel(other?.file ?? '', join(folder, 'kernel'), command);
    ({ release } = await packKernel(join(folder, 'kernel'), { rootfs: base?.rootfs ?? '', target }, command));
    if (base) image = { ...base, key: `test-${release}`, kernel: join(target, 'kernel'), initramfs: join(target, 'initramfs') };
  });
  afterAll(tidyUp);

  test('boots a guest, is saved and restored, and runs what the other one does', async () => {
    if (!host || !base) throw new Error('there is no template');
    const building = { signal: AbortSignal.timeout(120_000), onProgress: () => {} };
    const template = await buildTemplateOf({ image, base, imagesCache: join(folder, 'cache') }, host.options, building);
    await using sandbox = await bootSandbox(host.options, template, { id: newVmId(), signal: AbortSignal.timeout(60_000) });

    expect(release).toBe(other?.release);
    expect(sandbox.info.restored).toBe(true);
    expect(await output(sandbox, 'uname -r')).toBe(release);
    expect(await output(sandbox, 'dd if=/dev/zero of=/workspace/file bs=1M count=32 status=none && sync && stat -c %s /workspace/file')).toBe(`${2 ** 25}`);
    expect(await output(sandbox, 'date +%Y')).toBe(String(new Date().getUTCFullYear()));
    expect(await output(sandbox, 'node -p 6*7')).toBe('42');
  });
});
