/**
 * The `oci` provider: throwaway guests under gVisor, by a bare `runsc`: no daemon, no network, the template's root
 * filesystem with a layer of its own on a disk of fixed size. A tenth of the time that emulation takes, on any Linux
 * with root; the wall is gVisor's kernel, not hardware.
 *
 * The wire is standard input of PID 1, a socket, which thaws and becomes sshd just as in a VM (guest-init.c).
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import { describeContainer, guestCopy } from './bundle.ts';
import { chooseDisks, makeDisks, placesOf, releaseLoops, shrinkDisk, withDisks } from './capped-disk.ts';
import { cgroupPath } from './cgroup.ts';
import { checkVmId, processName } from './claim.ts';
import type { Claim, HostOptions } from './claim.ts';
import { chooseDiskGib } from './disk-size.ts';
import type { DiskSizes } from './disk-size.ts';
import { createSandbox, greet, hostNameOf } from './greet.ts';
import { startHostProcess } from './host-process.ts';
import type { HostProcess } from './host-process.ts';
import { findImage } from './image.ts';
import type { ImageChoice } from './image.ts';
import type { Image } from './image.ts';
import { launch } from './launch.ts';
import type { Launched } from './launch.ts';
import { layerDeadlineMs, orRemove, settle } from './make-layer.ts';
import { broughtPrograms, imageOf } from './named-image.ts';
import { sweep } from './reaper.ts';
import { findRunsc, runscArguments } from './runsc.ts';
import type { Runsc } from './runsc.ts';
import type { GuestImage, LayerMaker, Provider, Sandbox, SandboxInfo, SandboxSpec } from './sandbox.ts';
import { awaitReady } from './thaw.ts';

export interface OciOptions extends HostOptions, DiskSizes {
  readonly cacheDir: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  /** What a guest may write, whatever its disk should be. */
  readonly layerBytes?: number;
  readonly extraPackages: readonly string[];
  readonly kernelFile: string | null;
}

const deadlineMs = 45_000;
/** What runsc needs beside the guest's memory: its kernel, the process that opens files. */
const overheadMib = 256;
/** Each thread of a guest is one of the host, and so are those of gVisor's kernel. */
const threads = 4096;
/** The descriptor of the wire in the container's launcher. */
const port = 3;

interface Parts {
  readonly image: Image;
  readonly runsc: Runsc;
}

/** The parts of a guest of this host's template, or of an image. */
type Find = (named?: GuestImage) => Promise<Parts>;

/** Looks for runsc and the image at the first boot. Its boots throw `host_incomplete` and `template_missing`, too. */
export function createOciProvider(options: OciOptions): Provider {
  let parts: Promise<Parts> | null = null;
  const find: Find = async (named) => {
    parts ??= findParts(options);
    parts.catch(() => {
      parts = null;
    });
    return named ? { ...(await parts), image: imageOf(options.cacheDir, named) } : await parts;
  };
  return {
    name: 'oci',
    async boot(spec) {
      checkVmId(spec.id);
      return bootContainer(options, await find(spec.image), spec);
    },
    sweep: () => sweep(options),
    layers: createLayerMaker(options, find),
  };
}

/** What a boot needs of this host. Throws `host_incomplete` without root or a runsc that is new enough, `template_missing`. */
export async function findParts(options: ImageChoice): Promise<Parts> {
  if (process.getuid?.() !== 0) throw new FixError('host_incomplete', { details: { missing: 'root: gVisor is started by nobody else' } });
  const [runsc, image] = await Promise.all([findRunsc(), findImage(options)]);
  if (!image) throw new FixError('template_missing');
  return { runsc, image };
}

async function bootContainer(options: OciOptions, parts: Parts, spec: SandboxSpec): Promise<Sandbox> {
  const startedAt = performance.now();
  const sizeBytes = diskBytesOf(options, spec);
  return launch(
    options,
    describeLaunch(options, spec),
    (claim) => startContainer(claim, parts, { sizeBytes, keep: null, layer: spec.layer ?? null }),
    async (launched, signal) => {
      const { channel, bootMs } = await meet(launched, options, signal, startedAt);
      return createSandbox(launched, channel, { ...info, bootMs });
    },
  );
}

const diskBytesOf = (options: OciOptions, { size }: Pick<SandboxSpec, 'size'>): number => options.layerBytes ?? chooseDiskGib(options, size) * 2 ** 30;

const info: Omit<SandboxInfo, 'bootMs'> = { provider: 'oci', accel: 'systrap', isolation: 'syscall', networkCards: 0, restored: false, pooled: false };

function describeLaunch(options: OciOptions, { id, signal, size }: SandboxSpec) {
  const memoryMib = Math.min(options.memoryMib, size?.memoryMib ?? options.memoryMib);
  const cpus = Math.min(options.vcpus, size?.cpus ?? options.vcpus);
  return { id, signal, limits: { memoryBytes: (memoryMib + overheadMib) * 2 ** 20, processes: threads, cpus }, deadlineMs, ownUser: false };
}

async function meet({ claim, process }: Launched<HostProcess>, { log }: OciOptions, signal: AbortSignal, startedAt: number): ReturnType<typeof greet> {
  const stream = process.socket(port);
  await awaitReady(stream);
  return await greet({ id: claim.id, stream, signal, log, startedAt });
}

interface Disks {
  readonly sizeBytes: number;
  /** The file of a disk that is kept. */
  readonly keep: string | null;
  readonly layer: string | null;
}

async function startContainer({ id, directory, cgroups }: Claim, { image, runsc }: Parts, { sizeBytes, keep, layer }: Disks): Promise<HostProcess> {
  const at = (name: string): string => join(directory, name);
  const { root, writable, copy } = placesOf(directory);
  for (const name of ['bundle', 'state']) await mkdir(at(name), { mode: 0o700 });
  // A foreign root filesystem is a file, which only gVisor's kernel reads.
  const disks = chooseDisks({ directory, image: image.isForeign ? null : image.rootfs, keep, layer });
  const { shape } = disks;
  const config = describeContainer({
    rootfs: shape === 'image' && !image.isForeign ? image.rootfs : root,
    ...(image.isForeign && shape !== 'whole' && { packed: { file: image.rootfs, layer: writable } }),
    ...(shape === 'copy' && { copy }),
    hostname: hostNameOf(id),
    cgroupsPath: cgroupPath(id),
  });
  await writeFile(at('bundle/config.json'), JSON.stringify(config));
  await makeDisks(disks, sizeBytes);
  const plan = { name: processName(id), bundle: at('bundle'), state: at('state'), layer: shape === 'keep' ? null : writable };
  const argv = withDisks(disks, runscArguments(runsc, plan));
  return startHostProcess({ argv: ['setpriv', '--pdeathsig=KILL', ...argv], cgroups, sockets: 1 });
}

/** What guest-init.c did for this one guest is undone: it does it for each. */
const settleScript = `
set -e
if [ -e /usr/bin/sudo.distrib ]; then mv -f /usr/bin/sudo.distrib /usr/bin/sudo; fi
sed -i '\\|^/usr/bin/sudo$|,+2d' /var/lib/dpkg/diversions
sync`;

/**
 * What an image became, as files; not what lies over it in memory. No pipe, socket or device: no process is there to
 * serve one, and what opens files for gVisor makes none. gVisor 20240729 gives a file that is linked to whoever links it:
 * each name has a copy.
 */
const copyScript = `
set -e
${broughtPrograms}/find / -xdev '(' -type p -o -type s -o -type b -o -type c ')' -delete
cp --archive --no-preserve=links --one-file-system /. ${guestCopy}/
sync`;
const copyMs = 15 * 60_000;

/** Bits of CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_FSETID: https://github.com/torvalds/linux/blob/master/include/uapi/linux/capability.h */
const owning = (1n << 1n) | (1n << 3n) | (1n << 4n);

/** What opens files for gVisor acts for users of the guest on a disk of the host. */
async function mayOwnAll(): Promise<boolean> {
  const [, held = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8')) ?? [];
  return (BigInt(`0x${held}`) & owning) === owning;
}

/** The root filesystem of such a guest is an overlay of the host's kernel, whose upper half is the disk that is kept: gVisor's own is of no use to another. */
function createLayerMaker(options: OciOptions, find: Find): LayerMaker {
  return {
    key: async ({ image }) => ((await mayOwnAll()) ? `oci ${(await find(image)).image.key}` : null),
    // Of an image, what the guest writes and the copy of all that it sees are two disks.
    largestBytes: ({ size, image }) => diskBytesOf(options, { ...(size && { size }) }) * (image ? 2 : 1),
    async make(spec, file, fill) {
      checkVmId(spec.id);
      const parts = await find(spec.image);
      const startedAt = performance.now();
      await orRemove(file, () =>
        launch(
          options,
          { ...describeLaunch(options, spec), deadlineMs: layerDeadlineMs },
          (claim) => startContainer(claim, parts, { sizeBytes: diskBytesOf(options, spec), keep: file, layer: null }),
          async (launched, signal) => {
            const { claim, process } = launched;
            const { channel, bootMs } = await meet(launched, options, signal, startedAt);
            await fill(createSandbox(launched, channel, { ...info, bootMs }));
            await (parts.image.isForeign
              ? settle(copyScript, { channel, process, signal, timeoutMs: copyMs })
              : settle(settleScript, { channel, process, signal }));
            const mounted = await releaseLoops(claim.directory);
            // What is cut under a kernel that still writes to it is no file system any more.
            if (mounted.length > 0) throw new FixError('sandbox_leftover', { details: { left: mounted } });
            await shrinkDisk(file, signal);
            await chmod(file, 0o400);
            const left = await claim.release();
            if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
          },
        ),
      );
    },
  };
}
