/** What comes out of the VM that unpacks an image goes to a real disk, which may be full. */
import { execa } from 'execa';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { buildInGuest } from '../../src/sandbox/image-builder.ts';
import type { GuestBuild } from '../../src/sandbox/image-builder.ts';
import type { ExecOptions, ExecResult } from '../../src/sandbox/sandbox.ts';
import { createFakeSandbox } from '../support/fake-sandbox.ts';
import { isSkipped } from '../support/guest.ts';

const blocks = 4;
const blockBytes = 2 ** 16;

/** Answers as the VM does, and sends what it is told to. */
async function answer(argv: readonly string[], options: ExecOptions, sent: readonly Buffer[]): Promise<Partial<ExecResult>> {
  if (argv[2] === 'graft') return { stdout: '{"lacks":[]}\n' };
  if (argv[0] === 'sh') return { stdout: `${blocks * blockBytes}\n` };
  if (argv[2] !== 'send' || !options.stdout) return {};
  for (const bytes of sent) options.stdout.write(bytes);
  options.stdout.end();
  return await finished(options.stdout).then(
    () => ({}),
    () => ({ ended: 'output_sink', exitCode: null }),
  );
}

const frame = (number: number): Buffer => Buffer.concat([Buffer.from([0, 0, 0, number]), Buffer.alloc(blockBytes, 'x')]);

async function build(folder: string, sent: readonly Buffer[]): Promise<void> {
  const silent: ExecResult = { exitCode: 0, signal: null, stdout: '', stderr: '', ended: 'exited', durationMs: 0, clippedBytes: 0 };
  const exec = async (argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> => ({ ...silent, ...(await answer(argv, options, sent)) });
  const sandbox = { ...createFakeSandbox(), exec };
  const provider = { name: 'oci', boot: () => Promise.resolve(sandbox), sweep: () => Promise.resolve([]) };
  const wanted: GuestBuild = {
    provider,
    image: { configSha256: '', configBytes: 0, layers: [], sha256: '', environment: {} },
    layers: [],
    limits: { maxBlobBytes: 1, maxUnpackedBytes: 1, maxFiles: 1 },
    kind: 'erofs',
    diskGib: 1,
    target: join(folder, 'rootfs.erofs'),
    signal: AbortSignal.timeout(20_000),
    onProgress: () => {},
  };
  await buildInGuest(wanted);
}

const lacking = process.getuid?.() === 0 ? null : 'a small disk is mounted as root';

describe.skipIf(isSkipped('a full disk', lacking))('the file system of an image', () => {
  it('that finds the disk of the host full says that, and nothing of the image', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mayfly-full-'));
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', folder]);
    try {
      await expect(build(folder, [0, 1, 2, 3].map(frame))).rejects.toMatchObject({ code: 'disk_full' });
      await rm(join(folder, 'rootfs.erofs'));
      await expect(build(folder, [frame(9)])).rejects.toMatchObject({ code: 'image_unsuitable', details: { why: 'its file system is not what it said' } });
      await rm(join(folder, 'rootfs.erofs'));
      await build(folder, [frame(0)]);
    } finally {
      await execa('umount', [folder]);
      await rm(folder, { recursive: true });
    }
  });
});
