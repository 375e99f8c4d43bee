/**
 * A file system of a fixed size in a file, for what a container writes: its own layer has no limit. It is mounted
 * through a loop device in a mount namespace that nobody but the container has, so the kernel takes it down with the
 * container's last process, however that ends.
 */
import { readFile, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { FixError } from '../errors.ts';

// No journal: a throwaway disk need not survive anything. Few inodes: runsc keeps all of a layer in one file.
const settings = ['-t', 'ext4', '-O', '^has_journal,^resize_inode', '-E', 'lazy_itable_init=1,nodiscard', '-N', '16', '-m', '0', '-q'];

/** Makes the file; sparse, so it takes what is written to it. Throws `disk_full`, `sandbox_boot`. */
export async function makeCappedDisk(file: string, sizeBytes: number): Promise<void> {
  await writeFile(file, '', { mode: 0o600 });
  await truncate(file, sizeBytes);
  const made = await execa('mke2fs', [...settings, file], { reject: false, stdin: 'ignore', all: true });
  if (made.failed) throw new FixError('sandbox_boot', { cause: made, details: { why: 'its disk could not be made', output: made.all.slice(-500) } });
}

/**
 * $1 the disk, $2 where to; then the command, whose standard input becomes descriptor 3, the wire. Not its output as
 * well: gVisor shuts a socket down for both when either is closed.
 */
const mountScript = `
mount -o loop,noatime,nosuid,nodev "$1" "$2" || exit 98
shift 2
exec "$@" <&3 3>&-`;

/** The command with the disk mounted, seen by it alone. */
export function withCappedDisk(disk: string, at: string, argv: readonly string[]): string[] {
  return ['unshare', '--mount', '--propagation', 'slave', '/bin/sh', '-c', mountScript, 'mayfly-disk', disk, at, ...argv];
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

/** The kernel lets go of a device a moment after its last process was reaped, hence the patience. */
export async function releaseLoops(directory: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await findLoops(directory)).length === 0) return;
    await setTimeout(10);
  }
}
