/**
 * Makes a file system of an image in a throwaway VM without a network: layers go in over the channel, the file comes out
 * over it. To this host both are bytes: what is in them is read by guests only.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { diskSettings } from './image.ts';
import { hostFailure } from './claim.ts';
import { unsuitable } from './image-manifest.ts';
import type { ImageLimits } from './image-manifest.ts';
import type { PlannedImage } from './registry.ts';
import type { ExecOptions, ExecResult, Provider, Sandbox } from './sandbox.ts';

/** What runs in the VM. */
export const unpackProgram = fileURLToPath(new URL('builder-unpack.py', import.meta.url));

/** The kind of file system: what each provider gives to its guests. */
export type ImageKind = 'erofs' | 'ext4';

export interface GuestBuild {
  readonly provider: Provider;
  readonly image: PlannedImage;
  /** Files of its layers, in order. */
  readonly layers: readonly string[];
  readonly limits: ImageLimits;
  readonly kind: ImageKind;
  readonly diskGib: number;
  /** Where the file system goes. */
  readonly target: string;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

const folder = '/var/tmp/mayfly-image';
const program = `${folder}/unpack.py`;
const root = `${folder}/root`;
const made = `${folder}/made`;
const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const stepMs = 15 * 60_000;
const refusedExitCode = 3;

/** The installed size is what a guest sees as its disk; a container has its own layer over the image. */
const makeScripts: Readonly<Record<ImageKind, string>> = {
  // gVisor 20240729 cannot map the end of a file that is kept beside its inode.
  erofs: 'mkfs.erofs --quiet --preserve-mtime -x-1 -Enoinline_data "$1" "$2" && stat -c %s "$1"',
  ext4: `truncate -s "$3" "$1" && mke2fs ${diskSettings.join(' ')} -d "$2" "$1" && stat -c %s "$1"`,
};

const Grafted = z.object({ lacks: z.array(z.string().max(20)).max(10) });

/** Throws `image_unsuitable`, `image_unavailable`, `cancelled`, what a boot throws, `sandbox_lost`, `disk_full`. */
export async function buildInGuest(build: GuestBuild): Promise<void> {
  const sandbox = await build.provider.boot({ id: `image-${randomBytes(6).toString('hex')}`, signal: build.signal });
  let left: readonly string[] = [];
  try {
    await sandbox.put(program, await readFile(unpackProgram), { user: 'root', mode: 0o644, signal: build.signal });
    await unpack(sandbox, build);
    await graft(sandbox, build);
    build.onProgress('writing its file system');
    const sizeBytes = await makeFileSystem(sandbox, build);
    await fetchFile(sandbox, sizeBytes, build);
  } finally {
    left = await sandbox.dispose();
  }
  if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
}

async function unpack(sandbox: Sandbox, { image, layers, limits, signal, onProgress }: GuestBuild): Promise<void> {
  for (const [index, file] of layers.entries()) {
    onProgress(`unpacking layer ${index + 1} of ${layers.length} in a VM`);
    const format = image.layers[index]?.format ?? 'tar';
    const argv = ['python3', program, 'layer', root, String(limits.maxUnpackedBytes), String(limits.maxFiles), format];
    await must(sandbox, argv, { signal, stdin: createReadStream(file, { highWaterMark: 2 ** 18 }) });
  }
}

/** Adds what every guest has, and tries the image's shell as the agent would. */
async function graft(sandbox: Sandbox, { image, signal }: GuestBuild): Promise<void> {
  const path = [image.environment['PATH'], usualPath].filter(Boolean).join(':');
  const { stdout } = await must(sandbox, ['python3', program, 'graft', root, path], { signal });
  const answer = Grafted.safeParse(parse(stdout));
  if (!answer.success) throw unsuitable('a guest could not be made of it');
  const [lacking] = answer.data.lacks.filter((name) => name in whyLacking);
  if (lacking !== undefined) throw unsuitable(whyLacking[lacking] ?? '');
}

const whyLacking: Readonly<Record<string, string>> = {
  '/bin/sh': 'it has no /bin/sh that runs here',
  bash: 'it has no bash that runs; the agent works with it',
  coreutils: 'it has no GNU coreutils, such as realpath, which are used to read and write files in it',
  git: 'it has a git that does not run',
};

async function makeFileSystem(sandbox: Sandbox, { kind, diskGib, signal }: GuestBuild): Promise<number> {
  const argv = ['sh', '-c', makeScripts[kind], 'sh', made, root, String(diskGib * 2 ** 30)];
  const { stdout } = await must(sandbox, argv, { signal });
  const sizeBytes = Number(/^\d{1,15}$/m.exec(stdout.trim().split('\n').at(-1) ?? '')?.[0] ?? Number.NaN);
  if (!(sizeBytes > 0 && sizeBytes <= diskGib * 2 ** 30)) throw unsuitable('its file system could not be written', { stdout: stdout.slice(-500) });
  return sizeBytes;
}

async function fetchFile(sandbox: Sandbox, sizeBytes: number, { target, signal }: GuestBuild): Promise<void> {
  const handle = await open(target, 'wx', 0o600);
  const sink = createBlockSink(handle, sizeBytes);
  try {
    await must(sandbox, ['python3', program, 'send', made], { signal, stdout: sink }).catch((thrown: unknown) => {
      // It ended the command, so it knows better.
      throw hostFailure(sink.errored ?? thrown);
    });
    // The last block was filled up.
    await handle.truncate(sizeBytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function must(sandbox: Sandbox, argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
  const result = await sandbox.exec(argv, { user: 'root', cwd: '/', timeoutMs: stepMs, maxOutputBytes: 16 * 1024, ...options });
  if (result.ended === 'cancelled') throw new FixError('cancelled');
  if (result.ended === 'exited' && result.exitCode === 0) return result;
  const why = /^refused: ([ -~]{1,300})$/m.exec(result.stdout)?.[1];
  if (result.exitCode === refusedExitCode && why !== undefined) throw unsuitable(why);
  const details = { step: argv.slice(2, 4), ended: result.ended, exitCode: result.exitCode, stderr: result.stderr.slice(-2000) };
  if (/No space left on device/.test(result.stderr)) throw unsuitable('unpacked, it is larger than the disk of a VM (MAYFLY_GUEST_DISK_GIB)', details);
  if (result.ended === 'timeout') {
    throw new FixError('image_unavailable', { details: { why: `a step of unpacking it took longer than ${stepMs / 60_000} minutes`, ...details } });
  }
  throw unsuitable('it could not be unpacked', details);
}

const blockBytes = 2 ** 16;

/**
 * Blocks of a file, each after its number, as builder-unpack.py sends them; what is left out stays a hole. Fails at a
 * number that is not of the file, and at more blocks than it has: the sender is not trusted.
 */
export function createBlockSink(handle: Pick<FileHandle, 'write'>, sizeBytes: number): Writable {
  const blocks = Math.ceil(sizeBytes / blockBytes);
  let left = blocks;
  let pending: Buffer = Buffer.alloc(0);
  const drain = async (): Promise<void> => {
    let at = 0;
    for (; pending.length - at >= 4 + blockBytes; at += 4 + blockBytes) {
      const number = pending.readUInt32BE(at);
      left -= 1;
      if (number >= blocks || left < 0) throw new FixError('image_unsuitable', { details: { why: 'its file system is not what it said' } });
      await handle.write(pending, at + 4, blockBytes, number * blockBytes);
    }
    pending = pending.subarray(at);
  };
  return new Writable({
    highWaterMark: 2 ** 20,
    writev(chunks, callback) {
      pending = Buffer.concat([pending, ...chunks.map(({ chunk }) => chunk as Buffer)]);
      void drain().then(() => callback(null), callback); // oxlint-disable-line promise/no-callback-in-promise -- a stream of Node asks for one
    },
    final: (callback) => callback(pending.length === 0 ? null : new FixError('image_unsuitable', { details: { why: 'its file system was cut short' } })),
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text.trim().split('\n').at(-1) ?? '');
  } catch {
    return null;
  }
}
