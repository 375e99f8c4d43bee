/** What Mayfly needs on the host, as programs: they can be looked for on any system, packages only on one. */

export interface Requirement {
  readonly program: string;
  /** Least version, as far as it matters. */
  readonly atLeast: string | null;
  /** How it is asked for its version; null when only its presence counts. */
  readonly versionArgument: string | null;
  /** What a version looks like in its answer. */
  readonly versionPattern: RegExp;
  /** Where it is not in the archive of every system that setup knows. */
  readonly onlyOn: string | null;
  /** Needed only where repositories may name images of registries. */
  readonly isForImages: boolean;
  /** Package of Debian and Ubuntu. */
  readonly packageName: string;
  readonly why: string;
}

interface Details {
  readonly atLeast?: string;
  readonly argument?: string;
  readonly pattern?: RegExp;
  readonly onlyOn?: string;
  readonly isForImages?: boolean;
}

const need = (
  program: string,
  packageName: string,
  why: string,
  { atLeast, argument = '--version', pattern, onlyOn, isForImages = false }: Details = {},
): Requirement => ({
  program,
  packageName,
  why,
  atLeast: atLeast ?? null,
  versionArgument: atLeast === undefined ? null : argument,
  versionPattern: pattern ?? /\d+(?:\.\d+)+/,
  onlyOn: onlyOn ?? null,
  isForImages,
});

export const requirements: readonly Requirement[] = [
  // Older ones open the template for writing even with share=off, so a VM could poison it.
  need('qemu-system-x86_64', 'qemu-system-x86', 'runs the micro-VMs', { atLeast: '8.2' }),
  need('qemu-img', 'qemu-utils', 'makes their disks', { atLeast: '7.0' }),
  // Older ones cannot run coreutils. A version is a date: release-20240729.0, or 0.0~20240729.0 from Debian.
  need('runsc', 'runsc', 'runs guests under gVisor where KVM does not work', { atLeast: '20240729', pattern: /20\d{6}/, onlyOn: 'debian' }),
  need('redis-server', 'redis-server', 'holds the queue', { atLeast: '6.2' }),
  need('git', 'git', 'fetches repositories', { atLeast: '2.31' }),
  need('mmdebstrap', 'mmdebstrap', 'builds the guest'),
  need('cpio', 'cpio', 'packs its first files'),
  // -d, which fills a file system without mounting it.
  need('mke2fs', 'e2fsprogs', 'makes its file system', { atLeast: '1.43', argument: '-V' }),
  need('setpriv', 'util-linux', 'gives each VM a user of its own'),
  need('flock', 'util-linux', 'keeps two runs out of one mirror'),
  need('skopeo', 'skopeo', 'copies images that repositories name', { atLeast: '1.4', isForImages: true }),
  need('openssl', 'openssl', 'makes the certificates of the tests'),
  need('curl', 'curl', 'is a client in the tests'),
];

/** Packages that have to come from backports where the release itself has only an older one, with those that come along to be of one version. */
export const backportPackages: Readonly<Record<string, readonly string[]>> = { 'qemu-system-x86': ['qemu-system-x86', 'qemu-utils'], runsc: ['runsc'] };

/** Compares the numbers of two versions; what is missing counts as 0. */
export function isAtLeast(version: string, least: string): boolean {
  const numbers = (text: string) => text.split('.').map(Number);
  const [have, want] = [numbers(version), numbers(least)];
  for (const [index, wanted] of want.entries()) {
    const found = have[index] ?? 0;
    if (found !== wanted) return found > wanted;
  }
  return true;
}
