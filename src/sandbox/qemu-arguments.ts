/**
 * The machine, as QEMU's argument vector: a microvm with a disk, two virtio-serial ports and a source of randomness.
 * No network card, no PCI, no USB, no name on disk that the guest could reach.
 *
 * A template can only be restored into the machine that saved it, so all of this is part of the template's key.
 */
import type { Image } from './image.ts';

export type Accel = 'kvm' | 'tcg';

/** What a machine is like; machines of one shape can share a template. */
export interface MachineShape {
  readonly accel: Accel;
  readonly memoryMib: number;
  readonly vcpus: number;
  /** Rate of the host's time stamp counter, which the guest sees under emulation. */
  readonly tscKhz: number;
  /** KVM is kvm_pvm, which cannot set one register (IA32_ARCH_CAPABILITIES) that QEMU copies from the host, and then aborts. */
  readonly isPvm: boolean;
}

export interface MachinePlan {
  readonly name: string;
  readonly shape: MachineShape;
  readonly image: Image;
  /** Written by this machine alone. */
  readonly overlay: string;
  /** Disk of the template between image and overlay, when one is restored; or a kept one: `inheritedDisk`. */
  readonly templateDisk: string | null;
  /** Guest memory as a file: `save` writes the template's, `restore` maps it copy-on-write. Null: plain memory. */
  readonly memory: { readonly file: string; readonly use: 'save' | 'restore' } | null;
}

/** File descriptors that QEMU inherits; 0 to 2 are nothing, stdout, stderr. */
export const inherited = { console: 3, monitor: 4, toGuest: 5, fromGuest: 6, state: 7 } as const;
/** What one repository holds, or one image, is for no other user of this host, and each VM is one: its files come open. */
const firstFile = Object.keys(inherited).length + 3;
/** The first of them, where it is a kept disk: https://www.qemu.org/docs/master/system/invocation.html */
export const inheritedDisk = '/dev/fdset/1';
/** The name by which it opens one of them once more, if its mode lets it; a kernel and memory have to be opened by name. */
export const nameOfFile = (index: number): string => `/proc/self/fd/${firstFile + index}`;

/** The name of the guest's disk for QEMU's monitor. */
export const diskNode = 'disk';

const translationCacheMib = 256;

export function qemuArguments(plan: MachinePlan): string[] {
  const { shape, image } = plan;
  return [
    ['-name', plan.name],
    ['-nodefaults', '-no-user-config', '-nic', 'none', '-display', 'none', '-no-reboot'],
    ['-bios', 'qboot.rom', '-machine', machine(shape), ...accelerator(shape), '-smp', `${shape.vcpus}`, '-m', `${shape.memoryMib}M`],
    ['-object', memory(plan), '-global', 'virtio-mmio.force-legacy=false'],
    // A restored guest has its kernel in memory: QEMU need not read it once more.
    plan.memory?.use === 'restore' ? [] : ['-kernel', image.kernel, '-initrd', image.initramfs, '-append', kernelArguments(plan)],
    ['-chardev', `socket,id=console,fd=${inherited.console}`, '-serial', 'chardev:console'],
    ['-chardev', `socket,id=monitor,fd=${inherited.monitor}`, '-mon', 'chardev=monitor,mode=control'],
    // A port for each direction: guest-thaw.h says why.
    ['-device', 'virtio-serial-device'],
    ['-chardev', `socket,id=in,fd=${inherited.toGuest}`, '-device', 'virtserialport,chardev=in,name=mayfly-in'],
    ['-chardev', `socket,id=out,fd=${inherited.fromGuest}`, '-device', 'virtserialport,chardev=out,name=mayfly-out'],
    plan.templateDisk === inheritedDisk ? ['-add-fd', `fd=${firstFile},set=1`] : [],
    ['-blockdev', JSON.stringify(disk(plan)), '-device', 'virtio-blk-device,drive=disk'],
    ['-object', 'rng-builtin,id=random', '-device', 'virtio-rng-device,rng=random'],
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    plan.memory?.use === 'restore' ? ['-incoming', 'defer'] : [],
  ].flat();
}

/** The old timers are what a kernel under emulation calibrates with; KVM needs none of them. */
function machine(shape: MachineShape): string {
  const timers = shape.accel === 'kvm' ? 'pit=off,pic=off,rtc=off' : 'pit=on,pic=on,rtc=on';
  return `microvm,x-option-roms=off,isa-serial=on,acpi=on,${timers},memory-backend=memory`;
}

function accelerator(shape: MachineShape): string[] {
  const copied = shape.isPvm ? 'host,arch-capabilities=off' : 'host';
  return shape.accel === 'kvm' ? ['-accel', 'kvm', '-cpu', copied] : ['-accel', `tcg,thread=multi,tb-size=${translationCacheMib}`, '-cpu', 'max'];
}

function kernelArguments(plan: MachinePlan): string {
  // Without a PM timer the kernel cannot measure the emulated TSC, and one boot in four hangs while it tries. Told to
  // trust it (all processors see the host's), it uses it as its clock; else time goes in steps of 4 ms.
  const clock = plan.shape.accel === 'tcg' ? [`tsc_early_khz=${plan.shape.tscKhz}`, 'tsc=reliable'] : [];
  const warm = plan.memory?.use === 'save' && !plan.image.isForeign ? ['mayfly.warm'] : [];
  return ['console=ttyS0', 'quiet', 'loglevel=3', 'panic=-1', 'reboot=t', ...clock, ...warm].join(' ');
}

function memory(plan: MachinePlan): string {
  const size = plan.shape.memoryMib * 2 ** 20;
  if (!plan.memory) return JSON.stringify({ 'qom-type': 'memory-backend-ram', id: 'memory', size, reserve: false });
  const file = { 'qom-type': 'memory-backend-file', id: 'memory', size, 'mem-path': plan.memory.file };
  // readonly with rom=off: the file is opened for reading only, the guest's writes stay in private pages.
  if (plan.memory.use === 'restore') return JSON.stringify({ ...file, share: false, readonly: true, rom: 'off', reserve: false });
  return JSON.stringify({ ...file, share: true });
}

interface BlockNode {
  readonly driver: 'qcow2';
  readonly 'node-name'?: string;
  readonly 'read-only'?: boolean;
  readonly discard?: 'unmap';
  readonly cache?: { readonly 'no-flush': boolean };
  readonly file: { readonly driver: 'file'; readonly filename: string };
  readonly backing: BlockNode | null;
}

/** Every backing file is named here, so what a header says never matters. */
function disk(plan: MachinePlan): BlockNode {
  const base = readOnly(plan.image.disk, null);
  return {
    driver: 'qcow2',
    'node-name': diskNode,
    discard: 'unmap',
    // A throwaway disk need not survive the host: the guest's fsync costs nothing.
    cache: { 'no-flush': true },
    file: { driver: 'file', filename: plan.overlay },
    backing: plan.templateDisk === null ? base : readOnly(plan.templateDisk, base),
  };
}

function readOnly(filename: string, backing: BlockNode | null): BlockNode {
  return { driver: 'qcow2', 'read-only': true, file: { driver: 'file', filename }, backing };
}
