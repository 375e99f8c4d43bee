/** Layers and layouts of images, written by hand: also those that no tool would write. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export interface Entry {
  readonly name: string;
  /** Default: a file. */
  readonly kind?: 'file' | 'folder' | 'symlink' | 'link' | 'device' | 'pipe';
  readonly content?: string | Buffer;
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly mtime?: number;
  /** What the header says, when that is not the length of the content. */
  readonly claimedBytes?: number;
}

const flags = { file: '0', link: '1', symlink: '2', device: '3', folder: '5', pipe: '6' } as const;
const block = 512;

/** A tar archive as POSIX has it: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html */
export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.flatMap(writeEntry), Buffer.alloc(2 * block)]);
}

function writeEntry({ name, kind = 'file', content = '', target = '', mode, uid = 0, mtime = 1_700_000_000, claimedBytes }: Entry): Buffer[] {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number): number => header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  header.write(name, 0, 100, 'utf8');
  octal(mode ?? (kind === 'folder' ? 0o755 : 0o644), 100, 8);
  octal(uid, 108, 8);
  octal(uid, 116, 8);
  octal(claimedBytes ?? bytes.length, 124, 12);
  octal(mtime, 136, 12);
  header.write(' '.repeat(8), 148, 'latin1');
  header.write(flags[kind], 156, 'latin1');
  header.write(target, 157, 100, 'utf8');
  header.write('ustar\x0000', 257, 'latin1');
  octal(kind === 'device' ? 1 : 0, 329, 8);
  octal(kind === 'device' ? 3 : 0, 337, 8);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    8,
  );
  return [header, bytes, Buffer.alloc((block - (bytes.length % block)) % block)];
}

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface ImageOptions {
  /** Tar archives; they travel as gzip. */
  readonly layers: readonly Buffer[];
  readonly architecture?: string;
  readonly environment?: readonly string[];
  /** Of each layer, instead of its size. */
  readonly claimedBytes?: number;
}

/** A manifest with what it names, by digest. */
export interface LaidOutImage {
  readonly manifest: Buffer;
  readonly mediaType: string;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

/** https://github.com/opencontainers/image-spec/blob/main/manifest.md */
export function layOut({ layers, architecture = 'amd64', environment = [], claimedBytes }: ImageOptions): LaidOutImage {
  const packed = layers.map((layer) => gzipSync(layer, { level: 1 }));
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture, config: { Env: environment }, rootfs: { type: 'layers', diff_ids: layers.map(digestOf) } }),
  );
  const describe = (mediaType: string, bytes: Buffer, size = bytes.length) => ({ mediaType, digest: digestOf(bytes), size });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: packed.map((bytes) => describe('application/vnd.oci.image.layer.v1.tar+gzip', bytes, claimedBytes)),
  };
  return { manifest: Buffer.from(JSON.stringify(manifest)), mediaType, blobs: new Map([config, ...packed].map((bytes) => [digestOf(bytes), bytes])) };
}

/** Images for several machines under one name. */
export function index(images: readonly { readonly image: LaidOutImage; readonly architecture: string }[]): LaidOutImage {
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const manifests = images.map(({ image, architecture }) => ({
    mediaType: image.mediaType,
    digest: digestOf(image.manifest),
    size: image.manifest.length,
    platform: { os: 'linux', architecture },
  }));
  return { manifest: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests })), mediaType, blobs: new Map() };
}
