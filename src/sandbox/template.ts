/** The guest template as a whole: image, what executes it here, saved memory. Built by `mayfly setup`, found by every boot. */
import { join } from 'node:path';
import { execa } from 'execa';
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { HostOptions } from './claim.ts';
import { readTscKhz } from './host-clock.ts';
import { ensureImage, findImage } from './image.ts';
import type { Image } from './image.ts';
import { chooseAccel, isKvmPvm } from './kvm.ts';
import { qemuProgram } from './machine.ts';
import type { MachineShape } from './qemu-arguments.ts';
import { ensureSnapshot, findSnapshot } from './snapshot.ts';
import type { Template } from './vm.ts';

export interface TemplateOptions {
  readonly cacheDir: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly diskGib: number;
  readonly extraPackages: readonly string[];
  readonly kernelFile: string | null;
  readonly uidRange: HostOptions['uidRange'];
  readonly allowUnlimited: boolean;
  /** Boots from the image only, without saved memory. */
  readonly coldBoot?: boolean;
  readonly log: Log;
}

export interface Building {
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

const quiet: Building = { signal: new AbortController().signal, onProgress: () => {} };

/** The template, with whatever of it was missing built first. Throws `template_failed`, `guest_kernel_unsuitable`, `host_incomplete`, `cancelled`. */
export async function buildTemplate(options: TemplateOptions, building: Building = quiet): Promise<Template> {
  const image = await ensureImage({ ...options, ...building });
  const machine = await describeMachine(options, image, building);
  if (options.coldBoot) return { image, shape: machine.shape, snapshot: null };
  const snapshot = await ensureSnapshot({ ...machine, ...building, cacheDir: options.cacheDir, image }).catch((thrown: unknown) => {
    throw options.kernelFile === null ? thrown : blameKernel(thrown);
  });
  return { image, shape: machine.shape, snapshot };
}

/** A guest that does not even boot with a kernel of the operator's choice: most likely it is the kernel. */
function blameKernel(thrown: unknown): unknown {
  const boot = thrown instanceof FixError && thrown.code === 'template_failed' ? thrown.cause : null;
  if (!(boot instanceof FixError) || boot.code !== 'sandbox_boot') return thrown;
  return new FixError('guest_kernel_unsuitable', { cause: boot, details: { reason: 'a guest did not boot with it' } });
}

/** An image that is no template's own, in a cache of its own; it has the kernel of `base`, and runs on what that does. */
interface OtherImage {
  readonly image: Image;
  readonly base: Image;
  readonly imagesCache: string;
}

/** The template of such an image, with its memory saved first when it was not. Throws as `buildTemplate`. */
export async function buildTemplateOf({ image, base, imagesCache }: OtherImage, options: TemplateOptions, building: Building): Promise<Template> {
  const machine = await describeMachine(options, base, building);
  const snapshot = options.coldBoot ? null : await ensureSnapshot({ ...machine, ...building, cacheDir: imagesCache, image });
  return { image, shape: machine.shape, snapshot };
}

/** The same as it has been built; without saved memory where there is none. */
export async function findTemplateOf({ image, base, imagesCache }: OtherImage, options: TemplateOptions): Promise<Template> {
  const machine = await describeMachine(options, base, quiet);
  const snapshot = options.coldBoot ? null : await findSnapshot({ ...machine, cacheDir: imagesCache, image });
  return { image, shape: machine.shape, snapshot };
}

/** The template as it has been built. Throws `template_missing` when it has not. */
export async function findTemplate(options: TemplateOptions): Promise<Template> {
  const image = await findImage(options);
  if (!image) throw new FixError('template_missing');
  const machine = await describeMachine(options, image, quiet);
  if (options.coldBoot) return { image, shape: machine.shape, snapshot: null };
  const snapshot = await findSnapshot({ ...machine, cacheDir: options.cacheDir, image });
  if (!snapshot) throw new FixError('template_missing');
  return { image, shape: machine.shape, snapshot };
}

export interface MachineDescription {
  readonly shape: MachineShape;
  readonly qemuVersion: string;
  readonly host: HostOptions;
}

/** What guests of this host run on. Boots one on KVM at most once per boot of the host; throws `host_incomplete` without a QEMU that will do. */
export async function describeMachine(options: TemplateOptions, image: Image, building: Building): Promise<MachineDescription> {
  const { cacheDir, memoryMib, vcpus, uidRange, allowUnlimited, log } = options;
  const host: HostOptions = { stateDir: join(cacheDir, 'probing'), uidRange, allowUnlimited, log };
  const [qemuVersion, tscKhz] = await Promise.all([readQemuVersion(), readTscKhz()]);
  const accel = await chooseAccel({ cacheDir, image, qemuVersion, host, ...building });
  return { shape: { accel, memoryMib, vcpus, tscKhz, isPvm: accel === 'kvm' && (await isKvmPvm()) }, qemuVersion, host };
}

/** Older ones open a template for writing even when they are told not to share it. */
const oldestQemu = [8, 2] as const;

async function readQemuVersion(): Promise<string> {
  const asked = await execa(qemuProgram, ['--version'], { reject: false, stdin: 'ignore' });
  const [version, major, minor] = /^QEMU emulator version (\d+)\.(\d+)[^\n]*/.exec(asked.stdout) ?? [];
  if (version === undefined) throw new FixError('host_incomplete', { cause: asked, details: { missing: qemuProgram } });
  const tooOld = Number(major) < oldestQemu[0] || (Number(major) === oldestQemu[0] && Number(minor) < oldestQemu[1]);
  if (tooOld) throw new FixError('host_incomplete', { details: { missing: `QEMU ${oldestQemu.join('.')} or newer`, found: version } });
  return version;
}
