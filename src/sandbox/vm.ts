/**
 * A claimed VM with its QEMU process, from start to the point where its guest waits for thaw. What is above it - the
 * sandbox, the making of a template, the probe for KVM - differs only in what it does then.
 */
import { chmod, chown, copyFile, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { processName } from './claim.ts';
import type { Claim, HostOptions } from './claim.ts';
import type { Image } from './image.ts';
import { launch } from './launch.ts';
import { startMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { inherited, inheritedDisk, nameOfFile, qemuArguments } from './qemu-arguments.ts';
import type { MachinePlan, MachineShape } from './qemu-arguments.ts';
import { openQmp } from './qmp.ts';
import type { Qmp } from './qmp.ts';
import type { SandboxSpec } from './sandbox.ts';
import { awaitReady } from './thaw.ts';

/** Saved memory of one machine shape: restored by many, written by none. */
export interface Snapshot {
  readonly memory: string;
  readonly state: string;
  readonly disk: string;
}

export interface Template {
  readonly image: Image;
  readonly shape: MachineShape;
  /** Null: machines boot cold. */
  readonly snapshot: Snapshot | null;
  /** A disk that was kept, between the image's and the machine's own; only without a snapshot, whose memory knows another disk. */
  readonly layer?: string;
}

/** A claimed VM with its QEMU process. */
export interface RunningVm {
  readonly claim: Claim;
  readonly machine: Machine;
  readonly qmp: Qmp;
}

export interface VmSpec extends SandboxSpec {
  /** Keeps the guest's memory in the file `memory` of the claim's directory, for a template. */
  readonly save?: boolean;
  /** Where the disk that it writes is made, a place that only root gets to; default: in the directory of the claim. */
  readonly overlay?: string;
  readonly deadlineMs?: number;
}

const coldDeadlineMs = 90_000;
const restoreDeadlineMs = 45_000;
/** What QEMU needs beside the guest's memory: itself, translated code, disk metadata. */
const overheadMib = 512;
const threads = 128;

/** A machine for `use`, as `launch` says. */
export async function withVm<T>(host: HostOptions, template: Template, spec: VmSpec, use: (vm: RunningVm, signal: AbortSignal) => Promise<T>): Promise<T> {
  const { shape } = template;
  const limits = { memoryBytes: (shape.memoryMib + overheadMib) * 2 ** 20, processes: threads + shape.vcpus, cpus: shape.vcpus + 1 };
  const deadlineMs = spec.deadlineMs ?? (template.snapshot ? restoreDeadlineMs : coldDeadlineMs);
  return launch(
    host,
    { id: spec.id, signal: spec.signal, limits, deadlineMs, ownUser: true },
    async (claim) => startVm(claim, template, spec),
    async ({ claim, process: machine }, signal) => use({ claim, machine, qmp: await openQmp(machine.monitor) }, signal),
  );
}

async function startVm(claim: Claim, template: Template, spec: VmSpec): Promise<Machine> {
  const gid = await kvmGroup(template.shape);
  const opened: FileHandle[] = [];
  try {
    const argv = await prepare(claim, await openClosed(template, opened), { ...spec, opened });
    return startMachine({ ...claim, gid, argv, files: opened.map(({ fd }) => fd) });
  } finally {
    await Promise.all(opened.map((handle) => handle.close()));
  }
}

/** Files that only root gets to by name, opened, and called by the names that they have for the machine. */
async function openClosed(template: Template, opened: FileHandle[]): Promise<Template> {
  const { image, snapshot } = template;
  const pass = async (file: string): Promise<string> => nameOfFile(opened.push(await open(file, 'r')) - 1);
  // The first, by which QEMU knows it.
  if (template.layer !== undefined) await pass(template.layer);
  const layer = template.layer !== undefined && { layer: inheritedDisk };
  if (!image.isForeign) return { ...template, ...layer };
  const files = { kernel: await pass(image.kernel), initramfs: await pass(image.initramfs), disk: await pass(image.disk) };
  const saved = snapshot && { ...snapshot, memory: await pass(snapshot.memory), disk: await pass(snapshot.disk) };
  return { ...template, ...layer, image: { ...image, ...files }, snapshot: saved };
}

/** Brings a started machine to the point where the guest waits for thaw. */
export async function wake(vm: RunningVm, template: Template): Promise<void> {
  if (!template.snapshot) return awaitReady(vm.machine.channel);
  const state = await readFile(template.snapshot.state);
  await enableSharedMemory(vm.qmp);
  await vm.qmp.migrated(async () => {
    vm.machine.state.write(state);
    await vm.qmp.execute('migrate-incoming', { uri: `fd:${inherited.state}` });
  });
  await vm.qmp.execute('cont');
}

/** Memory stays in its file and out of the stream; both ends must say so. Migration then reports itself as events. */
export async function enableSharedMemory(qmp: Qmp): Promise<void> {
  const capabilities = ['x-ignore-shared', 'events'].map((capability) => ({ capability, state: true }));
  await qmp.execute('migrate-set-capabilities', { capabilities });
}

/** What a machine writes. */
export const overlayOf = ({ directory }: Pick<Claim, 'directory'>): string => join(directory, 'disk.qcow2');

interface Preparing extends Pick<VmSpec, 'save' | 'overlay'> {
  readonly opened: FileHandle[];
}

async function prepare(claim: Claim, template: Template, { save = false, overlay = overlayOf(claim), opened }: Preparing): Promise<string[]> {
  const saved = join(claim.directory, 'memory');
  await copyFile(template.image.overlay, overlay);
  // Opened before it is another user's, which in a container not even root may do.
  const written = overlay === overlayOf(claim) ? overlay : nameOfFile(opened.push(await open(overlay, 'r+')) - 1);
  if (save) await writeFile(saved, '');
  for (const file of save ? [overlay, saved] : [overlay]) {
    await chmod(file, 0o600);
    if (claim.uid !== null) await chown(file, claim.uid, claim.uid);
  }
  if (save) await truncate(saved, template.shape.memoryMib * 2 ** 20);
  const { image, shape, snapshot } = template;
  const memory: MachinePlan['memory'] = save ? { file: saved, use: 'save' } : snapshot && { file: snapshot.memory, use: 'restore' };
  return qemuArguments({
    name: processName(claim.id),
    shape,
    image,
    overlay: written,
    templateDisk: snapshot?.disk ?? template.layer ?? null,
    memory,
  });
}

async function kvmGroup(shape: MachineShape): Promise<number | null> {
  return shape.accel === 'kvm' ? (await stat('/dev/kvm')).gid : null;
}
