/**
 * An image started as compose.yaml starts it, by runc: with the capabilities, devices, mounts and namespaces of its
 * service, its filter of system calls, and with what Docker hides of /proc. Not as there: no init before the program, no
 * filter where the service names none, and the network is that of this host, or none.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { ComposeService } from './compose.ts';
import type { BuiltImage } from './image-builder.ts';
import { root } from './repository.ts';

export interface Container extends AsyncDisposable {
  /** Runs a command in it as its user; never throws for a bad exit. */
  exec(...argv: string[]): Promise<Ending>;
  /** Waits until it ends by itself. */
  ended(): Promise<Ending>;
  /** SIGTERM. */
  stop(): Promise<Ending>;
}

interface Ending {
  readonly exitCode: number | undefined;
  /** What was written to either output. */
  readonly text: string;
}

export interface ContainerOptions {
  readonly image: BuiltImage;
  readonly service: ComposeService;
  readonly environment: Readonly<Record<string, string>>;
  /** Folders and files of this machine by where they are seen, for reading only. */
  readonly folders: Readonly<Record<string, string>>;
  /** Folders that stand for the volumes of the service, by their names. */
  readonly volumes?: Readonly<Record<string, string>>;
  readonly network: 'host' | 'none';
}

// https://github.com/moby/moby/blob/master/daemon/pkg/oci/defaults.go
const hidden = ['acpi', 'asound', 'interrupts', 'kcore', 'keys', 'latency_stats', 'sched_debug', 'scsi', 'timer_list', 'timer_stats'].map(
  (name) => `/proc/${name}`,
);
const unwritten = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`);

export async function startContainer(options: ContainerOptions): Promise<Container> {
  const bundle = await mkdtemp(join(tmpdir(), 'mayfly-container-'));
  const id = bundle.slice(bundle.lastIndexOf('/') + 1);
  await writeFile(join(bundle, 'config.json'), JSON.stringify(await specify(id, options)));
  const runc = (...argv: string[]) => execa('runc', ['--root', join(bundle, 'runc'), ...argv], { reject: false, all: true, stdin: 'ignore' });
  const running = runc('run', '--bundle', bundle, id);
  const ended = async (): Promise<Ending> => {
    const { exitCode, all } = await running;
    return { exitCode, text: all };
  };
  return {
    async exec(...argv) {
      const { exitCode, all } = await runc('exec', id, ...argv);
      return { exitCode, text: all };
    },
    ended,
    async stop() {
      await runc('kill', id, 'TERM');
      return ended();
    },
    async [Symbol.asyncDispose]() {
      await runc('delete', '--force', id);
      await running;
      await rm(bundle, { recursive: true, force: true });
    },
  };
}

/** https://github.com/opencontainers/runtime-spec/blob/main/config.md */
async function specify(id: string, { image, service, environment, folders, volumes = {}, network }: ContainerOptions): Promise<object> {
  const [uid = 0, gid = uid] = image.user.split(':').map(Number);
  const capabilities = service.cap_add.map((name) => `CAP_${name}`);
  const bind = (destination: string, source: string, access: 'ro' | 'rw') => ({ destination, type: 'bind', source, options: ['rbind', access] });
  const ofService = service.volumes.map((volume) => {
    const [source = '', destination = ''] = volume.split(':');
    return bind(destination, volumes[source] ?? source, 'rw');
  });
  const namespaces = ['pid', 'ipc', 'uts', 'mount', ...(network === 'none' ? ['network'] : []), ...(service.cgroup === 'host' ? [] : ['cgroup'])];
  return {
    ociVersion: '1.0.2',
    hostname: id,
    process: {
      user: { uid, gid },
      args: [...image.entrypoint, ...(service.command.length > 0 ? service.command : image.command)],
      env: [...image.environment, ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
      cwd: image.directory,
      capabilities: uid === 0 ? { bounding: capabilities, effective: capabilities, permitted: capabilities } : { bounding: [], effective: [], permitted: [] },
      noNewPrivileges: service.security_opt.includes('no-new-privileges:true'),
    },
    root: { path: image.rootfs, readonly: service.read_only },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
      ...service.tmpfs.map((destination) => ({ destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec'] })),
      ...ofService.toSorted((one, other) => one.destination.length - other.destination.length),
      ...Object.entries(folders).map(([destination, source]) => bind(destination, source, 'ro')),
    ].filter(({ destination, type }, _index, all) => type !== 'tmpfs' || !all.some((mount) => mount.destination === destination && mount.type === 'bind')),
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: 'rwm' }, ...service.device_cgroup_rules.map(parseDeviceRule)] },
      ...(await readFilter(service)),
      maskedPaths: [...hidden, '/sys/firmware'],
      readonlyPaths: unwritten,
    },
  };
}

/** Docker's form of it is that of the specification, as long as it keeps to one architecture. */
async function readFilter({ security_opt: options }: ComposeService): Promise<{ seccomp?: unknown }> {
  const file = options.find((option) => option.startsWith('seccomp:'))?.slice('seccomp:'.length);
  return file === undefined ? {} : { seccomp: JSON.parse(await readFile(join(root, file), 'utf8')) as unknown };
}

/** As in `b 7:* rw`. */
function parseDeviceRule(rule: string): object {
  const [, type, major, minor = '*', access] = /^([bc]) (\d+):(\d+|\*) ([rwm]+)$/.exec(rule) ?? [];
  return { allow: true, type, major: Number(major), ...(minor !== '*' && { minor: Number(minor) }), access };
}
