/**
 * The disk that a machine wrote, to be read by others. QEMU wrote the file as the VM's own user, and a guest that got out
 * into its QEMU could have written anything there: a header may name files of the host. Only the plainest one is taken.
 */
import { chmod, chown, open } from 'node:fs/promises';
import { FixError } from '../errors.ts';

/** https://www.qemu.org/docs/master/interop/qcow2.html */
const headerBytes = 104;
const magic = 0x51_46_49_fb;

/** Takes it for us, who alone may read it then. Throws `sandbox_boot` for a file that needs another one, or that is no disk. */
export async function takeOverlay(overlay: string): Promise<void> {
  // The machine is gone: from here on nobody but us has the file open for writing.
  await chown(overlay, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
  const handle = await open(overlay, 'r');
  try {
    const header = Buffer.alloc(headerBytes);
    const { bytesRead } = await handle.read(header, 0, headerBytes, 0);
    const why = bytesRead < headerBytes ? 'it has no header' : findFault(header);
    if (why !== null) throw new FixError('sandbox_boot', { details: { why: `its disk is not kept: ${why}` } });
  } finally {
    await handle.close();
  }
  await chmod(overlay, 0o400);
}

/** What is wrong with a header, or null. What lies below the overlay is named by who opens it, so the header must not. */
export function findFault(header: Buffer): string | null {
  if (header.readUInt32BE(0) !== magic || header.readUInt32BE(4) !== 3) return 'it is no qcow2 of version 3';
  if (header.readBigUInt64BE(8) !== 0n) return 'it names another file';
  if (header.readUInt32BE(32) !== 0) return 'it is encrypted';
  if (header.readUInt32BE(60) !== 0) return 'it has snapshots';
  // Among these features is a data file of another name.
  if (header.readBigUInt64BE(72) !== 0n) return 'it has features that it need not have';
  return null;
}
