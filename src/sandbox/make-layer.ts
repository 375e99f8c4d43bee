/** The end of a VM whose disk is kept: what it wrote is on the disk, and the guest ends by itself, before anybody looks at the file. */
import { rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { FixError } from '../errors.ts';
import type { Channel } from './channel.ts';
import type { HostProcess } from './host-process.ts';

/** For setup commands as well. */
export const layerDeadlineMs = 2 * 3_600_000;
const settleMs = 300_000;
const exitMs = 30_000;

interface Settling {
  readonly channel: Channel;
  readonly process: HostProcess;
  readonly signal: AbortSignal;
  /** Default: five minutes. */
  readonly timeoutMs?: number;
}

/**
 * Runs `script` as root, the last command; then the connection goes, and with it the guest. No process of an earlier
 * command is left by then, because none outlives its exec. Throws `sandbox_boot`, `cancelled`.
 */
export async function settle(script: string, { channel, process, signal, timeoutMs = settleMs }: Settling): Promise<void> {
  const result = await channel.exec(['sh', '-c', script], { user: 'root', cwd: '/', signal, timeoutMs });
  if (result.ended === 'cancelled') throw new FixError('cancelled');
  if (result.exitCode !== 0) throw new FixError('sandbox_boot', { details: { why: 'its disk did not settle', stderr: result.stderr.slice(-2000) } });
  channel.close();
  const ended = await Promise.race([process.exited.then(() => true), setTimeout(exitMs, false, { ref: false })]);
  if (!ended) throw new FixError('sandbox_boot', { details: { why: 'it did not end by itself' } });
}

/** The file of a layer is made where it stays; when it does not come to be, it goes. */
export async function orRemove(file: string, make: () => Promise<void>): Promise<void> {
  try {
    await make();
  } catch (thrown) {
    await rm(file, { force: true });
    throw thrown;
  }
}
