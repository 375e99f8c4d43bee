/** Images out of a registry as guests, under both providers: found, bounded, built once, booted, refused. */
import { chmod, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { createGuestImages } from '../../src/sandbox/guest-images.ts';
import type { GuestImagesOptions } from '../../src/sandbox/guest-images.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { GuestImages, HeldImage, Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, newVmId, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { startImageRegistry } from '../support/oci/image-registry.ts';
import type { ImageRegistry } from '../support/oci/image-registry.ts';
import { digestOf, index, layOut, tar } from '../support/oci/layers.ts';
import type { LaidOutImage } from '../support/oci/layers.ts';
import { smallSystem } from '../support/oci/small-system.ts';

const lacksSkopeo = (await execa('skopeo', ['--version'], { reject: false })).failed
  ? 'skopeo is not installed'
  : process.getuid?.() === 0
    ? null
    : 'the system is made as root';
const guests = [
  { name: 'gVisor', create: createOciProvider, lacking: lacksSkopeo ?? (await lacksForGvisor()) },
  { name: 'QEMU', create: createQemuProvider, lacking: lacksSkopeo ?? (await lacksForGuests()) },
];
const limits = { maxBlobBytes: 2 ** 28, maxUnpackedBytes: 2 ** 29, maxFiles: 20_000 };

for (const { name, create, lacking } of guests) {
  describe.skipIf(isSkipped(`images under ${name}`, lacking))(`an image under ${name}`, () => {
    let host: GuestHost;
    let registry: ImageRegistry;
    let cacheDir: string;
    let image: LaidOutImage;
    let sandbox: Sandbox;
    let prepared: HeldImage;
    beforeAll(async () => {
      host = await openGuestHost(create);
      // The template is the one of this host, the images are only ours.
      cacheDir = await mkdtemp(join(tmpdir(), 'mayfly-images-'));
      await chmod(cacheDir, 0o755); // each machine is a user of its own
      for (const entry of await readdir(host.options.cacheDir)) if (entry !== 'named') await symlink(join(host.options.cacheDir, entry), join(cacheDir, entry));
      registry = await startImageRegistry();
      const extra = tar([
        { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' },
        // What is tried in the VM that unpacks it has a program of root at hand.
        { name: 'opt/tools/euid', content: await readFile('/usr/bin/id'), mode: 0o4755 },
        {
          name: 'opt/tools/git',
          content: '#!/bin/sh\n[ -e /workspace/asked ] || /opt/tools/euid -u > /workspace/asked\nexec /usr/bin/git "$@"\n',
          mode: 0o755,
        },
        { name: 'opt/tools/hello', content: '#!/bin/sh\necho hello from the image\n', mode: 0o755 },
      ]);
      image = layOut({ layers: [...(await smallSystem()), extra], environment: ['PATH=/opt/tools:/usr/bin:/bin', 'TOOLS_HOME=/opt/tools', 'HOME=/nowhere'] });
      registry.push(
        'acme/tools',
        '1',
        index([
          { image, architecture: 'arm64' },
          { image, architecture: 'amd64' },
        ]),
        image,
      );
      prepared = await images().prepare(`${registry.address}/acme/tools:1`, building());
      sandbox = await host.provider({ cacheDir }).boot({ id: newVmId(), signal: AbortSignal.timeout(120_000), image: prepared });
    }, 600_000);
    afterAll(async () => {
      await sandbox?.dispose();
      await prepared?.[Symbol.asyncDispose]();
      await registry?.[Symbol.asyncDispose]();
      await rm(cacheDir, { recursive: true, force: true });
      await host?.close();
    });

    const building = () => ({
      repository: { name: 'acme/shop', id: 1 },
      signal: AbortSignal.timeout(600_000),
      onProgress: (line: string) => void process.stderr.write(`${name}: ${line}\n`),
    });

    function images(changes: Partial<GuestImagesOptions> = {}): GuestImages {
      return createGuestImages({
        ...host.options,
        cacheDir,
        provider: host.provider({ cacheDir }),
        registry: { environment: { PATH: process.env['PATH'] ?? '' } },
        credentialsOf: () => Promise.resolve([]),
        limits,
        kept: 4,
        maxBytes: Infinity,
        timeoutMs: 600_000,
        locate: (text) => {
          const [repository = '', version = ''] = text.includes('@')
            ? text.split('@')
            : [text.slice(0, text.lastIndexOf(':')), text.slice(text.lastIndexOf(':') + 1)];
          return { repository, version, isPlain: true };
        },
        ...changes,
      });
    }

    test('boots, with what it has, the agent in it and a way to become root', async () => {
      const environment = { PATH: '/opt/tools:/usr/bin:/bin' };
      const run = async (script: string, sudo = false) => (await sandbox.exec(['bash', '-c', script], { env: environment, sudo })).stdout.trim();

      expect(await run('id -un; id -u; pwd; echo $HOME; hello')).toBe('agent\n1000\n/workspace\n/home/agent\nhello from the image');
      expect(await run('sudo -n id -un', true)).toBe('root');
      expect(await run('sudo -n id -un || echo nobody')).toBe('nobody');
      expect(await run('git init -q . && echo x > f && git add f && git -c user.name=a -c user.email=a@b commit -qm m && git log --oneline | wc -l')).toBe('1');
      expect(await run('for name in python3 gcc node sshd; do command -v $name; done; echo none')).toBe('none');
      expect(await run('hostname 2>/dev/null || cat /etc/hostname')).toContain('mayfly-');
    });

    test('keeps its own files, and gets what is written and read through the port', async () => {
      await sandbox.put('/workspace/deep/file.txt', 'content', { mode: 0o755 });

      expect((await sandbox.get('/workspace/deep/file.txt', { maxBytes: 100 })).toString()).toBe('content');
      expect(await output(sandbox, 'stat -c "%a %U" /workspace/deep/file.txt; grep -c ^node: /etc/passwd; stat -c %Y /opt/tools/hello')).toBe(
        '755 agent\n1\n1700000000',
      );
    });

    test('has no way to become root in the VM that unpacks it', async () => {
      expect((await sandbox.get('/workspace/asked', { maxBytes: 100 })).toString()).toBe('1000\n');
    });

    test('is what a disk is kept of: with what setup did to it, and without what only its guest was', async () => {
      const provider = host.provider({ cacheDir });
      const file = join(host.options.stateDir, `layer-${newVmId()}`);
      const signal = AbortSignal.timeout(170_000);
      const maker = provider.layers;
      if (!maker) throw new Error('its disks are not kept');
      await maker.make({ id: newVmId(), signal, image: prepared }, file, async (guest) => {
        const setUp = `mkdir -p deep && echo kept > deep/file && chmod 640 deep/file && ln deep/file deep/other && ln -s file deep/soft && mkfifo /tmp/pipe pipe
sudo -n sh -c 'echo kept > /etc/kept; rm /opt/tools/euid; echo gone > /run/gone; echo gone > /dev/shm/gone'`;
        expect(await guest.exec(['bash', '-ec', setUp], { sudo: true })).toMatchObject({ exitCode: 0 });
      });
      await using kept = await provider.boot({ id: newVmId(), signal, image: prepared, layer: file });

      const seen = await output(
        kept,
        'cd /workspace; cat deep/*; stat -c "%a %U" deep/other; cat /etc/kept; ls /opt/tools; /opt/tools/hello; ls /run/gone /dev/shm 2>&1; true',
      );
      expect(seen.split('\n')).toEqual(
        [
          [...Array(3).fill('kept'), '640 agent', 'kept', 'git', 'hello', 'hello from the image'],
          ["ls: cannot access '/run/gone': No such file or directory", '/dev/shm:'],
        ].flat(),
      );
      expect((await kept.exec(['bash', '-c', 'sudo -n id -un && touch deep/new && id -un'], { sudo: true })).stdout).toBe('root\nagent\n');
      expect(await maker.key({ image: prepared })).not.toBe(await maker.key({}));
    }, 180_000);

    test('is for nobody on this host but the VMs that are made of it', async () => {
      const kinds = await readdir(join(cacheDir, 'named'));
      const folders = await Promise.all(
        kinds
          .filter((kind) => kind !== 'locks')
          .map(async (kind) => (await readdir(join(cacheDir, 'named', kind))).map((key) => join(cacheDir, 'named', kind, key))),
      );
      expect(folders.flat().length).toBeGreaterThanOrEqual(name === 'QEMU' ? 2 : 1);
      const another = ['--reuid=70500', '--regid=70500', '--clear-groups', 'ls'];
      for (const folder of folders.flat()) expect((await execa('setpriv', [...another, folder], { reject: false })).stderr).toContain('Permission denied');
    });

    test.runIf(name === 'QEMU')('is opened for its QEMU, which is told no name of it', async () => {
      const [pid = 0] = await findProcesses(sandbox.id);
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain('qemu');
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(cacheDir);
    });

    test('is built once, and found by its digest afterwards', async () => {
      const asked = registry.requests.length;
      await using again = await images().prepare(
        `${registry.address}/acme/tools@${digestOf(
          index([
            { image, architecture: 'arm64' },
            { image, architecture: 'amd64' },
          ]).manifest,
        )}`,
        building(),
      );

      expect(again.environment).toEqual({ PATH: '/opt/tools:/usr/bin:/bin', TOOLS_HOME: '/opt/tools' });
      expect(registry.requests.slice(asked).filter((line) => line.includes('/blobs/'))).toEqual([]);
    }, 120_000);

    test.skipIf(name === 'QEMU').each<[string, () => Promise<readonly Buffer[]>, Partial<GuestImagesOptions>, string]>([
      ['without a shell', () => Promise.resolve([tar([{ name: 'app', content: 'x', mode: 0o755 }])]), {}, 'it has no /bin/sh that runs here'],
      ['without bash', () => smallSystem({ without: ['/bin/bash'] }), {}, 'it has no bash that runs; the agent works with it'],
      [
        'without coreutils',
        () => smallSystem({ without: ['/usr/bin/realpath'] }),
        {},
        'it has no GNU coreutils, such as realpath, which are used to read and write files in it',
      ],
      ['too large unpacked', () => smallSystem(), { limits: { ...limits, maxUnpackedBytes: 2 ** 22 } }, 'unpacked, it is larger than is allowed here'],
    ])(
      '%s is refused, and nothing of it stays',
      async (what, layersOf, changes, why) => {
        registry.push('acme/tools', '2', layOut({ layers: await layersOf(), environment: [`WHAT=${what}`] }));

        await expect(images(changes).prepare(`${registry.address}/acme/tools:2`, building())).rejects.toMatchObject({
          code: 'image_unsuitable',
          details: { why },
        });
        expect((await readdir(join(cacheDir, 'named/images'))).filter((entry) => entry.includes('building'))).toEqual([]);
      },
      120_000,
    );

    test.skipIf(name === 'QEMU')(
      'that is not ready in time is tried again later; waiting for another run is nobody’s time',
      async () => {
        registry.push('acme/tools', '4', layOut({ layers: await smallSystem(), environment: ['NUMBER=4'] }));
        const prepare = (timeoutMs: number) => images({ timeoutMs }).prepare(`${registry.address}/acme/tools:4`, building());

        await expect(prepare(1000)).rejects.toMatchObject({ code: 'image_unavailable', details: { why: 'it was not ready within 0 minutes' } });
        expect((await readdir(join(cacheDir, 'named/images'))).filter((entry) => entry.includes('building'))).toEqual([]);

        const waiting = Promise.withResolvers<void>();
        const onProgress = (line: string): void => void (line.includes('waiting') && waiting.resolve());
        const first = prepare(600_000);
        await expect
          .poll(async () => (await readdir(join(cacheDir, 'named/images'))).some((entry) => entry.includes('building')), { timeout: 60_000 })
          .toBe(true);
        const second = images({ timeoutMs: 1 }).prepare(`${registry.address}/acme/tools:4`, { ...building(), onProgress });
        await waiting.promise;
        for (const held of await Promise.all([first, second])) await held[Symbol.asyncDispose]();
      },
      120_000,
    );

    test.skipIf(name === 'QEMU')(
      'is built by one of two that need it at once; the least recently used go',
      async () => {
        registry.push('acme/tools', '3', layOut({ layers: await smallSystem(), environment: ['NUMBER=3'] }));
        const asked = registry.requests.length;
        const prepare = () => images({ kept: 1 }).prepare(`${registry.address}/acme/tools:3`, building());
        const [one, other] = await Promise.all([prepare(), prepare()]);
        await using _held = one;

        expect(one.key).toBe(other.key);
        const layers = registry.requests.slice(asked).filter((line) => line.startsWith('GET') && line.includes('/blobs/'));
        expect(layers.length).toBe(new Set(layers).size + 1); // the configuration is read twice, by whoever copies
        // A run works in the other, whose packed file is in nobody's arguments.
        expect((await readdir(join(cacheDir, 'named/images'))).toSorted()).toEqual([one.key, prepared.key].toSorted());
        await prepared[Symbol.asyncDispose]();
        await other[Symbol.asyncDispose]();
        await using again = await prepare();
        expect(await readdir(join(cacheDir, 'named/images'))).toEqual([again.key]);
      },
      120_000,
    );
  });
}
