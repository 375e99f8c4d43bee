/**
 * Images out of registries, by skopeo in a process of its own: manifests as text, layers as files that nobody on this host
 * opens. What a registry says of sizes is summed and bounded first, and since it may lie, files cannot grow beyond it.
 */
import { access, mkdtemp, open, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { FixError } from '../errors.ts';
import { digestFile } from './digest.ts';
import { choosePlatform, readConfig, readManifest, sha256Of, unsuitable } from './image-manifest.ts';
import type { ImageLimits, ImageManifest } from './image-manifest.ts';
import { formatRegistryCredentials } from './registry-credentials.ts';
import type { RegistryCredential } from './registry-credentials.ts';

export interface RegistryOptions {
  /** Those that may be used for this image; without one, the registry is asked as anybody. */
  readonly credentials: readonly RegistryCredential[];
  /** Of this host: proxy and certificates. */
  readonly environment: Readonly<Record<string, string>>;
}

/** `registry/name` and which of them. */
export interface ImageSource {
  readonly repository: string;
  /** A tag; or `sha256:` and a digest. */
  readonly version: string;
  /** Without TLS; the operator said so. */
  readonly isPlain: boolean;
}

export interface FoundImage {
  readonly source: ImageSource;
  /** Of what the name means now, be it an index: SHA-256 in hex. */
  readonly sha256: string;
  /** The first bytes that the name led to. */
  readonly bytes: Uint8Array;
}

export interface PlannedImage extends ImageManifest {
  /** Of the manifest itself. */
  readonly sha256: string;
  readonly environment: Readonly<Record<string, string>>;
}

export const skopeoProgram = 'skopeo';
const maxTextBytes = 4 * 2 ** 20;
const askMs = 60_000;
/** What a registry answers when asking again would not help. */
const refusal = /manifest unknown|name unknown|repository name not known|unauthorized|access to the resource is denied|authentication required|not found/i;

/** What a name means now. Throws `image_unsuitable` when there is none, `image_unavailable`, `host_incomplete`, `cancelled`. */
export async function findInRegistry(source: ImageSource, options: RegistryOptions, signal: AbortSignal): Promise<FoundImage> {
  const bytes = await inspect(source, [], options, signal);
  const sha256 = sha256Of(bytes);
  if (source.version.startsWith('sha256:') && source.version !== `sha256:${sha256}`) throw unsuitable('the registry gave another one than its digest says');
  return { source, sha256, bytes };
}

/** What has to be copied, without copying it. Throws as `findInRegistry`. */
export async function planImage(found: FoundImage, limits: ImageLimits, options: RegistryOptions, signal: AbortSignal): Promise<PlannedImage> {
  const chosen = choosePlatform(found.bytes);
  const pinned = pin(found.source, chosen ?? found.sha256);
  const bytes = chosen === null ? found.bytes : (await findInRegistry(pinned, options, signal)).bytes;
  const manifest = readManifest(bytes, limits);
  const config = await inspect(pinned, ['--config'], options, signal);
  if (sha256Of(config) !== manifest.configSha256) throw unsuitable('the registry gave another configuration than its manifest says');
  return { ...manifest, sha256: chosen ?? found.sha256, environment: readConfig(config) };
}

/** Copies the layers into an empty folder; resolves with their files, in order. Throws as `findInRegistry`. */
export async function copyLayers(
  { source, image, folder }: { source: ImageSource; image: PlannedImage; folder: string },
  options: RegistryOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const largestBytes = Math.max(image.configBytes, maxTextBytes, ...image.layers.map(({ sizeBytes }) => sizeBytes));
  // A file that grows beyond what was said ends the copy, and so at most the few that are copied at once can.
  const capped = ['prlimit', `--fsize=${largestBytes}`, '--core=0'];
  const from = pin(source, image.sha256);
  const argv = ['copy', '--quiet', '--preserve-digests', ...flagsFor('--src-', source, options), name(from), `dir:${folder}`];
  await run([...capped, ...(await skopeo(folder)), ...argv], options, signal);
  return await Promise.all(
    image.layers.map(async ({ sha256, sizeBytes }) => {
      const file = join(folder, sha256);
      const size = (await stat(file).catch(() => null))?.size;
      if (size !== sizeBytes || (await digestFile(file, signal)) !== sha256) throw unsuitable('the registry gave other layers than its manifest says');
      return file;
    }),
  );
}

const pin = (source: ImageSource, sha256: string): ImageSource => ({ ...source, version: `sha256:${sha256}` });
const name = ({ repository, version }: ImageSource): string => `docker://${repository}${version.startsWith('sha256:') ? '@' : ':'}${version}`;

/** The descriptor of a file that has no name any more: what is in it is for this process alone, and stays nowhere. */
const credentialsDescriptor = 3;

function flagsFor(prefix: '--' | '--src-', { isPlain }: ImageSource, { credentials }: RegistryOptions): string[] {
  const how = credentials.length === 0 ? `${prefix}no-creds` : `${prefix}authfile=/proc/self/fd/${credentialsDescriptor}`;
  return [how, ...(isPlain ? [`${prefix}tls-verify=false`] : [])];
}

async function openCredentials({ credentials }: RegistryOptions): Promise<FileHandle | null> {
  if (credentials.length === 0) return null;
  const handle = await openNameless();
  try {
    await handle.writeFile(formatRegistryCredentials(credentials));
    return handle;
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

/** Whenever we are killed, no file with a secret in it has a name. */
async function openNameless(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-'));
  try {
    return await open(join(folder, 'auth.json'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function inspect(source: ImageSource, more: readonly string[], options: RegistryOptions, signal: AbortSignal): Promise<Uint8Array> {
  const argv = ['inspect', '--raw', ...more, ...flagsFor('--', source, options), name(source)];
  return await run([...(await skopeo('/nonexistent')), ...argv], options, AbortSignal.any([signal, AbortSignal.timeout(askMs)]));
}

/** Without a rule of this host about signatures, none is asked for. */
async function skopeo(temporary: string): Promise<string[]> {
  const hasPolicy = await access('/etc/containers/policy.json').then(
    () => true,
    () => false,
  );
  return [skopeoProgram, '--tmpdir', temporary, ...(hasPolicy ? [] : ['--insecure-policy'])];
}

async function run(argv: readonly string[], options: RegistryOptions, signal: AbortSignal): Promise<Uint8Array> {
  await using credentials = await openCredentials(options);
  const ended = await execa('setpriv', ['--no-new-privs', '--pdeathsig=KILL', ...argv], {
    encoding: 'buffer',
    env: { ...options.environment, HOME: '/nonexistent' },
    extendEnv: false,
    // The types know no descriptor beyond the usual three.
    stdio: ['ignore', 'pipe', 'pipe', ...(credentials ? [credentials.fd] : [])] as unknown as ['ignore', 'pipe', 'pipe'],
    maxBuffer: maxTextBytes,
    cancelSignal: signal,
    forceKillAfterDelay: 1000,
    reject: false,
    cwd: '/',
  });
  if (!ended.failed) return ended.stdout;
  if (ended.isCanceled && !(signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError')) throw new FixError('cancelled');
  if (ended.isMaxBuffer) throw unsuitable('its manifest is too large');
  const output = Buffer.from(ended.stderr).toString('utf8').slice(-2000);
  if (ended.exitCode === 127 || /failed to execute/.test(output)) throw new FixError('host_incomplete', { details: { missing: skopeoProgram } });
  if (/no space left on device/i.test(output)) throw new FixError('disk_full', { details: { output } });
  if (refusal.test(output)) throw unsuitable('the registry has no such image, or does not give it to this host', { output });
  if (/file too large/i.test(output) || ended.signal === 'SIGXFSZ') throw unsuitable('the registry sends more than its manifest says', { output });
  throw new FixError('image_unavailable', { details: { output, exitCode: ended.exitCode, signal: ended.signal } });
}
