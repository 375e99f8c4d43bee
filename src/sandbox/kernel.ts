/**
 * The kernel that guests boot: Debian's, which guest-setup.sh fetches as a package, or one that the operator names (MAYFLY_GUEST_KERNEL):
 * a Debian package, as `make bindeb-pkg` makes it too, or a kernel with everything built in. What it needs is looked at
 * before anything is built; that a guest really boots with it shows when its memory is saved.
 */
import { copyFile, mkdir, open, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { FixError } from '../errors.ts';
import { digestFile } from './digest.ts';
import { runAsRoot, runHost } from './host-command.ts';
import type { HostCommandOptions } from './host-command.ts';

export interface KernelFacts {
  readonly release: string;
  /** Whether it was built to be a guest of kvm_pvm; null when it does not say how it was built. */
  readonly isPvmGuest: boolean | null;
}

/** Built in, and nothing else will do: guest-init.c uses it before it could load a module. */
const builtIn = [
  'BLK_DEV_INITRD BINFMT_ELF BINFMT_SCRIPT ACPI SERIAL_8250_CONSOLE DEVTMPFS TMPFS',
  'PROC_FS SYSFS CGROUPS UNIX98_PTYS UNIX INET MULTIUSER',
].flatMap((names) => names.split(' '));
/** Built in, or a module of this name. */
const driver = { VIRTIO_MMIO: 'virtio_mmio', VIRTIO_BLK: 'virtio_blk', VIRTIO_CONSOLE: 'virtio_console', HW_RANDOM_VIRTIO: 'virtio_rng', EXT4_FS: 'ext4' };
/** https://docs.kernel.org/arch/x86/boot.html */
const bootProtocol = { magicAt: 0x202, magic: 'HdrS', versionAt: 0x20e } as const;
const maxKernelBytes = 2 ** 30;

const unsuitable = (reason: string): FixError => new FixError('guest_kernel_unsuitable', { details: { reason } });

/** What of the named kernel decides what the image is. Throws `guest_kernel_unsuitable`. */
export async function digestKernel(file: string): Promise<string> {
  return digestFile(file).catch(() => {
    throw unsuitable(`${file} cannot be read`);
  });
}

/** Lays a kernel out in `directory`, as guest-kernel.sh takes it. Throws `guest_kernel_unsuitable`. */
export async function layOutKernel(file: string, directory: string, command: HostCommandOptions): Promise<void> {
  const source = join(directory, 'source');
  await mkdir(source, { recursive: true });
  const head = await readHead(file);
  if (head.toString('latin1', 0, 8) === '!<arch>\n') await unpackPackage(file, source, command);
  else await takeKernel(file, source, head);
  const config = await readFile(join(source, 'config'), 'utf8').catch(() => null);
  // QEMU starts a plain one by another way than a bzImage: https://xenbits.xen.org/docs/unstable/misc/pvh.html
  const needed = isElf(head) ? [...builtIn, 'PVH'] : builtIn;
  const lacks = config === null ? [] : lackingOf(config, needed, await modulesIn(join(source, 'modules')));
  if (lacks.length > 0) throw unsuitable(`it lacks ${lacks.join(', ')}`);
}

/** Makes `kernel` and `initramfs` in `target` of a kernel that was laid out, with programs of the guest's root directory. */
export async function packKernel(directory: string, { rootfs, target }: { rootfs: string; target: string }, command: HostCommandOptions): Promise<KernelFacts> {
  const script = fileURLToPath(new URL('guest-kernel.sh', import.meta.url));
  await runAsRoot(['unshare', '--mount', 'sh', script, rootfs, directory], command);
  await copyFile(join(directory, 'kernel'), join(target, 'kernel'));
  const parts = join(directory, 'initramfs');
  const names = ['.', 'init', 'modules.order', 'modules', ...(await readdir(join(parts, 'modules'))).map((name) => `modules/${name}`)];
  const archive = ['cpio', '--quiet', '--create', '--format=newc', '--reproducible', '--owner=+0:+0'] as const;
  await runHost([...archive, `--directory=${parts}`, `--file=${join(target, 'initramfs')}`], { ...command, input: names.join('\n') });
  const config = await readFile(join(directory, 'source', 'config'), 'utf8').catch(() => null);
  const release = (await readFile(join(directory, 'source', 'release'), 'utf8')).trim();
  return { release, isPvmGuest: config === null ? null : settingOf(config, 'PVM_GUEST') === 'y' };
}

/** What a guest needs and this kernel has not, for people. `modules`: names of those that are there. */
function lackingOf(config: string, needed: readonly string[], modules: ReadonlySet<string>): string[] {
  const absent = needed.filter((name) => settingOf(config, name) !== 'y').map((name) => `CONFIG_${name}=y`);
  const drivers = Object.entries(driver).flatMap(([name, module]) => {
    const setting = settingOf(config, name);
    if (setting === 'y' || (setting === 'm' && modules.has(module))) return [];
    return setting === 'm' ? [`the module ${module} (CONFIG_${name}=m)`] : [`CONFIG_${name}=y or =m`];
  });
  return [...absent, ...drivers];
}

const settingOf = (config: string, name: string): string | null => new RegExp(`^CONFIG_${name}=([ym])$`, 'm').exec(config)?.[1] ?? null;

async function readHead(file: string): Promise<Buffer> {
  const handle = await open(file, 'r').catch(() => {
    throw unsuitable(`${file} cannot be read`);
  });
  try {
    const { size } = await handle.stat();
    if (size > maxKernelBytes) throw unsuitable(`it is larger than ${maxKernelBytes / 2 ** 20} MiB`);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(2 ** 16), position: 0 });
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function unpackPackage(file: string, target: string, command: HostCommandOptions): Promise<void> {
  const unpacked = join(target, 'package');
  await runHost(['dpkg-deb', '--extract', file, unpacked], { ...command, code: 'guest_kernel_unsuitable' });
  const [name, ...others] = (await readdir(join(unpacked, 'boot')).catch(() => [])).filter((entry) => entry.startsWith('vmlinuz-'));
  if (name === undefined || others.length > 0) throw unsuitable('the package has no boot/vmlinuz-*: name the package that it depends on');
  const release = name.slice('vmlinuz-'.length);
  await copyFile(join(unpacked, 'boot', name), join(target, 'image'));
  await copyFile(join(unpacked, 'boot', `config-${release}`), join(target, 'config')).catch(() => undefined);
  await writeFile(join(target, 'release'), `${release}\n`);
  // Debian moves them below usr: https://wiki.debian.org/UsrMerge
  for (const place of ['usr/lib/modules', 'lib/modules']) {
    const releases = await readdir(join(unpacked, place)).catch((): string[] => []);
    if (releases.includes(release)) await runHost(['mv', join(unpacked, place, release), join(target, 'modules')], command);
  }
  await runHost(['rm', '-r', unpacked], command);
}

async function takeKernel(file: string, target: string, head: Buffer): Promise<void> {
  const isBzImage = head.toString('latin1', bootProtocol.magicAt, bootProtocol.magicAt + 4) === bootProtocol.magic;
  if (!isBzImage && !isElf(head)) throw unsuitable('it is neither a Debian package (.deb) nor a kernel for x86-64 (bzImage or vmlinux)');
  const bytes = await readFile(file);
  const release = isBzImage ? versionIn(head) : /Linux version ([\w.+~-]{1,100})/.exec(bytes.toString('latin1'))?.[1];
  const config = configIn(bytes);
  await copyFile(file, join(target, 'image'));
  await writeFile(join(target, 'release'), `${release ?? 'unknown'}\n`);
  if (config !== null) await writeFile(join(target, 'config'), config);
}

const isElf = (head: Buffer): boolean => head.toString('latin1', 0, 4) === '\u007fELF';

/** The first word of what a bzImage says of itself. */
function versionIn(head: Buffer): string | undefined {
  const at = head.readUInt16LE(bootProtocol.versionAt) + 0x200;
  return /^[\w.+~-]{1,100}/.exec(head.toString('latin1', at, at + 100))?.[0];
}

/** How it was built, where that is in it (CONFIG_IKCONFIG); a bzImage has it packed away. */
function configIn(bytes: Buffer): string | null {
  const at = bytes.indexOf('IKCFG_ST');
  const end = bytes.indexOf('IKCFG_ED', at);
  if (at === -1 || end === -1) return null;
  try {
    return gunzipSync(bytes.subarray(at + 8, end), { maxOutputLength: 2 ** 22 }).toString('utf8');
  } catch {
    return null;
  }
}

/** Names of modules below a folder, as the kernel calls them. */
async function modulesIn(directory: string): Promise<ReadonlySet<string>> {
  const files = await readdir(directory, { recursive: true }).catch(() => []);
  const names = files.flatMap((file) => /([^/]+)\.ko(?:\.(?:xz|zst|gz))?$/.exec(file)?.[1] ?? []);
  return new Set(names.map((name) => name.replaceAll('-', '_')));
}
