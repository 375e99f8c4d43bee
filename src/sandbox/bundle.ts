/** The container as the OCI runtime specification describes it: https://github.com/opencontainers/runtime-spec/blob/main/config.md */

export interface BundlePlan {
  readonly rootfs: string;
  /** An image of EROFS that gVisor's kernel mounts in the place of an empty `rootfs`, and where it keeps what is written. */
  readonly packed?: { readonly file: string; readonly layer: string };
  /** A folder of the host to which the guest writes through the process that opens files for it. */
  readonly copy?: string;
  readonly hostname: string;
  readonly cgroupsPath: string;
}

/** Root in the guest may do what a package manager and a debugger do; nothing that asks for the whole machine. */
const capabilities = [
  ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP', 'CAP_SETFCAP'],
  ['CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT', 'CAP_SYS_PTRACE', 'CAP_SYS_NICE', 'CAP_SYS_RESOURCE', 'CAP_MKNOD', 'CAP_AUDIT_WRITE'],
].flat();

const memoryDisk = (destination: string, options: readonly string[]) => ({ destination, type: 'tmpfs', source: 'tmpfs', options });

/** https://gvisor.dev/docs/user_guide/filesystem/ */
const annotate = ({ file, layer }: { file: string; layer: string }) => ({
  'dev.gvisor.spec.rootfs.source': file,
  'dev.gvisor.spec.rootfs.type': 'erofs',
  'dev.gvisor.spec.rootfs.overlay': `dir=${layer}`,
});

/** Where a guest finds the folder that it copies itself to. */
export const guestCopy = '/run/mayfly-copy';

/** The content of `config.json`. */
export function describeContainer({ rootfs, packed, copy, hostname, cgroupsPath }: BundlePlan): object {
  return {
    ociVersion: '1.0.2',
    hostname,
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/usr/lib/mayfly/init', '--container'],
      env: [],
      cwd: '/',
      // sudo works in the guest; what a program becomes there, it becomes in gVisor only.
      noNewPrivileges: false,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 65_536, hard: 1_048_576 }],
    },
    // The layer of the container lies over it: the directory itself is never written.
    root: { path: rootfs, readonly: false },
    ...(packed && { annotations: annotate(packed) }),
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'nodev', 'noexec', 'ro'] },
      memoryDisk('/dev', ['nosuid', 'mode=755']),
      memoryDisk('/dev/shm', ['nosuid', 'nodev', 'mode=1777']),
      memoryDisk('/run', ['nosuid', 'nodev', 'mode=755']),
      ...(copy === undefined ? [] : [{ destination: guestCopy, type: 'bind', source: copy, options: ['rw', 'nosuid', 'nodev'] }]),
    ],
    linux: {
      cgroupsPath,
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
    },
  };
}
