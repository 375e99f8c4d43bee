/** How large the disk of a VM is: the template's at least, because its file system cannot shrink; what was asked for, up to the operator's most. */
import type { SandboxSpec } from './sandbox.ts';

export interface DiskSizes {
  /** Of the template. */
  readonly diskGib: number;
  /** What a VM may be given when it is asked for. */
  readonly maxDiskGib: number;
}

export function chooseDiskGib({ diskGib, maxDiskGib }: DiskSizes, size: SandboxSpec['size']): number {
  return Math.max(diskGib, Math.min(maxDiskGib, size?.diskGib ?? diskGib));
}
