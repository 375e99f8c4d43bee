/**
 * The disks of a container. What it writes goes to a file system of a fixed size in a file: gVisor's own layer has no
 * limit. All of it is mounted in a mount namespace that nobody but the container has, so the kernel takes it down with the
 * container's last process, however that ends.
 */
import { mkdir, readFile, readdir, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { FixError } from '../errors.ts';

// No journal: a throwaway disk need not survive anything.
const settings = ['-t', 'ext4', '-O', '^has_journal,^resize_inode', '-E', 'lazy_itable_init=1,nodiscard', '-m', '0', '-q'];
/** runsc keeps all of a layer of its own in one file; a root filesystem needs as many as the template's disk has, and tables that can be cut. */
const shapes = { one: ['-N', '16'], many: ['-N', '1048576', '-G', '1'] } as const;

/** Where the parts of a container's disks are, below its directory. */
export const placesOf = (directory: string) => ({
  disk: join(directory, 'disk.ext4'),
  /** The capped disk. */
  writable: join(directory, 'writable'),
  /** The root filesystem, unless it is the image's own. */
  root: join(directory, 'root'),
  /** What a kept disk is to hold, where the guest copies it there. */
  copy: join(directory, 'lower/upper'),
});
const mountPoints = ['writable', 'root', 'image', 'kept', 'lower'] as const;

/** The files are sparse, so they take what is written to them. One that is kept is made where it stays. Throws `disk_full`, `sandbox_boot`. */
export async function makeDisks({ directory, shape, keep }: Pick<ContainerDisks, 'directory' | 'shape' | 'keep'>, sizeBytes: number): Promise<void> {
  for (const name of mountPoints) await mkdir(join(directory, name), { mode: 0o700 });
  if (shape !== 'keep') await makeCappedDisk(placesOf(directory).disk, { sizeBytes, files: 'one' });
  if (keep !== null) await makeCappedDisk(keep, { sizeBytes, files: 'many' });
}

async function makeCappedDisk(file: string, { sizeBytes, files }: { sizeBytes: number; files: keyof typeof shapes }): Promise<void> {
  await writeFile(file, '', { mode: 0o600 });
  await truncate(file, sizeBytes);
  const made = await execa('mke2fs', [...settings, ...shapes[files], file], { reject: false, stdin: 'ignore', all: true });
  if (made.failed) throw new FixError('sandbox_boot', { cause: made, details: { why: 'its disk could not be made', output: made.all.slice(-500) } });
}

/**
 * What the root filesystem is: the image as it is (`image`); the image with the capped disk over it, which is made where it
 * stays (`keep`); the image with a kept disk over it (`kept`). Of an image that only gVisor's kernel reads, nothing can be
 * laid over by the host's: the guest copies all that it sees to a disk that is kept (`copy`), which is the next one's root
 * filesystem as it is (`whole`).
 */
type Shape = 'image' | 'keep' | 'kept' | 'copy' | 'whole';

/**
 * $1 the container's directory; $2 the shape; $3 the image; $4 the folder of the disk that is or will be kept, and $5 its
 * name; then the command, whose standard input becomes descriptor 3, the wire. Not its output as well: gVisor shuts a
 * socket down for both when either is closed.
 *
 * Names are relative: overlayfs has a syntax of its own for what is in them. The kept disk is mounted by a name in the
 * container's directory, by which its loop device is found. Without redirects and the like, what lies over the image means
 * the same wherever it is mounted.
 */
const mountScript = `
over=nosuid,nodev,noatime,redirect_dir=off,metacopy=off,index=off,xino=off
# Whatever is said in a file that is still being read through.
kept=loop,ro,noatime,nosuid,nodev,errors=remount-ro
set -e
trap 'exit 98' EXIT
cd -- "$1"
disk=disk.ext4
if [ "$2" != image ]; then mount --bind -- "$4" kept; fi
if [ "$2" = keep ]; then disk=kept/$5; fi
mount -o loop,noatime,nosuid,nodev "$disk" writable
mount --bind -- "$3" image
case $2 in
  keep)
    mkdir writable/upper writable/work
    mount -t overlay -o "$over,lowerdir=image,upperdir=writable/upper,workdir=writable/work" mayfly root ;;
  kept)
    mount -o "$kept" "kept/$5" lower
    mount -t overlay -o "ro,$over,lowerdir=lower/upper:image" mayfly root ;;
  copy)
    mount -o loop,noatime,nosuid,nodev "kept/$5" lower
    mkdir lower/upper ;;
  whole)
    mount -o "$kept" "kept/$5" lower
    mount --bind lower/upper root ;;
esac
cd /
shift 5
trap - EXIT
exec "$@" <&3 3>&-`;

export interface ContainerDisks {
  readonly directory: string;
  readonly shape: Shape;
  /** The image's root filesystem; null for one that only gVisor's kernel reads. */
  readonly image: string | null;
  /** The capped disk where it is to stay, with what is written as files. */
  readonly keep: string | null;
  /** A disk that was kept. */
  readonly layer: string | null;
}

export function chooseDisks({ directory, image, keep, layer }: Omit<ContainerDisks, 'shape'>): ContainerDisks {
  const [kept, whole] = image === null ? (['copy', 'whole'] as const) : (['keep', 'kept'] as const);
  return { directory, image, keep, layer, shape: keep !== null ? kept : layer === null ? 'image' : whole };
}

/** The command with the disks mounted, seen by it alone. */
export function withDisks({ directory, shape, image, keep, layer }: ContainerDisks, argv: readonly string[]): string[] {
  const file = keep ?? layer;
  const kept = file === null ? ['', ''] : [dirname(file), basename(file)];
  return [
    'unshare',
    '--mount',
    '--propagation',
    'slave',
    '/bin/sh',
    '-c',
    mountScript,
    'mayfly-disk',
    directory,
    shape,
    image ?? placesOf(directory).root,
    ...kept,
    ...argv,
  ];
}

/** e2fsck says so when it changed something and all is well then: https://man7.org/linux/man-pages/man8/e2fsck.8.html */
const mended = 1;

/** A capped disk that nothing has mounted any more, checked and cut to what is on it. Throws `sandbox_boot`. */
export async function shrinkDisk(file: string, signal: AbortSignal): Promise<void> {
  const options = { reject: false, stdin: 'ignore', all: true, cancelSignal: signal, forceKillAfterDelay: 1000 } as const;
  const checked = await execa('e2fsck', ['-f', '-p', file], options);
  const shrunk = checked.exitCode === 0 || checked.exitCode === mended ? await execa('resize2fs', ['-M', file], options) : checked;
  if (!shrunk.failed) return;
  if (shrunk.isCanceled) throw new FixError('cancelled');
  throw new FixError('sandbox_boot', { cause: shrunk, details: { why: 'its disk could not be kept', output: shrunk.all.slice(-500) } });
}

/** Loop devices whose file is, or was, in this directory. */
export async function findLoops(directory: string): Promise<string[]> {
  const names = (await readdir('/sys/block').catch(() => [])).filter((name) => name.startsWith('loop'));
  const found = await Promise.all(
    names.map(async (name) => {
      const file = await readFile(join('/sys/block', name, 'loop/backing_file'), 'utf8').catch(() => '');
      return file.startsWith(`${directory}/`) ? [`/dev/${name}`] : [];
    }),
  );
  return found.flat();
}

/** The kernel lets go of a device a moment after its last process was reaped, hence the patience. Returns those that it holds on to. */
export async function releaseLoops(directory: string): Promise<readonly string[]> {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await findLoops(directory)).length === 0) return [];
    await setTimeout(10);
  }
  return await findLoops(directory);
}
