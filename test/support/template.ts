/** The root filesystem of the guest template that `mayfly setup` built, for tests that use its programs without a VM. */
import { loadConfig } from '../../src/config.ts';
import { findImage } from '../../src/sandbox/image.ts';

const config = loadConfig('tool');

/** Only root may enter it. Undefined when there is none. */
export const templateRootfs = (
  await findImage({
    cacheDir: config.MAYFLY_CACHE_DIR,
    diskGib: config.MAYFLY_GUEST_DISK_GIB,
    extraPackages: config.MAYFLY_GUEST_PACKAGES,
    kernelFile: config.MAYFLY_GUEST_KERNEL,
  })
)?.rootfs;
