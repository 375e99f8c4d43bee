/** The root filesystem of the guest template that `mayfly setup` built, for tests that use its programs without a VM. */
import { loadConfig } from '../../src/config.ts';
import { findImage } from '../../src/sandbox/image.ts';

const { MAYFLY_CACHE_DIR: cacheDir, MAYFLY_GUEST_DISK_GIB: diskGib, MAYFLY_GUEST_PACKAGES: extraPackages } = loadConfig('tool');

/** Only root may enter it. Undefined when there is none. */
export const templateRootfs = (await findImage({ cacheDir, diskGib, extraPackages }))?.rootfs;
