/** The `qemu` provider: throwaway micro-VMs on any Linux host, with KVM where it works and emulation where not. */
import { bootSandbox } from './boot.ts';
import { checkVmId } from './claim.ts';
import { sweep } from './reaper.ts';
import type { Provider } from './sandbox.ts';
import { findTemplate } from './template.ts';
import type { TemplateOptions } from './template.ts';
import type { Template } from './vm.ts';

export interface QemuOptions extends TemplateOptions {
  /** Each VM has a directory under `vms` here while it lives. */
  readonly stateDir: string;
}

/** Looks for the template at the first boot; build it before with `buildTemplate`. */
export function createQemuProvider(options: QemuOptions): Provider {
  let template: Promise<Template> | null = null;
  const find = async (): Promise<Template> => {
    template ??= findTemplate(options);
    template.catch(() => {
      template = null;
    });
    return template;
  };
  return {
    name: 'qemu',
    async boot(spec) {
      checkVmId(spec.id);
      return bootSandbox(options, await find(), spec);
    },
    sweep: () => sweep(options),
  };
}
