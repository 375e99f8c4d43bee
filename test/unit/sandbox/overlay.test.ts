/** The headers of disks that a hostile machine may have written. */
import { expect, test } from 'vitest';
import { findFault } from '../../../src/sandbox/overlay.ts';

/** What `qemu-img create -f qcow2` writes, as far as it is looked at. */
function header(change: (bytes: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.alloc(104);
  bytes.write('QFI\u00FB', 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(10n * 2n ** 30n, 24);
  change(bytes);
  return bytes;
}

test('a plain disk is taken', () => {
  expect(findFault(header())).toBeNull();
});

test.each<[string, (bytes: Buffer) => void]>([
  ['is raw', (bytes) => void bytes.fill(0)],
  ['is of version 2, whose header is shorter', (bytes) => void bytes.writeUInt32BE(2, 4)],
  ['names a backing file', (bytes) => void bytes.writeBigUInt64BE(0x1f0n, 8)],
  ['is encrypted', (bytes) => void bytes.writeUInt32BE(2, 32)],
  ['has a snapshot', (bytes) => void bytes.writeUInt32BE(1, 60)],
  ['has its data in another file', (bytes) => void bytes.writeBigUInt64BE(4n, 72)],
  ['was left dirty', (bytes) => void bytes.writeBigUInt64BE(1n, 72)],
])('a disk that %s is not', (_what, change) => {
  expect(findFault(header(change))).not.toBeNull();
});
