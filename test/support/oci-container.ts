/** An image started as compose.yaml starts it, by runc: read-only, without a capability, in namespaces of its own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { BuiltImage } from './image-builder.ts';

export interface Container extends AsyncDisposable {
  /** Runs a command in it as its user; never throws for a bad exit. */
  exec(...argv: string[]): Promise<{ readonly exitCode: number | undefined; readonly text: string }>;
  /** SIGTERM; its exit code and what it wrote. */
  stop(): Promise<{ readonly exitCode: number | undefined; readonly text: string }>;
}

export interface ContainerOptions {
  readonly image: BuiltImage;
  readonly environment: Readonly<Record<string, string>>;
  /** Folders of this machine by where they are seen. */
  readonly folders: Readonly<Record<string, string>>;
}

export async function startContainer({ image, environment, folders }: ContainerOptions): Promise<Container> {
  const bundle = await mkdtemp(join(tmpdir(), 'mayfly-container-'));
  const id = bundle.slice(bundle.lastIndexOf('/') + 1);
  const [uid = 0, gid = uid] = image.user.split(':').map(Number);
  const specification = {
    ociVersion: '1.0.2',
    process: {
      user: { uid, gid },
      args: image.command,
      env: [...image.environment, ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
      cwd: image.directory,
      capabilities: { bounding: [], effective: [], permitted: [] },
      noNewPrivileges: true,
    },
    root: { path: image.rootfs, readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      ...Object.entries(folders).map(([destination, source]) => ({ destination, type: 'bind', source, options: ['bind', 'ro'] })),
    ],
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })), readonlyPaths: ['/proc/sys'] },
  };
  await writeFile(join(bundle, 'config.json'), JSON.stringify(specification));
  const runc = (...argv: string[]) => execa('runc', ['--root', join(bundle, 'runc'), ...argv], { reject: false, all: true, stdin: 'ignore' });
  const running = runc('run', '--bundle', bundle, id);
  return {
    async exec(...argv) {
      const result = await runc('exec', id, ...argv);
      return { exitCode: result.exitCode, text: result.all };
    },
    async stop() {
      await runc('kill', id, 'TERM');
      const result = await running;
      return { exitCode: result.exitCode, text: result.all };
    },
    async [Symbol.asyncDispose]() {
      await runc('delete', '--force', id);
      await running;
      await rm(bundle, { recursive: true, force: true });
    },
  };
}
