/**
 * The `oci` provider: throwaway guests under gVisor, by a bare `runsc`: no daemon, no network, the template's root
 * filesystem with a layer of its own on a disk of fixed size. A tenth of the time that emulation takes, on any Linux
 * with root; the wall is gVisor's kernel, not hardware.
 *
 * The wire is standard input of PID 1, a socket, which thaws and becomes sshd just as in a VM (guest-init.c).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import { describeContainer } from './bundle.ts';
import { makeCappedDisk, withCappedDisk } from './capped-disk.ts';
import { cgroupPath } from './cgroup.ts';
import { checkVmId, processName } from './claim.ts';
import type { Claim, HostOptions } from './claim.ts';
import { chooseDiskGib } from './disk-size.ts';
import type { DiskSizes } from './disk-size.ts';
import { createSandbox, greet, hostNameOf } from './greet.ts';
import { startHostProcess } from './host-process.ts';
import type { HostProcess } from './host-process.ts';
import { findImage } from './image.ts';
import type { Image } from './image.ts';
import { launch } from './launch.ts';
import { imageOf } from './named-image.ts';
import { sweep } from './reaper.ts';
import { findRunsc, runscArguments } from './runsc.ts';
import type { Runsc } from './runsc.ts';
import type { Provider, Sandbox, SandboxSpec } from './sandbox.ts';
import { awaitReady } from './thaw.ts';

export interface OciOptions extends HostOptions, DiskSizes {
  readonly cacheDir: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  /** What a guest may write, whatever its disk should be. */
  readonly layerBytes?: number;
  readonly extraPackages: readonly string[];
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
  /** The root filesystem is a file, which only gVisor's kernel reads. */
  readonly isPacked?: boolean;
}

/** Looks for runsc and the image at the first boot. Its boots throw `host_incomplete` and `template_missing`, too. */
export function createOciProvider(options: OciOptions): Provider {
  let parts: Promise<Parts> | null = null;
  const find = async (): Promise<Parts> => {
    parts ??= findParts(options);
    parts.catch(() => {
      parts = null;
    });
    return parts;
  };
  return {
    name: 'oci',
    async boot(spec) {
      checkVmId(spec.id);
      const parts = await find();
      return bootContainer(options, spec.image ? { ...parts, image: imageOf(options.cacheDir, spec.image), isPacked: true } : parts, spec);
    },
    sweep: () => sweep(options),
  };
}

/** What a boot needs of this host. Throws `host_incomplete` without root or a runsc that is new enough, `template_missing`. */
export async function findParts(options: Pick<OciOptions, 'cacheDir' | 'diskGib' | 'extraPackages'>): Promise<Parts> {
  if (process.getuid?.() !== 0) throw new FixError('host_incomplete', { details: { missing: 'root: gVisor is started by nobody else' } });
  const [runsc, image] = await Promise.all([findRunsc(), findImage(options)]);
  if (!image) throw new FixError('template_missing');
  return { runsc, image };
}

async function bootContainer(options: OciOptions, parts: Parts, spec: SandboxSpec): Promise<Sandbox> {
  const startedAt = performance.now();
  const memoryMib = Math.min(options.memoryMib, spec.size?.memoryMib ?? options.memoryMib);
  const cpus = Math.min(options.vcpus, spec.size?.cpus ?? options.vcpus);
  const limits = { memoryBytes: (memoryMib + overheadMib) * 2 ** 20, processes: threads, cpus };
  return launch(
    options,
    { id: spec.id, signal: spec.signal, limits, deadlineMs, ownUser: false },
    (claim) => startContainer(claim, parts, options.layerBytes ?? chooseDiskGib(options, spec.size) * 2 ** 30),
    async (launched, signal) => {
      const stream = launched.process.socket(port);
      await awaitReady(stream);
      const { channel, bootMs } = await greet({ id: spec.id, stream, signal, log: options.log, startedAt });
      return createSandbox(launched, channel, {
        provider: 'oci',
        accel: 'systrap',
        isolation: 'syscall',
        networkCards: 0,
        restored: false,
        pooled: false,
        bootMs,
      });
    },
  );
}

async function startContainer({ id, directory, cgroups }: Claim, { image, runsc, isPacked = false }: Parts, layerBytes: number): Promise<HostProcess> {
  const at = (name: string): string => join(directory, name);
  for (const name of ['bundle', 'state', 'layer', 'root']) await mkdir(at(name), { mode: 0o700 });
  const rootfs = isPacked ? { rootfs: at('root'), packed: { file: image.rootfs, layer: at('layer') } } : { rootfs: image.rootfs };
  const config = describeContainer({ ...rootfs, hostname: hostNameOf(id), cgroupsPath: cgroupPath(id) });
  await writeFile(at('bundle/config.json'), JSON.stringify(config));
  await makeCappedDisk(at('disk.ext4'), layerBytes);
  const plan = { name: processName(id), bundle: at('bundle'), state: at('state'), layer: at('layer') };
  const argv = withCappedDisk(at('disk.ext4'), plan.layer, runscArguments(runsc, plan));
  return startHostProcess({ argv: ['setpriv', '--pdeathsig=KILL', ...argv], cgroups, sockets: 1 });
}
