/** The `qemu` provider: throwaway micro-VMs on any Linux host, with KVM where it works and emulation where not. */
import { bootSandbox, makeLayer } from './boot.ts';
import { checkVmId } from './claim.ts';
import { chooseDiskGib } from './disk-size.ts';
import type { DiskSizes } from './disk-size.ts';
import { imageOf, imagesCache } from './named-image.ts';
import { sweep } from './reaper.ts';
import type { GuestImage, Provider, SandboxSpec } from './sandbox.ts';
import { findTemplate, findTemplateOf } from './template.ts';
import type { TemplateOptions } from './template.ts';
import type { Template } from './vm.ts';

export interface QemuOptions extends TemplateOptions, DiskSizes {
  /** Each VM has a directory under `vms` here while it lives. */
  readonly stateDir: string;
}

/** Saved memory fits only its own shape, so a smaller machine boots cold. */
function resize(template: Template, size: SandboxSpec['size']): Template {
  const { memoryMib, vcpus } = template.shape;
  const shape = { ...template.shape, memoryMib: Math.min(memoryMib, size?.memoryMib ?? memoryMib), vcpus: Math.min(vcpus, size?.cpus ?? vcpus) };
  return shape.memoryMib === memoryMib && shape.vcpus === vcpus ? template : { ...template, shape, snapshot: null };
}

async function findNamed(options: QemuOptions, { image: base }: Template, named: GuestImage): Promise<Template> {
  return findTemplateOf({ image: imageOf(options.cacheDir, named), base, imagesCache: imagesCache(options.cacheDir) }, options);
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
  const templateOf = async ({ image, size }: Pick<SandboxSpec, 'image' | 'size'>): Promise<Template> => {
    const found = await find();
    return resize(image ? await findNamed(options, found, image) : found, size);
  };
  return {
    name: 'qemu',
    async boot(spec) {
      checkVmId(spec.id);
      const template = await templateOf(spec);
      const diskGib = chooseDiskGib(options, spec.size);
      const sized = diskGib > options.diskGib ? { ...spec, diskBytes: diskGib * 2 ** 30 } : spec;
      return bootSandbox(options, spec.layer === undefined ? template : { ...template, snapshot: null, layer: spec.layer }, sized);
    },
    sweep: () => sweep(options),
    layers: {
      // What lies over a layer is as large as the template's disk.
      key: async ({ size, image }) => (chooseDiskGib(options, size) > options.diskGib ? null : `qemu ${image?.key ?? (await find()).image.key}`),
      // And the tables of a qcow2.
      largestBytes: () => Math.ceil(options.diskGib * 2 ** 30 * 1.01),
      async make(spec, file, fill) {
        checkVmId(spec.id);
        const template: Template = { ...(await templateOf(spec)), snapshot: null };
        await makeLayer(options, template, spec, { file, fill });
      },
    },
  };
}
