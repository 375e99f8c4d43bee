/** From a guest that waits to a sandbox: thaw, connect, first command. The same for every provider. */
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { openChannel } from './channel.ts';
import type { Channel } from './channel.ts';
import { countMemoryKills } from './cgroup.ts';
import type { Exec } from './exec.ts';
import type { HostProcess } from './host-process.ts';
import type { Launched } from './launch.ts';
import type { Sandbox, SandboxInfo } from './sandbox.ts';
import { createIdentity, thaw } from './thaw.ts';

export interface Greeting {
  readonly id: string;
  /** The guest's port; it has said `ready`. */
  readonly stream: Duplex;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** When the boot began, on the clock of `performance.now()`. */
  readonly startedAt: number;
  readonly createId?: typeof createIdentity;
}

export interface Greeted {
  readonly channel: Channel;
  readonly bootMs: number;
}

/** Throws `sandbox_thaw`, `sandbox_lost`, `sandbox_boot`, `cancelled`. */
export async function greet({ id, stream, signal, log, startedAt, createId = createIdentity }: Greeting): Promise<Greeted> {
  const sinceStart = (): number => Math.round(performance.now() - startedAt);
  const awakeMs = sinceStart();
  const identity = createId(hostNameOf(id));
  await thaw(stream, identity);
  const thawedMs = sinceStart();
  const { clientPrivateKey: privateKey, hostKey } = identity;
  const channel = await openChannel({ stream, privateKey, hostKey, signal, log });
  const connectedMs = sinceStart();
  const first = await channel.exec(['/bin/true'], { signal, cwd: '/' });
  if (first.exitCode !== 0) throw new FixError('sandbox_boot', { details: { why: 'the first command failed', first } });
  const bootMs = sinceStart();
  log.debug({ sandboxId: id, awakeMs, thawedMs, connectedMs, bootMs }, 'VM is ready');
  return { channel, bootMs };
}

export const hostNameOf = (id: string): string => `mayfly-${id}`.slice(0, 63);

/** A process is gone a moment after its connection; this is how long its own account of it is waited for. */
const lastWordsMs = 2000;

export function createSandbox({ claim, process }: Launched<HostProcess>, channel: Channel, info: SandboxInfo): Sandbox {
  const lost = new AbortController();
  let released: Promise<readonly string[]> | null = null;
  const lose = async (why: string): Promise<void> => {
    const full = (await countMemoryKills(claim.cgroups)) > 0;
    if (released !== null || lost.signal.aborted) return;
    lost.abort(new FixError(full ? 'guest_memory_full' : 'sandbox_lost', { details: { why, output: process.output().slice(-2000) } }));
  };
  void process.exited.then(({ code, signal }) => lose(`its process ended: ${code ?? signal}`));
  void channel.closed.then(() => Promise.race([process.exited, setTimeout(lastWordsMs, undefined, { ref: false })])).then(() => lose('the connection closed'));
  const dispose = (): Promise<readonly string[]> => {
    released ??= (async () => {
      channel.close();
      process.kill();
      await process.exited;
      return claim.release();
    })();
    return released;
  };
  return {
    id: claim.id,
    info,
    lost: lost.signal,
    exec: tellingOfMemory(channel.exec, () => countMemoryKills(claim.cgroups)),
    put: channel.put,
    get: channel.get,
    forward: channel.forward,
    dispose,
    [Symbol.asyncDispose]: async () => void (await dispose()),
  };
}

/**
 * Under gVisor a process of the guest is one of the host, and the host's kernel ends it without a word to the guest:
 * the command only fails. What the guest cannot know is added here.
 */
function tellingOfMemory(exec: Exec, countKills: () => Promise<number>): Exec {
  let known = 0;
  return async (argv, options) => {
    const result = await exec(argv, options);
    if (result.exitCode === 0) return result;
    const kills = await countKills();
    if (kills <= known) return result;
    known = kills;
    return { ...result, stderr: `${result.stderr}\nmayfly: the machine ran out of memory, and a process of this command was killed for it\n` };
  };
}
