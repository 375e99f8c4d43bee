/**
 * Which provider boots the VMs of this host, and why. Hardware where it works; without it gVisor, because emulation is
 * 10 to 50 times slower than the host; emulation is what is left.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { FixError, asFixError } from '../errors.ts';
import type { ProviderName } from '../job.ts';
import { createOciProvider, findParts } from './oci.ts';
import { readBootId } from './owner.ts';
import { createQemuProvider } from './qemu.ts';
import type { QemuOptions } from './qemu.ts';
import { canMakeUserNamespaces, runscProgram } from './runsc.ts';
import type { Provider, SandboxInfo } from './sandbox.ts';
import { findTemplate } from './template.ts';
import { createVerdict } from './verdict.ts';

export interface Choice {
  readonly provider: Provider;
  /** For people: half a sentence that follows "because". */
  readonly reason: string;
  readonly isolation: SandboxInfo['isolation'];
}

/**
 * `wanted` is the operator's word. Throws `template_missing`, `host_incomplete` when what is wanted, or anything at all,
 * cannot run here. `probe` is for who has asked `whyNoGvisor` already.
 */
export async function chooseProvider(options: QemuOptions, wanted: ProviderName | null, probe = whyNoGvisor): Promise<Choice> {
  const oci = (reason: string): Choice => ({ provider: createOciProvider(options), reason, isolation: 'syscall' });
  if (wanted === 'oci') {
    await findParts(options);
    const why = await probe(options);
    if (why !== null) throw new FixError('host_incomplete', { details: { missing: `a gVisor that starts guests: ${why}` } });
    return oci('it was asked for');
  }
  const { shape } = await findTemplate(options);
  const isolation = shape.accel === 'kvm' ? 'hardware' : 'emulation';
  const qemu = (reason: string): Choice => ({ provider: createQemuProvider(options), reason, isolation });
  if (wanted === 'qemu') return qemu('it was asked for');
  if (shape.accel === 'kvm') return qemu('KVM works on this host');
  const why = await probe(options);
  return why === null
    ? oci('KVM does not work on this host, and gVisor is much faster than emulation')
    : qemu(`neither KVM nor gVisor works on this host (${why})`);
}

/**
 * Null when a guest starts under gVisor here, else why not, in one line for people. That it does is asked once per boot
 * of the host; that it does not, each time. Throws `cancelled`.
 */
export async function whyNoGvisor(options: QemuOptions, signal: AbortSignal = new AbortController().signal): Promise<string | null> {
  const deadline = AbortSignal.timeout(probeMs);
  try {
    const { image, runsc } = await findParts(options);
    // A chroot or a container of this host, which may share the cache, cannot all that the host can.
    const here = [await readBootId(), `user namespaces: ${await canMakeUserNamespaces()}`];
    const verdict = createVerdict(join(options.cacheDir, 'gvisor-verdict.json'), [...here, image.key, runsc.version]);
    if ((await verdict.read()) === true) return null;
    // Failing is an answer here, not a warning.
    const provider = createOciProvider({ ...options, log: options.log.child({}, { level: 'silent' }) });
    const sandbox = await provider.boot({ id: `gvisor-${randomBytes(6).toString('hex')}`, signal: AbortSignal.any([signal, deadline]) });
    const left = await sandbox.dispose();
    if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
    await verdict.keep(true);
    return null;
  } catch (thrown) {
    const error = asFixError(thrown);
    if (signal.aborted) throw error;
    options.log.info({ code: error.code, details: error.details }, 'gVisor does not run guests here');
    return deadline.aborted ? `no guest was ready within ${probeMs / 1000} s` : whyNot(error);
  }
}

/** A start takes half a second. */
const probeMs = 20_000;
const longestWords = 300;

/** What is missing; else the last line that runsc said, for it knows best; else our own sentence. */
function whyNot({ details, message }: FixError): string {
  const { missing, output } = details;
  if (typeof missing === 'string') return `it lacks ${missing}`;
  const [words] = typeof output === 'string' ? output.split('\n').map(plain).filter(Boolean).slice(-1) : [];
  return words === undefined ? message : `${runscProgram} says: ${words}`;
}

/** As it may stand in a line of a terminal or a log. */
function plain(line: string): string {
  const text = stripVTControlCharacters(line)
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim();
  return text.length > longestWords ? `${text.slice(0, longestWords)}...` : text;
}
