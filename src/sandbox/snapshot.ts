/**
 * The second half of a template: a machine of one shape, booted until it waits for thaw, with its memory saved.
 * Put in its place only after it has been restored once, to a first command.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asFixError, FixError } from '../errors.ts';
import { bootSandbox } from './boot.ts';
import type { HostOptions } from './claim.ts';
import { syncFile } from './digest.ts';
import { buildLock, unfinished } from './image.ts';
import type { Image } from './image.ts';
import { waitForLock } from './lock.ts';
import { takeOverlay } from './overlay.ts';
import { qemuArguments } from './qemu-arguments.ts';
import type { MachineShape } from './qemu-arguments.ts';
import { sweep } from './reaper.ts';
import { enableSharedMemory, overlayOf, wake, withVm } from './vm.ts';
import type { RunningVm, Snapshot, Template } from './vm.ts';

export interface SnapshotOptions {
  readonly cacheDir: string;
  readonly image: Image;
  readonly shape: MachineShape;
  readonly qemuVersion: string;
  /** Limits and user for the machine that is saved; its state directory is not used. */
  readonly host: HostOptions;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

const files = ['memory', 'state', 'disk.qcow2'] as const;

/** The snapshot when it has been made, else null. */
export async function findSnapshot(options: Pick<SnapshotOptions, 'cacheDir' | 'image' | 'shape' | 'qemuVersion'>): Promise<Snapshot | null> {
  const directory = await placeOf(options);
  const complete = await stat(join(directory, 'manifest.json')).catch(() => null);
  return complete ? snapshotIn(directory) : null;
}

/** The snapshot, made first when there is none. Two processes that make it at once end with one. */
export async function ensureSnapshot(options: SnapshotOptions): Promise<Snapshot> {
  const found = await findSnapshot(options);
  if (found) return found;
  const directory = await placeOf(options);
  const lock = await waitForLock(buildLock(directory), {
    signal: options.signal,
    onWait: () => options.onProgress('another process saves the guest template; waiting for it'),
  });
  try {
    return (await findSnapshot(options)) ?? (await makeSnapshot(directory, options));
  } finally {
    await lock.release();
  }
}

function snapshotIn(directory: string): Snapshot {
  return { memory: join(directory, 'memory'), state: join(directory, 'state'), disk: join(directory, 'disk.qcow2') };
}

/** Saved memory fits only the machine that saved it: same image, QEMU, processor model and devices. */
async function placeOf(options: Pick<SnapshotOptions, 'cacheDir' | 'image' | 'shape' | 'qemuVersion'>): Promise<string> {
  const { image, shape, qemuVersion } = options;
  // Two boots of one host measure its clock a little differently; a thousandth is near enough.
  const steadyShape = { ...shape, tscKhz: Math.round(shape.tscKhz / 1000) * 1000 };
  const anywhere = { ...image, kernel: 'kernel', initramfs: 'initramfs', disk: 'disk' };
  const argv = qemuArguments({
    name: 'name',
    shape: steadyShape,
    image: anywhere,
    overlay: 'overlay',
    templateDisk: 'template',
    memory: { file: 'memory', use: 'save' },
  });
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8');
  const processor = ['model name', 'flags'].map((field) => new RegExp(`^${field}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1]);
  const key = createHash('sha256')
    .update(JSON.stringify([image.key, qemuVersion, argv, processor]))
    .digest('hex')
    .slice(0, 24);
  return join(options.cacheDir, 'snapshots', key);
}

async function makeSnapshot(directory: string, options: SnapshotOptions): Promise<Snapshot> {
  const parent = dirname(directory);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  // We hold the lock of this snapshot: another build of it can only be one that was killed.
  for (const left of await unfinished(directory)) {
    await sweep({ ...options.host, stateDir: join(left, 'vm') });
    await rm(left, { recursive: true, force: true });
  }
  const build = await mkdtemp(`${directory}.building-`);
  await chmod(build, 0o711);
  const host = { ...options.host, stateDir: join(build, 'vm') };
  try {
    const candidate = join(build, 'snapshot');
    await mkdir(candidate);
    options.onProgress('booting the guest once, to save its memory');
    await saveMachine(candidate, host, options);
    options.onProgress('checking that the saved guest can be restored');
    await verify(candidate, host, options);
    const manifest = { version: 1, image: options.image.key, qemu: options.qemuVersion, shape: options.shape };
    await writeFile(join(candidate, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o444 });
    await rename(candidate, directory);
    return snapshotIn(directory);
  } catch (thrown) {
    const error = asFixError(thrown, 'template_failed');
    throw error.row.retry === 'never' ? error : new FixError('template_failed', { cause: error });
  } finally {
    await rm(build, { recursive: true, force: true });
  }
}

async function saveMachine(candidate: string, host: HostOptions, options: SnapshotOptions): Promise<void> {
  const template: Template = { image: options.image, shape: options.shape, snapshot: null };
  const spec = { id: `template-${randomBytes(6).toString('hex')}`, signal: options.signal, save: true };
  const left = await withVm(host, template, spec, async (vm) => {
    await wake(vm, template);
    const startedAt = performance.now();
    await vm.qmp.execute('stop');
    await enableSharedMemory(vm.qmp);
    await saveState(vm, join(candidate, 'state'));
    host.log.debug({ saveMs: Math.round(performance.now() - startedAt) }, 'guest memory is saved');
    vm.machine.kill();
    await vm.machine.exited;
    await keepMemory(join(vm.claim.directory, 'memory'), join(candidate, 'memory'), options.shape);
    await takeOverlay(overlayOf(vm.claim));
    await rename(overlayOf(vm.claim), join(candidate, 'disk.qcow2'));
    return vm.claim.release();
  });
  if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
  for (const name of files) await seal(join(candidate, name));
}

/** The machine could write to it, and nothing but its size is the same for all. */
async function keepMemory(file: string, target: string, { memoryMib }: MachineShape): Promise<void> {
  const { size } = await stat(file);
  if (size !== memoryMib * 2 ** 20) throw new FixError('sandbox_boot', { details: { why: 'its memory is not kept: it has another size', size } });
  await rename(file, target);
}

/** A machine of the template has less than one MiB. */
const maxStateBytes = 64 * 2 ** 20;

/** Device state leaves over a socket of ours: QEMU takes an inherited descriptor by number for coming in only. */
async function saveState(vm: RunningVm, target: string): Promise<void> {
  // The path of a socket has at most 108 bytes, which a cache directory easily uses up.
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-'));
  const path = join(directory, 'state');
  const server = createServer();
  try {
    server.listen(path);
    await once(server, 'listening');
    const { uid } = vm.claim;
    if (uid !== null) for (const at of [path, directory]) await chown(at, uid, uid);
    const written = once(server, 'connection').then(([socket]) => pipeline(socket as Socket, atMost(maxStateBytes), createWriteStream(target)));
    // A disk that is full ends it before anybody waits for it.
    written.catch(() => undefined);
    await vm.qmp.migrated(async () => vm.qmp.execute('migrate', { uri: `unix:${path}` }));
    await written;
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** It is read as a whole for each machine. */
function atMost(bytes: number): Transform {
  let left = bytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(new FixError('sandbox_boot', { details: { why: `its state is not kept: it has more than ${bytes} bytes` } }));
      else done(null, chunk);
    },
  });
}

/** What is in an image of a registry, in memory too, is for the machines that it is given to. */
const folderMode = ({ isForeign }: Image): number => (isForeign ? 0o700 : 0o755);

/** On disk, of root (or of us), and written never again. */
async function seal(file: string): Promise<void> {
  await chown(file, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
  await chmod(file, 0o444);
  await syncFile(file);
}

async function verify(candidate: string, host: HostOptions, options: SnapshotOptions): Promise<void> {
  await chmod(candidate, folderMode(options.image));
  const template: Template = { image: options.image, shape: options.shape, snapshot: snapshotIn(candidate) };
  const sandbox = await bootSandbox(host, template, { id: `verify-${randomBytes(6).toString('hex')}`, signal: options.signal });
  const left = await sandbox.dispose();
  if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
}
