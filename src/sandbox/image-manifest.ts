/** What a registry says about an image, read strictly and within bounds: https://github.com/opencontainers/image-spec/blob/main/manifest.md */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { FixError } from '../errors.ts';

export interface ImageLimits {
  /** All layers together, as the registry has them. */
  readonly maxBlobBytes: number;
  /** All layers together, unpacked. */
  readonly maxUnpackedBytes: number;
  readonly maxFiles: number;
}

export interface ImageLayer {
  /** SHA-256, in hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly format: 'tar' | 'gzip' | 'zstd';
}

export interface ImageManifest {
  readonly configSha256: string;
  readonly configBytes: number;
  readonly layers: readonly ImageLayer[];
}

const maxLayers = 128;
const maxConfigBytes = 2 ** 20;
const digestPattern = /^sha256:([0-9a-f]{64})$/;

const Descriptor = z.object({ mediaType: z.string().max(200), digest: z.string().regex(digestPattern), size: z.number().int().nonnegative() });
const Index = z.object({
  manifests: z
    .array(Descriptor.extend({ platform: z.object({ os: z.string().max(50), architecture: z.string().max(50), variant: z.string().optional() }).optional() }))
    .max(1000),
});
const Manifest = z.object({ config: Descriptor, layers: z.array(Descriptor).max(10_000) });
const Config = z.object({
  os: z.string().max(50),
  architecture: z.string().max(50),
  config: z.object({ Env: z.array(z.string().max(10_000)).max(200).nullish() }).nullish(),
});

const layerFormats: Readonly<Record<string, ImageLayer['format']>> = {
  'application/vnd.oci.image.layer.v1.tar': 'tar',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
};

/** `why` is one line for people: what of the image a guest cannot be made of. */
export const unsuitable = (why: string, details: Record<string, unknown> = {}): FixError => new FixError('image_unsuitable', { details: { why, ...details } });

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The digest, in hex, of the manifest for this kind of machine; null when `bytes` are that manifest. Throws `image_unsuitable`. */
export function choosePlatform(bytes: Uint8Array): string | null {
  const value = parse(bytes);
  if (typeof value !== 'object' || value === null || !('manifests' in value)) return null;
  const index = Index.safeParse(value);
  if (!index.success) throw unsuitable('its index is not understood');
  const fitting = index.data.manifests.filter(({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64');
  const chosen = fitting.find(({ platform }) => platform?.variant === undefined) ?? fitting[0];
  if (!chosen) throw unsuitable(`it is not made for linux/amd64${describeOthers(index.data.manifests)}`);
  return hexOf(chosen.digest);
}

function describeOthers(manifests: z.infer<typeof Index>['manifests']): string {
  const names = manifests.flatMap(({ platform }) => (platform && platform.os !== 'unknown' ? [`${platform.os}/${platform.architecture}`] : []));
  const plain = [...new Set(names)].filter((name) => /^[\w/.-]+$/.test(name)).slice(0, 10);
  return plain.length === 0 ? '' : `, only for ${plain.join(', ')}`;
}

/** Throws `image_unsuitable`. */
export function readManifest(bytes: Uint8Array, { maxBlobBytes }: Pick<ImageLimits, 'maxBlobBytes'>): ImageManifest {
  const manifest = Manifest.safeParse(parse(bytes));
  if (!manifest.success) throw unsuitable('its manifest is not understood');
  if (namesAddresses(bytes)) throw unsuitable('its manifest names addresses (urls) that parts of it are to be fetched from');
  const { config, layers } = manifest.data;
  if (config.size > maxConfigBytes) throw unsuitable('its configuration is too large');
  if (layers.length > maxLayers) throw unsuitable(`it has ${layers.length} layers, and ${maxLayers} are allowed`);
  const totalBytes = layers.reduce((sum, { size }) => sum + size, 0);
  if (totalBytes > maxBlobBytes) throw unsuitable(`it has ${mib(totalBytes)} MiB, and ${mib(maxBlobBytes)} MiB are allowed (MAYFLY_IMAGE_MAX_MIB)`);
  return {
    configSha256: hexOf(config.digest),
    configBytes: config.size,
    layers: layers.map(({ digest, size: sizeBytes, mediaType }) => {
      const format = layerFormats[mediaType];
      if (format === undefined) throw unsuitable('one of its layers is of a kind that is not known');
      return { sha256: hexOf(digest), sizeBytes, format };
    }),
  };
}

/**
 * Skopeo fetches what has `urls` from there, whatever the address. It reads the bytes anew, and its JSON takes a key in any
 * letters (`URLs`) and one that stands twice together, so every key of the text counts. `bytes` are JSON.
 */
function namesAddresses(bytes: Uint8Array): boolean {
  const strings = Buffer.from(bytes)
    .toString('utf8')
    .matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?/g);
  return [...strings].some(([, text = '', colon]) => colon !== undefined && String(JSON.parse(text)).normalize('NFKC').toLowerCase() === 'urls');
}

/** The environment that the image sets, without what is ours to say. Throws `image_unsuitable` for another architecture. */
export function readConfig(bytes: Uint8Array): Readonly<Record<string, string>> {
  const parsed = Config.safeParse(parse(bytes));
  if (!parsed.success) throw unsuitable('its configuration is not understood');
  const { os, architecture, config } = parsed.data;
  if (os !== 'linux' || architecture !== 'amd64') {
    const named = [os, architecture].every((text) => /^[\w.-]+$/.test(text)) ? `, but for ${os}/${architecture}` : '';
    throw unsuitable(`it is not made for linux/amd64${named}`);
  }
  const pairs = (config?.Env ?? []).flatMap((text) => {
    const [, name = '', value = ''] = /^([A-Za-z_]\w{0,100})=([^\0]*)$/s.exec(text) ?? [];
    return name === '' || ours.has(name) ? [] : [[name, value] as const];
  });
  return Object.fromEntries(pairs);
}

/** Whoever works in a guest is the agent, wherever the image's own user lives. */
const ours = new Set(['HOME', 'USER', 'LOGNAME', 'SHELL', 'HOSTNAME', 'PWD']);

const mib = (bytes: number): string => Math.ceil(bytes / 2 ** 20).toLocaleString('en');
const hexOf = (digest: string): string => digestPattern.exec(digest)?.[1] ?? '';

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return null;
  }
}
