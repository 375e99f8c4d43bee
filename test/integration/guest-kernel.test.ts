/** What of a kernel that the operator names is looked at before a template is built with it; the packages are made here. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { layOutKernel } from '../../src/sandbox/kernel.ts';

const release = '6.9.1-test';
const builtIn = [
  'BLK_DEV_INITRD BINFMT_ELF BINFMT_SCRIPT ACPI SERIAL_8250_CONSOLE DEVTMPFS TMPFS',
  'PROC_FS SYSFS CGROUPS UNIX98_PTYS UNIX INET MULTIUSER',
].flatMap((names) => names.split(' ').map((name) => `CONFIG_${name}=y`));
const drivers = ['VIRTIO_MMIO', 'VIRTIO_BLK', 'VIRTIO_CONSOLE', 'HW_RANDOM_VIRTIO', 'EXT4_FS'];
const monolithic = [...builtIn, ...drivers.map((name) => `CONFIG_${name}=y`), ''].join('\n');
const modular = [...builtIn, ...drivers.map((name) => `CONFIG_${name}=m`), ''].join('\n');
const modules = ['virtio_mmio.ko', 'virtio_blk.ko.xz', 'virtio_console.ko.zst', 'virtio-rng.ko', 'ext4.ko'];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-kernel-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const layOut = (file: string): Promise<void> => layOutKernel(file, join(folder, 'kernel'), { signal: AbortSignal.timeout(20_000), onLine: () => {} });
const read = (name: string): Promise<string> => readFile(join(folder, 'kernel', 'source', name), 'utf8');

/** A package of this release with these files. */
async function packageOf(files: Readonly<Record<string, string>>): Promise<string> {
  const control = 'Package: linux-image-test\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: a kernel\n';
  for (const [name, text] of Object.entries({ 'DEBIAN/control': control, ...files })) {
    await mkdir(dirname(join(folder, 'package', name)), { recursive: true });
    await writeFile(join(folder, 'package', name), text);
  }
  const file = join(folder, 'kernel.deb');
  await execa('dpkg-deb', ['--root-owner-group', '-Znone', '--build', join(folder, 'package'), file]);
  return file;
}

async function fileOf(...parts: readonly (string | Buffer)[]): Promise<string> {
  const file = join(folder, 'given');
  await writeFile(file, Buffer.concat(parts.map((part) => Buffer.from(part))));
  return file;
}

const kernelFiles = (config: string): Readonly<Record<string, string>> => ({ [`boot/vmlinuz-${release}`]: 'the kernel', [`boot/config-${release}`]: config });
const moduleFiles = (names: readonly string[], place: string): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [`${place}/${release}/kernel/drivers/${name}`, '']));

describe('a package', () => {
  test.each(['lib/modules', 'usr/lib/modules'])('is laid out with its modules, which are in %s', async (place) => {
    await layOut(await packageOf({ ...kernelFiles(modular), ...moduleFiles(modules, place) }));

    expect([await read('image'), await read('release'), await read('config')]).toEqual(['the kernel', `${release}\n`, modular]);
    expect((await readdir(join(folder, 'kernel/source/modules/kernel/drivers'))).toSorted()).toEqual(modules.toSorted());
    expect((await readdir(join(folder, 'kernel/source'))).toSorted()).toEqual(['config', 'image', 'modules', 'release']);
  });

  test('needs no module of what is built in', async () => {
    await layOut(await packageOf(kernelFiles(monolithic)));

    expect((await readdir(join(folder, 'kernel/source'))).toSorted()).toEqual(['config', 'image', 'release']);
  });

  test('is refused with what it lacks: a module, a driver, a part', async () => {
    const config = modular.replace('CONFIG_EXT4_FS=m', '# CONFIG_EXT4_FS is not set').replace('CONFIG_DEVTMPFS=y', '');
    const file = await packageOf({ ...kernelFiles(config), ...moduleFiles(modules.slice(1), 'lib/modules') });

    await expect(layOut(file)).rejects.toMatchObject({
      code: 'guest_kernel_unsuitable',
      details: { reason: 'it lacks CONFIG_DEVTMPFS=y, the module virtio_mmio (CONFIG_VIRTIO_MMIO=m), CONFIG_EXT4_FS=y or =m' },
    });
  });

  test('is refused without a kernel in it, as the one that only depends on another', async () => {
    await expect(layOut(await packageOf({}))).rejects.toMatchObject({
      code: 'guest_kernel_unsuitable',
      details: { reason: 'the package has no boot/vmlinuz-*: name the package that it depends on' },
    });
  });
});

describe('a kernel by itself', () => {
  const elf = '\u007FELF and more ';
  const packedConfig = (config: string): readonly (string | Buffer)[] => ['IKCFG_ST', gzipSync(config), 'IKCFG_ED'];

  test('says what it is, and how it was built', async () => {
    await layOut(await fileOf(elf, 'Linux version 6.7.0-pvm (someone@somewhere)', ...packedConfig(`${monolithic}CONFIG_PVH=y\n`)));

    expect([await read('release'), await read('config')]).toEqual(['6.7.0-pvm\n', `${monolithic}CONFIG_PVH=y\n`]);
  });

  test('is refused when it is plain, and QEMU cannot start it so', async () => {
    await expect(layOut(await fileOf(elf, ...packedConfig(monolithic)))).rejects.toMatchObject({ details: { reason: 'it lacks CONFIG_PVH=y' } });
  });

  test('is refused when it wants modules, for there are none', async () => {
    await expect(layOut(await fileOf(elf, ...packedConfig(modular)))).rejects.toMatchObject({
      code: 'guest_kernel_unsuitable',
      details: { reason: expect.stringContaining('it lacks CONFIG_PVH=y, the module virtio_mmio (CONFIG_VIRTIO_MMIO=m), the module virtio_blk') },
    });
  });

  test('may keep how it was built to itself, and packed may lie', async () => {
    const head = Buffer.alloc(0x400);
    head.write('HdrS', 0x202);
    head.writeUInt16LE(0x100, 0x20e);
    head.write('6.12.0-packed (someone@somewhere) #1', 0x300);
    await layOut(await fileOf(head, 'IKCFG_ST', 'no gzip', 'IKCFG_ED'));

    expect(await read('release')).toBe('6.12.0-packed\n');
    await expect(read('config')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test.each([
    ['nothing', ''],
    ['a text', 'a text'],
    ['half a package', '!<arch>\nhalf'],
  ])('is refused when it is %s', async (_, text) => {
    await expect(layOut(await fileOf(text))).rejects.toMatchObject({ code: 'guest_kernel_unsuitable' });
  });

  test('is refused when it is not there', async () => {
    await expect(layOut(join(folder, 'none'))).rejects.toMatchObject({ details: { reason: expect.stringContaining('none cannot be read') } });
  });
});
