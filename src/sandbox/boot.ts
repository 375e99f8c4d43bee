/** From a template to a sandbox: start, wake, greet. */
import type { HostOptions } from './claim.ts';
import { createSandbox, greet } from './greet.ts';
import type { Sandbox, SandboxSpec } from './sandbox.ts';
import { createIdentity } from './thaw.ts';
import { wake, withVm } from './vm.ts';
import type { Template } from './vm.ts';

/** Boots and connects. Throws `cancelled`, `sandbox_boot`, `sandbox_thaw`, `sandbox_unlimited`; nothing is left then. */
export async function bootSandbox(host: HostOptions, template: Template, spec: SandboxSpec, createId = createIdentity): Promise<Sandbox> {
  const startedAt = performance.now();
  return withVm(host, template, spec, async (vm, signal) => {
    await wake(vm, template);
    const { channel, bootMs } = await greet({ id: spec.id, stream: vm.machine.channel, signal, log: host.log, startedAt, createId });
    const { accel } = template.shape;
    return createSandbox({ claim: vm.claim, process: vm.machine }, channel, {
      provider: 'qemu',
      accel,
      isolation: accel === 'kvm' ? 'hardware' : 'emulation',
      networkCards: 0,
      restored: template.snapshot !== null,
      pooled: false,
      bootMs,
    });
  });
}
