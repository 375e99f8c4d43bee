/**
 * Which provider boots the VMs of this host, and why. Hardware where it works; without it gVisor, because emulation is
 * 10 to 50 times slower than the host; emulation is what is left.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { FixError, asFixError } from '../errors.ts';
import type { ProviderName } from '../job.ts';
import { createOciProvider, findParts } from './oci.ts';
import { readBootId } from './owner.ts';
import { createQemuProvider } from './qemu.ts';
import type { QemuOptions } from './qemu.ts';
import type { Provider } from './sandbox.ts';
import { findTemplate } from './template.ts';
import { createVerdict } from './verdict.ts';

export interface Choice {
  readonly provider: Provider;
  /** For people: half a sentence that follows "because". */
  readonly reason: string;
}

/** `wanted` is the operator's word. Throws `template_missing`, `host_incomplete` when what is wanted, or anything at all, cannot run here. */
export async function chooseProvider(options: QemuOptions, wanted: ProviderName | null): Promise<Choice> {
  const oci = (reason: string): Choice => ({ provider: createOciProvider(options), reason });
  const qemu = (reason: string): Choice => ({ provider: createQemuProvider(options), reason });
  if (wanted === 'oci') {
    await findParts(options);
    return oci('it was asked for');
  }
  const { shape } = await findTemplate(options);
  if (wanted === 'qemu') return qemu('it was asked for');
  if (shape.accel === 'kvm') return qemu('KVM works on this host');
  const why = await whyNoGvisor(options);
  return why === null
    ? oci('KVM does not work on this host, and gVisor is much faster than emulation')
    : qemu(`neither KVM nor gVisor works on this host (${why})`);
}

/** Null when a guest starts under gVisor here. That it does is asked once per boot of the host; that it does not, each time. */
async function whyNoGvisor(options: QemuOptions): Promise<string | null> {
  try {
    const { image, runsc } = await findParts(options);
    const verdict = createVerdict(join(options.cacheDir, 'gvisor-verdict.json'), [await readBootId(), image.key, runsc.version]);
    if ((await verdict.read()) === true) return null;
    const sandbox = await createOciProvider(options).boot({ id: `gvisor-${randomBytes(6).toString('hex')}`, signal: new AbortController().signal });
    const left = await sandbox.dispose();
    if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
    await verdict.keep(true);
    return null;
  } catch (thrown) {
    const { code, details } = asFixError(thrown);
    options.log.info({ code, details }, 'gVisor does not run guests here');
    return typeof details['missing'] === 'string' ? `it lacks ${details['missing']}` : code;
  }
}
