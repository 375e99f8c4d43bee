/** From a template to a sandbox: start, wake, greet. */
import { FixError } from '../errors.ts';
import type { Channel } from './channel.ts';
import type { HostOptions } from './claim.ts';
import { createSandbox, greet } from './greet.ts';
import { layerDeadlineMs, orRemove, settle } from './make-layer.ts';
import { broughtPrograms } from './named-image.ts';
import { takeOverlay } from './overlay.ts';
import { diskNode } from './qemu-arguments.ts';
import type { Sandbox, SandboxInfo, SandboxSpec } from './sandbox.ts';
import { createIdentity } from './thaw.ts';
import { wake, withVm } from './vm.ts';
import type { RunningVm, Template } from './vm.ts';

export interface BootSpec extends SandboxSpec {
  /** A disk larger than the template's. */
  readonly diskBytes?: number;
}

/** Boots and connects. Throws `cancelled`, `sandbox_boot`, `sandbox_thaw`, `sandbox_unlimited`; nothing is left then. */
export async function bootSandbox(host: HostOptions, template: Template, spec: BootSpec, createId = createIdentity): Promise<Sandbox> {
  const startedAt = performance.now();
  return withVm(host, template, spec, async (vm, signal) => {
    await wake(vm, template);
    const diskBytes = spec.diskBytes ?? null;
    if (diskBytes !== null) await vm.qmp.execute('block_resize', { 'node-name': diskNode, size: diskBytes });
    const { channel, bootMs } = await greet({ id: spec.id, stream: vm.machine.channel, signal, log: host.log, startedAt, createId });
    if (diskBytes !== null) await growFileSystem(channel, diskBytes, signal);
    return createSandbox({ claim: vm.claim, process: vm.machine }, channel, describe(template, bootMs));
  });
}

function describe({ shape: { accel }, snapshot }: Template, bootMs: number): SandboxInfo {
  return {
    provider: 'qemu',
    accel,
    isolation: accel === 'kvm' ? 'hardware' : 'emulation',
    networkCards: 0,
    restored: snapshot !== null,
    pooled: false,
    bootMs,
  };
}

/** The file system is whole when nothing may write to it any more; then QEMU ends with its guest, and has written all of its file. */
const settleScript = `PATH=${broughtPrograms}:$PATH; sync && mount -o remount,ro /`;

/** As a LayerMaker does it. The template boots cold: the disk under a snapshot would be one more layer. */
export async function makeLayer(
  host: HostOptions,
  template: Template,
  spec: SandboxSpec,
  { file, fill }: { file: string; fill: (sandbox: Sandbox) => Promise<void> },
): Promise<void> {
  const startedAt = performance.now();
  const work = async (vm: RunningVm, signal: AbortSignal): Promise<void> => {
    const { claim, machine } = vm;
    await wake(vm, template);
    const { channel, bootMs } = await greet({ id: spec.id, stream: machine.channel, signal, log: host.log, startedAt });
    await fill(createSandbox({ claim, process: machine }, channel, describe(template, bootMs)));
    await settle(settleScript, { channel, process: machine, signal });
    await takeOverlay(file);
    const left = await claim.release();
    if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
  };
  await orRemove(file, () => withVm(host, template, { ...spec, overlay: file, deadlineMs: layerDeadlineMs }, work));
}

/** The disk has grown under a running guest, whose kernel hears of it a moment later; then the file system follows, mounted as it is. */
const growScript = `
tries=0
while [ "$(cat /sys/class/block/vda/size)" -lt "$1" ]; do
  tries=$((tries + 1))
  [ $tries -lt 1000 ] || exit 97
  sleep 0.01
done
exec resize2fs /dev/vda`;

async function growFileSystem(channel: Channel, diskBytes: number, signal: AbortSignal): Promise<void> {
  const grown = await channel.exec(['sh', '-c', growScript, 'sh', `${diskBytes / 512}`], { user: 'root', cwd: '/', signal });
  if (grown.exitCode !== 0) throw new FixError('sandbox_boot', { details: { why: 'its disk could not be made larger', grown } });
}
