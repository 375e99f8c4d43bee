/** Where images from registries are on this host. */
import { join } from 'node:path';
import type { Image } from './image.ts';
import type { GuestImage } from './sandbox.ts';

/** Programs of ours in each of them, where builder-unpack.py puts them: what an image need not have. */
export const broughtPrograms = '/usr/lib/mayfly-brought/bin';

/** The cache of these images and their saved memory is one like that of the template, below it. */
export const imagesCache = (cacheDir: string): string => join(cacheDir, 'named');

/** Of the two kinds of file system it has the one that its provider gives to guests. */
export function imageOf(cacheDir: string, { key }: Pick<GuestImage, 'key'>): Image {
  const directory = join(imagesCache(cacheDir), 'images', key);
  const at = (name: string): string => join(directory, name);
  const files = { kernel: at('kernel'), initramfs: at('initramfs'), disk: at('disk.qcow2'), overlay: at('overlay.qcow2'), rootfs: at('rootfs.erofs') };
  return { key, directory, ...files, isForeign: true };
}
