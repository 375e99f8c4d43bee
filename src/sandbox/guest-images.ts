/**
 * Images from registries as guests of this host: found by digest, built once, kept like the template that they replace.
 * A directory with a manifest is complete and is never written again.
 */
import { createHash } from 'node:crypto';
import { chmod, copyFile, link, mkdir, mkdtemp, readFile, rename, rm, statfs, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { FixError, asFixError } from '../errors.ts';
import { digestFile, syncFile } from './digest.ts';
import { runHost } from './host-command.ts';
import { buildLock, findImage, unfinished } from './image.ts';
import type { Image } from './image.ts';
import { buildInGuest, unpackProgram } from './image-builder.ts';
import type { ImageKind } from './image-builder.ts';
import type { ImageLimits } from './image-manifest.ts';
import { lockFile, waitForLock } from './lock.ts';
import { imageOf, imagesCache } from './named-image.ts';
import { pruneTemplates } from './prune.ts';
import type { QemuOptions } from './qemu.ts';
import { copyLayers, findInRegistry, planImage } from './registry.ts';
import type { RegistryCredential } from './registry-credentials.ts';
import type { FoundImage, ImageSource, RegistryOptions } from './registry.ts';
import type { GuestImage, GuestImages, HeldImage, PrepareOptions, Provider } from './sandbox.ts';
import { buildTemplateOf } from './template.ts';
import type { Snapshot } from './vm.ts';

export interface GuestImagesOptions extends QemuOptions {
  /** Boots the builder, and what comes out of it later. */
  readonly provider: Provider;
  readonly registry: Pick<RegistryOptions, 'environment'>;
  /** What private images may be asked for with by a run of this repository. */
  readonly credentialsOf: (repository: NonNullable<PrepareOptions['repository']>) => Promise<readonly RegistryCredential[]>;
  readonly limits: ImageLimits;
  /** What a name means, once it is allowed; null for no name of an image that is. */
  readonly locate: (name: string) => ImageSource | null;
  /** How many are kept on this host, and in how many bytes, with their saved memory; more only while runs use them. */
  readonly kept: number;
  readonly maxBytes: number;
  /** For making one, the copy out of the registry included. */
  readonly timeoutMs: number;
}

const Manifest = z.object({
  version: z.literal(1),
  name: z.string(),
  imageSha256: z.string(),
  environment: z.record(z.string(), z.string()),
  sha256: z.record(z.string(), z.string()),
});
type Manifest = z.infer<typeof Manifest>;

const artefacts: Readonly<Record<ImageKind, readonly string[]>> = { erofs: ['rootfs.erofs'], ext4: ['kernel', 'initramfs', 'disk.qcow2', 'overlay.qcow2'] };
const kindOf = (provider: Pick<Provider, 'name'>): ImageKind => (provider.name === 'oci' ? 'erofs' : 'ext4');

export function createGuestImages(options: GuestImagesOptions): GuestImages {
  return {
    async prepare(name, { repository, signal, onProgress }) {
      const registry = { ...options.registry, credentials: repository === null ? [] : await options.credentialsOf(repository) };
      return await prepare(name, options, { signal, onProgress, registry });
    },
  };
}

/** What takes longer says nothing about the image: a slow registry, a busy host. Another run's work is nobody's time. */
async function withinTime<T>(timeoutMs: number, building: Building, work: (building: Building) => Promise<T>): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    return await work({ ...building, signal: AbortSignal.any([building.signal, deadline]) });
  } catch (thrown) {
    if (building.signal.aborted || !deadline.aborted) throw asFixError(thrown);
    throw new FixError('image_unavailable', { cause: thrown, details: { why: `it was not ready within ${Math.round(timeoutMs / 60_000)} minutes` } });
  }
}

interface Building {
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
  readonly registry: RegistryOptions;
}

async function prepare(name: string, options: GuestImagesOptions, building: Building): Promise<HeldImage> {
  const source = options.locate(name);
  if (source === null) throw new FixError('image_unsuitable', { details: { why: 'no image of this name is allowed here (MAYFLY_IMAGE_REGISTRIES)' } });
  const base = await findImage(options);
  if (base === null) throw new FixError('template_missing');
  const kind = kindOf(options.provider);
  const found = await findInRegistry(source, building.registry, building.signal);
  const key = await keyOf(found, base, options);
  const image = imageOf(options.cacheDir, { key });
  await using holding = new AsyncDisposableStack();
  const manifest = await hold(holding, building.signal, async () => {
    const value = (await readManifestOf(image)) ?? (await buildOnce({ name, found, base, image, kind }, options, building));
    return { value, directory: image.directory };
  });
  const snapshot = kind === 'erofs' ? null : await holdSnapshot(holding, { image, base }, options, building);
  await pruneTemplates({ image, snapshot }, options, options);
  return share({ key, sha256: manifest.imageSha256, environment: manifest.environment }, { holding: holding.move(), holds: 0 });
}

function share(image: GuestImage, held: { readonly holding: AsyncDisposableStack; holds: number }): HeldImage {
  held.holds += 1;
  let isOver = false;
  return {
    ...image,
    share: () => share(image, held),
    async [Symbol.asyncDispose]() {
      if (isOver) return;
      isOver = true;
      held.holds -= 1;
      if (held.holds === 0) await held.holding.disposeAsync();
    },
  };
}

/** A machine that finds no saved memory any more boots cold. */
async function holdSnapshot(
  holding: AsyncDisposableStack,
  { image, base }: Pick<Wanted, 'image' | 'base'>,
  options: GuestImagesOptions,
  building: Building,
): Promise<Snapshot | null> {
  return await hold(holding, building.signal, async () => {
    const { snapshot } = await buildTemplateOf({ image, base, imagesCache: imagesCache(options.cacheDir) }, options, building);
    return { value: snapshot, directory: snapshot && dirname(snapshot.memory) };
  });
}

/** What `make` found or made, shared with all who use it: prune.ts leaves that alone. The least recently used go first. */
async function hold<T>(
  holding: AsyncDisposableStack,
  signal: AbortSignal,
  make: () => Promise<{ readonly value: T; readonly directory: string | null }>,
): Promise<T> {
  for (;;) {
    if (signal.aborted) throw new FixError('cancelled');
    const { value, directory } = await make();
    if (directory === null) return value;
    const manifest = join(directory, 'manifest.json');
    const lock = await lockFile(manifest, { shared: true });
    if (lock === null) {
      // Somebody is removing it.
      await setTimeout(100, undefined, { signal }).catch(() => {});
      continue;
    }
    holding.defer(() => lock.release());
    await utimes(manifest, new Date(), new Date());
    return value;
  }
}

/** Everything that decides what comes out; and where it is from, so that who knows a digest of a private image cannot find it under another name. */
async function keyOf({ sha256, source }: FoundImage, base: Image, { provider, diskGib, limits }: GuestImagesOptions): Promise<string> {
  const unpack = await digestFile(unpackProgram);
  return createHash('sha256')
    .update(JSON.stringify([source.repository, sha256, base.key, unpack, kindOf(provider), diskGib, limits]))
    .digest('hex')
    .slice(0, 24);
}

async function readManifestOf(image: Image): Promise<Manifest | null> {
  const text = await readFile(join(image.directory, 'manifest.json'), 'utf8').catch(() => null);
  return text === null ? null : Manifest.parse(JSON.parse(text));
}

interface Wanted {
  readonly name: string;
  readonly found: FoundImage;
  readonly base: Image;
  readonly image: Image;
  readonly kind: ImageKind;
}

/** Two processes that build at once end with one image. */
async function buildOnce(wanted: Wanted, options: GuestImagesOptions, building: Building): Promise<Manifest> {
  const { image } = wanted;
  const onWait = (): void => building.onProgress('another run builds this image; waiting for it');
  const lock = await waitForLock(buildLock(image.directory), { signal: building.signal, onWait });
  try {
    return (await readManifestOf(image)) ?? (await withinTime(options.timeoutMs, building, (within) => build(wanted, options, within)));
  } finally {
    await lock.release();
  }
}

async function build({ name, found, base, image, kind }: Wanted, options: GuestImagesOptions, { signal, onProgress, registry }: Building): Promise<Manifest> {
  const { limits, provider, diskGib } = options;
  const planned = await planImage(found, limits, registry, signal);
  await mkdir(dirname(image.directory), { recursive: true, mode: 0o755 });
  for (const left of await unfinished(image.directory)) await rm(left, { recursive: true, force: true });
  const place = await mkdtemp(`${image.directory}.building-`);
  try {
    await requireRoom(place, limits);
    const folder = join(place, 'layers');
    const finished = join(place, 'image');
    for (const at of [folder, finished]) await mkdir(at, { mode: 0o700 });
    onProgress('copying its layers from the registry');
    const layers = await copyLayers({ source: found.source, image: planned, folder }, registry, signal);
    const target = join(finished, kind === 'erofs' ? 'rootfs.erofs' : 'disk.ext4');
    await buildInGuest({ provider, image: planned, layers, limits, kind, diskGib, target, signal, onProgress });
    if (kind === 'ext4') await makeDisk(target, { finished, base }, signal);
    const manifest = { version: 1 as const, name, imageSha256: found.sha256, environment: planned.environment, sha256: await sealAll(finished, kind) };
    await writeFile(join(finished, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o444, flush: true });
    await chmod(finished, 0o700);
    await rename(finished, image.directory);
    return manifest;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOSPC') throw new FixError('disk_full', { cause: thrown });
    throw thrown;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

async function requireRoom(place: string, { maxBlobBytes, maxUnpackedBytes }: ImageLimits): Promise<void> {
  const { bavail, bsize } = await statfs(place);
  const neededBytes = maxBlobBytes + 2 * maxUnpackedBytes;
  if (bavail * bsize < neededBytes) throw new FixError('disk_full', { details: { freeBytes: bavail * bsize, neededBytes } });
}

/** The file goes from format to format as bytes: nothing here reads what is in it. */
async function makeDisk(raw: string, { finished, base }: { finished: string; base: Image }, signal: AbortSignal): Promise<void> {
  await runHost(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, join(finished, 'disk.qcow2')], { signal, onLine: () => {} });
  await rm(raw);
  const shared = { kernel: base.kernel, initramfs: base.initramfs, 'overlay.qcow2': base.overlay };
  for (const [name, from] of Object.entries(shared)) {
    const to = join(finished, name);
    await link(from, to).catch(() => copyFile(from, to));
  }
}

async function sealAll(directory: string, kind: ImageKind): Promise<Record<string, string>> {
  const sealed = artefacts[kind].map(async (name) => {
    const file = join(directory, name);
    const sha256 = await digestFile(file);
    await chmod(file, 0o444);
    // On the disk before the manifest is, which says that all is whole.
    await syncFile(file);
    return [name, sha256] as const;
  });
  return Object.fromEntries(await Promise.all(sealed));
}
