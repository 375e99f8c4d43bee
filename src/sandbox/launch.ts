/** Claim, start, use: what is the same for the process of every VM, whatever boots it. */
import { FixError } from '../errors.ts';
import type { CgroupLimits } from './cgroup.ts';
import { claimVm, hostFailure } from './claim.ts';
import type { Claim, HostOptions } from './claim.ts';
import type { HostProcess } from './host-process.ts';
import type { SandboxSpec } from './sandbox.ts';

export interface LaunchSpec extends SandboxSpec {
  readonly limits: CgroupLimits;
  /** Claims a user id for it alone. */
  readonly ownUser: boolean;
  readonly deadlineMs: number;
}

/** A claimed VM with its process. */
export interface Launched<P extends HostProcess> {
  readonly claim: Claim;
  readonly process: P;
}

/**
 * Claims and starts a VM for `use`, which answers for it once it has returned; its signal aborts when the caller
 * cancels or the deadline passes, and the process is dead then. When `use` throws, or the signal fires, all of it is
 * given back first; throws `cancelled`, `sandbox_boot`, `sandbox_unlimited`, or what `use` threw.
 * The one place that kills on cancel: every wait of a boot ends because the process's sockets close.
 */
export async function launch<P extends HostProcess, T>(
  host: HostOptions,
  spec: LaunchSpec,
  start: (claim: Claim) => Promise<P>,
  use: (launched: Launched<P>, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (spec.signal.aborted) throw new FixError('cancelled');
  const claim = await claimVm(host, spec);
  const deadline = AbortSignal.timeout(spec.deadlineMs);
  const signal = AbortSignal.any([spec.signal, deadline]);
  let process: P | null = null;
  const kill = (): void => process?.kill();
  signal.addEventListener('abort', kill, { once: true });
  try {
    process = await start(claim);
    if (signal.aborted) kill();
    const result = await use({ claim, process }, signal);
    if (signal.aborted) throw new FixError('cancelled');
    return result;
  } catch (thrown) {
    process?.kill();
    await process?.exited;
    await claim.release();
    if (spec.signal.aborted) throw new FixError('cancelled');
    throw describe(thrown, { host, id: spec.id, output: process?.output() ?? '', late: deadline.aborted });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

function describe(thrown: unknown, failure: { host: HostOptions; id: string; output: string; late: boolean }): FixError {
  const error = hostFailure(thrown);
  // A connection that breaks while it is being made is a boot that failed, and so is one that takes too long.
  const code = failure.late || error.code === 'sandbox_lost' || error.code === 'cancelled' ? 'sandbox_boot' : error.code;
  const late = failure.late ? { why: 'it was not ready in time', late: true } : {};
  const details = { ...error.details, ...late, output: failure.output.slice(-2000) };
  failure.host.log.warn({ err: error, sandboxId: failure.id, ...details }, 'a VM did not start');
  return new FixError(code, { cause: thrown, details });
}
