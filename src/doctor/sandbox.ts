/** What VMs run on here: KVM tried with a real guest, QEMU, gVisor, and the guest template. */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import { findImage, kernelOf, verifyImage } from '../sandbox/image.ts';
import type { KernelFacts } from '../sandbox/kernel.ts';
import { isKvmPvm } from '../sandbox/kvm.ts';
import { canMakeUserNamespaces, oldestRunsc, readRunscVersion } from '../sandbox/runsc.ts';
import type { RunscVersion } from '../sandbox/runsc.ts';
import { findSnapshot } from '../sandbox/snapshot.ts';
import { describeMachine } from '../sandbox/template.ts';
import type { TemplateOptions } from '../sandbox/template.ts';
import type { HostFacts } from '../setup/facts.ts';
import { isAtLeast } from '../setup/requirements.ts';
import { notChecked, ok, once, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';
import type { ReadHost } from './host.ts';

export interface KvmFacts {
  readonly device: 'missing' | 'forbidden' | 'opens';
  /** The module kvm_pvm makes the device, which runs guests whose kernel was built for it, and no others. */
  readonly isPvm: boolean;
  /** The one that guests boot; null when there is no template. */
  readonly kernel: KernelFacts | null;
  /** What guests really run on; null when that could not be tried, with the reason. */
  readonly accel: 'kvm' | 'tcg' | null;
  readonly untried: string;
  /** Remove it, and the next look tries again. */
  readonly verdictFile: string;
}

export interface TemplateFacts {
  readonly directory: string;
  /** Files of the image that are not what was built. */
  readonly wrong: readonly string[];
  /** Whether memory is saved to restore from; null when no machine could be described. */
  readonly restores: boolean | null;
}

export interface GvisorFacts {
  /** Null when there is no runsc. */
  readonly version: RunscVersion | null;
  readonly accel: KvmFacts['accel'];
  readonly host: Pick<HostFacts, 'codename' | 'hasBackports' | 'privilege'>;
  readonly hasTemplate: boolean;
  /** Why no guest starts under it; null when one did. */
  readonly whyNot: string | null;
  readonly hasUserNamespaces: boolean;
  /** Whether the operator named it. */
  readonly isWanted: boolean;
}

const leastQemu = '8.2';
/** Every byte of it is read, about a gigabyte: from a disk in the network that takes a while. */
const wholeTemplateMs = 180_000;
const slow = 'guests are emulated, 10 to 50 times slower';

export function judgeKvm({ device, isPvm, kernel, accel, untried, verdictFile }: KvmFacts): Verdict {
  if (device === 'missing') {
    return warning(`there is no /dev/kvm: ${slow}`, 'Turn virtualisation on in the firmware, or nested virtualisation where this host is a VM itself');
  }
  if (device === 'forbidden') return warning(`/dev/kvm may not be opened: ${slow}`, 'sudo usermod --append --groups kvm "$USER", then log in again');
  if (accel === 'kvm') return ok('our guest boots on it');
  if (accel === null) return notChecked(`/dev/kvm opens, but only a guest that boots would prove it: ${untried}`);
  const again = `rm ${verdictFile} tries it again at the next look`;
  if (!isPvm) return warning(`/dev/kvm opens, but our guest does not boot on it: ${slow}`, again);
  const named = kernel === null ? 'the kernel of our guests' : `the kernel of our guests (${kernel.release})`;
  if (kernel?.isPvmGuest === true) return warning(`/dev/kvm is kvm_pvm; ${named} was built for it, but does not boot on it: ${slow}`, again);
  const doubt = kernel?.isPvmGuest === null ? 'does not boot on it' : 'was not built for it (CONFIG_PVM_GUEST)';
  return warning(
    `/dev/kvm is kvm_pvm, and ${named} ${doubt}: ${slow}`,
    'Run guests under gVisor, which needs no KVM, or name a kernel with PVM in MAYFLY_GUEST_KERNEL and run npx mayfly setup',
  );
}

/** `kernelFile`: the one that the operator named. */
export function judgeKernel(kernel: KernelFacts | null, kernelFile: string | null): Verdict {
  if (kernel === null) return notChecked('there is no template');
  return ok(
    [kernel.release, kernelFile === null ? 'of Debian' : `of ${kernelFile}`, kernel.isPvmGuest === true ? 'built for PVM' : ''].filter(Boolean).join(', '),
  );
}

export function judgeQemu(version: string | null): Verdict {
  const setup = 'npx mayfly setup';
  if (version === null) return problem(`not there; ${leastQemu} or newer is needed`, setup);
  return isAtLeast(version, leastQemu) ? ok(version) : problem(`${version} could write to the template; ${leastQemu} or newer is needed`, setup);
}

/** It is needed where KVM does not work, and where the operator named it. */
export function judgeGvisor({ version, accel, host, hasTemplate, whyNot, hasUserNamespaces, isWanted }: GvisorFacts): Verdict {
  const unusable = isWanted ? problem : warning;
  if (version === null && accel === 'kvm' && !isWanted) return ok('not there, and not needed: KVM works');
  if (version === null) return unusable('not there; without KVM it is the fast way', installRunsc(host));
  if (version.date < oldestRunsc) return unusable(`runsc ${version.name} is refused: ${oldestRunsc} or newer is needed`, installRunsc(host));
  const found = `runsc ${version.name}`;
  if (!hasTemplate) return notChecked(`${found}, but only a guest that starts would prove it: there is no template`);
  if (whyNot === null) return ok(`${found}; our guest starts under it`);
  if (accel === 'kvm' && !isWanted) return ok(`${found} does not start our guest, and is not needed: KVM works`);
  if (host.privilege !== 'root') return unusable(`${found}: ${whyNot}`, 'Run the worker as root: sudo -E npx mayfly start --role worker');
  const advice = hasUserNamespaces
    ? '`runsc --network=none do true`, as root, tries it without Mayfly; MAYFLY_PROVIDER=qemu goes without gVisor'
    : 'User namespaces cannot be made here: leave the chroot, or sysctl -w user.max_user_namespaces=15000 on the host; a container needs SYS_ADMIN';
  return unusable(`${found} does not start our guest: ${whyNot}`, advice);
}

/** Debian 12 itself has one of 2022. */
function installRunsc({ codename, hasBackports }: Pick<HostFacts, 'codename' | 'hasBackports'>): string {
  if (codename !== 'bookworm') return 'Install runsc: https://gvisor.dev/docs/user_guide/install/';
  const install = 'sudo apt-get install --target-release bookworm-backports runsc';
  return hasBackports ? install : `npx mayfly setup adds bookworm-backports; then ${install}`;
}

export function judgeTemplate(facts: TemplateFacts | null): Verdict {
  const build = 'npx mayfly image build';
  if (facts === null) return problem('there is none for this version of Mayfly', build);
  const { directory, wrong, restores } = facts;
  if (wrong.length > 0) return problem(`${wrong.join(', ')} of ${directory} changed since it was built`, `sudo rm -r ${directory} && ${build}`);
  if (restores === null) return warning(`${directory} is whole; saved memory was not looked for, as no QEMU will do`, 'npx mayfly setup');
  return restores
    ? ok(`${directory} is whole, with saved memory to restore from`)
    : problem(`${directory} is whole, but no memory is saved for this machine`, build);
}

/** The file that the operator named decides which template it is, so without it nothing can be found. */
function judgeNoKernel(thrown: unknown): Verdict {
  if (!(thrown instanceof FixError) || thrown.code !== 'guest_kernel_unsuitable') throw thrown;
  return problem(String(thrown.details['reason']), 'MAYFLY_GUEST_KERNEL names the file; without it guests boot the kernel of Debian');
}

export interface SandboxLooks {
  readonly readHost: ReadHost;
  /** As `whyNoGvisor` of the sandbox folder. */
  readonly whyNoGvisor: (signal: AbortSignal) => Promise<string | null>;
  /** Whether the operator named gVisor. */
  readonly isWanted: boolean;
}

export function sandboxChecks({ readHost, whyNoGvisor, isWanted }: SandboxLooks, options: TemplateOptions): Check[] {
  const findIt = once(() => findImage(options));
  const machine = once(async (signal) => {
    const image = await findIt(signal);
    return image && { image, ...(await describeMachine(options, image, { signal, onProgress: () => {} })) };
  });
  const findKernel = async (signal: AbortSignal): Promise<KernelFacts | null> => {
    const image = await findIt(signal);
    return image && (await kernelOf(image));
  };
  const kvm = async (signal: AbortSignal): Promise<Verdict> => {
    const tried = await machine(signal).then(
      (described) => ({ accel: described?.shape.accel ?? null, untried: 'there is no template' }),
      (error: unknown) => ({ accel: null, untried: reasonOf(error) }),
    );
    const [device, isPvm, kernel] = await Promise.all([openDevice(), isKvmPvm(), findKernel(signal).catch(() => null)]);
    return judgeKvm({ ...tried, device, isPvm, kernel, verdictFile: join(options.cacheDir, 'kvm-verdict.json') });
  };
  const gvisor = async (signal: AbortSignal): Promise<Verdict> => {
    const described = machine(signal).catch(() => null);
    const [version, host, image, whyNot] = await Promise.all([readRunscVersion(signal), readHost(signal), findIt(signal), whyNoGvisor(signal)]);
    const hasUserNamespaces = whyNot === null || (await canMakeUserNamespaces());
    return judgeGvisor({ version, host, whyNot, hasUserNamespaces, isWanted, hasTemplate: image !== null, accel: (await described)?.shape.accel ?? null });
  };
  const template = async (signal: AbortSignal): Promise<Verdict> => {
    const image = await findIt(signal);
    if (image === null) return judgeTemplate(null);
    const [described, wrong] = await Promise.all([machine(signal).catch(() => null), verifyImage(image, signal)]);
    const restores = described && (await findSnapshot({ ...described, cacheDir: options.cacheDir })) !== null;
    return judgeTemplate({ directory: image.directory, wrong, restores });
  };
  return [
    { group: 'sandbox', name: 'kvm', look: kvm },
    { group: 'sandbox', name: 'qemu', look: async (signal) => judgeQemu((await readHost(signal)).programs['qemu-system-x86_64'] ?? null) },
    { group: 'sandbox', name: 'gvisor', look: gvisor },
    { group: 'sandbox', name: 'template', look: template, deadlineMs: wholeTemplateMs },
    { group: 'sandbox', name: 'kernel', look: async (signal) => findKernel(signal).then((kernel) => judgeKernel(kernel, options.kernelFile), judgeNoKernel) },
  ];
}

async function openDevice(): Promise<KvmFacts['device']> {
  const error = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => null,
    (thrown: NodeJS.ErrnoException) => thrown,
  );
  if (error === null) return 'opens';
  return error.code === 'ENOENT' ? 'missing' : 'forbidden';
}
