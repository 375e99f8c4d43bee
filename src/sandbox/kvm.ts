/**
 * Whether KVM really runs our guest. That /dev/kvm opens, and even that every call succeeds, proves nothing: under
 * some hypervisors a stock guest then spins for ever. So the guest is booted once, and the verdict kept until the
 * host boots again.
 */
import { randomBytes } from 'node:crypto';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import type { HostOptions } from './claim.ts';
import type { Image } from './image.ts';
import { readBootId } from './owner.ts';
import type { Accel } from './qemu-arguments.ts';
import { sweep } from './reaper.ts';
import { createVerdict } from './verdict.ts';
import { wake, withVm } from './vm.ts';

export interface KvmProbe {
  readonly cacheDir: string;
  readonly image: Image;
  readonly qemuVersion: string;
  readonly host: HostOptions;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

const deadlineMs = 15_000;

/** What guests run on here. Boots a guest at most once per boot of the host, where there is a /dev/kvm at all. */
export async function chooseAccel(probe: KvmProbe): Promise<Accel> {
  const device = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!device) return 'tcg';
  const verdict = createVerdict(join(probe.cacheDir, 'kvm-verdict.json'), [await readBootId(), probe.image.key, probe.qemuVersion]);
  const kept = await verdict.read();
  if (kept !== null) return kept ? 'kvm' : 'tcg';
  probe.onProgress('trying whether KVM runs our guest (at most 15 s)');
  const works = await bootsOnKvm(probe);
  probe.host.log.info({ works }, 'tried whether KVM runs our guest');
  await verdict.keep(works);
  return works ? 'kvm' : 'tcg';
}

/** Whether the module kvm_pvm makes the device; it runs guests whose kernel was built for it, and no others. */
export const isKvmPvm = (): Promise<boolean> =>
  access('/sys/module/kvm_pvm').then(
    () => true,
    () => false,
  );

async function bootsOnKvm(probe: KvmProbe): Promise<boolean> {
  const template = { image: probe.image, shape: { accel: 'kvm', memoryMib: 512, vcpus: 1, tscKhz: 0, isPvm: await isKvmPvm() }, snapshot: null } as const;
  const spec = { id: `kvm-${randomBytes(6).toString('hex')}`, signal: probe.signal, deadlineMs };
  // Failing is an answer here, not a warning.
  const host = { ...probe.host, log: probe.host.log.child({}, { level: 'silent' }) };
  // Of a probe that was killed.
  await sweep(host);
  try {
    await withVm(host, template, spec, async (vm) => {
      await wake(vm, template);
      vm.machine.kill();
      await vm.machine.exited;
      await vm.claim.release();
    });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof FixError) || thrown.code !== 'sandbox_boot') throw thrown;
    return false;
  }
}
