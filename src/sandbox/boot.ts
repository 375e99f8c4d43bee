/** From a template to a sandbox: start, wake, thaw, connect, first command. */
import { FixError } from '../errors.ts';
import { openChannel } from './channel.ts';
import type { Channel } from './channel.ts';
import type { HostOptions } from './claim.ts';
import type { Sandbox, SandboxSpec } from './sandbox.ts';
import { createIdentity, thaw } from './thaw.ts';
import { wake, withVm } from './vm.ts';
import type { RunningVm, Template } from './vm.ts';

/** Boots and connects. Throws `cancelled`, `sandbox_boot`, `sandbox_thaw`, `sandbox_unlimited`; nothing is left then. */
export async function bootSandbox(host: HostOptions, template: Template, spec: SandboxSpec, createId = createIdentity): Promise<Sandbox> {
  const startedAt = performance.now();
  const sinceStart = (): number => Math.round(performance.now() - startedAt);
  return withVm(host, template, spec, async (vm, signal) => {
    const startedMs = sinceStart();
    await wake(vm, template);
    const awakeMs = sinceStart();
    const identity = createId(`mayfly-${spec.id}`.slice(0, 63));
    await thaw(vm.machine.channel, identity);
    const thawedMs = sinceStart();
    const { clientPrivateKey: privateKey, hostKey } = identity;
    const channel = await openChannel({ stream: vm.machine.channel, privateKey, hostKey, signal, log: host.log });
    const connectedMs = sinceStart();
    const first = await channel.exec(['/bin/true'], { signal, cwd: '/' });
    if (first.exitCode !== 0) throw new FixError('sandbox_boot', { details: { why: 'the first command failed', first } });
    const bootMs = sinceStart();
    host.log.debug({ sandboxId: spec.id, startedMs, awakeMs, thawedMs, connectedMs, bootMs }, 'VM is ready');
    return createSandbox({ template, vm, channel, bootMs });
  });
}

function createSandbox(parts: { template: Template; vm: RunningVm; channel: Channel; bootMs: number }): Sandbox {
  const { channel, vm } = parts;
  const { claim, machine } = vm;
  const lost = new AbortController();
  let released: Promise<readonly string[]> | null = null;
  const lose = (why: string) => {
    if (released === null && !lost.signal.aborted) lost.abort(new FixError('sandbox_lost', { details: { why, output: machine.output().slice(-2000) } }));
  };
  void machine.exited.then(({ code, signal }) => lose(`QEMU ended: ${code ?? signal}`));
  void channel.closed.then(() => lose('the connection closed'));
  const dispose = (): Promise<readonly string[]> => {
    released ??= (async () => {
      channel.close();
      machine.kill();
      await machine.exited;
      return claim.release();
    })();
    return released;
  };
  const { accel } = parts.template.shape;
  return {
    id: claim.id,
    info: {
      provider: 'qemu',
      accel,
      isolation: accel === 'kvm' ? 'hardware' : 'emulation',
      networkCards: 0,
      restored: parts.template.snapshot !== null,
      bootMs: parts.bootMs,
    },
    lost: lost.signal,
    exec: channel.exec,
    put: channel.put,
    get: channel.get,
    forward: channel.forward,
    dispose,
    [Symbol.asyncDispose]: async () => void (await dispose()),
  };
}
