/** Layers as hostile as they come, unpacked in a real guest: nothing gets out of the folder, sizes hold, whiteouts mean what they say. */
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unpackProgram } from '../../src/sandbox/image-builder.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import type { ExecResult, Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGvisor, openGuestHost, output } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { tar } from '../support/oci/layers.ts';
import type { Entry } from '../support/oci/layers.ts';

const program = '/root/unpack.py';

describe.skipIf(isSkipped('layers of images', await lacksForGvisor()))('a layer of an image', () => {
  let host: GuestHost;
  let sandbox: Sandbox;
  let count = 0;
  beforeAll(async () => {
    host = await openGuestHost(createOciProvider);
    sandbox = await host.boot();
    await sandbox.put(program, await readFile(unpackProgram), { user: 'root' });
  }, 300_000);
  afterAll(async () => {
    await sandbox?.dispose();
    await host?.close();
  });

  interface Unpacked {
    readonly last: ExecResult;
    readonly root: string;
    /** What is in it: a line each, with kind, mode, owner and what it links to. */
    readonly list: () => Promise<readonly string[]>;
  }

  async function unpackBytes(layers: readonly Buffer[], { format = 'gzip', maxBytes = 2 ** 20, maxFiles = 100 } = {}): Promise<Unpacked> {
    const root = `/var/tmp/unpack-${(count += 1)}/root`;
    let last: ExecResult | null = null;
    for (const layer of layers) {
      last = await sandbox.exec(['python3', program, 'layer', root, String(maxBytes), String(maxFiles), format], { user: 'root', cwd: '/', stdin: layer });
      if (last.exitCode !== 0) break;
    }
    if (last === null) throw new Error('no layer');
    const list = async () =>
      (await output(sandbox, `cd ${root} && find . -mindepth 1 -printf '%y %m %U %P %l\\n' | sort -k4`, 'root')).split('\n').map((line) => line.trim());
    return { last, root, list };
  }

  const unpack = async (...layers: readonly (readonly Entry[])[]): Promise<Unpacked> => await unpackBytes(layers.map((entries) => gzipSync(tar(entries))));

  test('becomes files, folders and links with modes, owners and times', async () => {
    const { last, list, root } = await unpack([
      { name: './usr/', kind: 'folder', mode: 0o755 },
      { name: 'usr/bin/tool', content: 'tool', mode: 0o4755, uid: 7 },
      { name: 'usr/bin/other', kind: 'link', target: './usr/bin/tool' },
      { name: 'bin', kind: 'symlink', target: 'usr/bin' },
      { name: '/bin/more', content: 'more' },
    ]);

    expect(last).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect(await list()).toEqual([
      'l 777 0 bin usr/bin',
      'd 755 0 usr',
      'd 755 0 usr/bin',
      'f 644 0 usr/bin/more',
      'f 4755 7 usr/bin/other',
      'f 4755 7 usr/bin/tool',
    ]);
    expect(await output(sandbox, `stat -c %Y ${root}/usr/bin/more; stat -c %h ${root}/usr/bin/tool`, 'root')).toBe('1700000000\n2');
  });

  test('takes away what its whiteouts name of earlier layers, and nothing of its own', async () => {
    const { last, list } = await unpack(
      [
        { name: 'a/gone', content: '1' },
        { name: 'a/stays', content: '1' },
        { name: 'b/old/deep', content: '1' },
        { name: 'b/file', content: '1' },
        { name: 'c', content: '1' },
      ],
      [
        { name: 'a/.wh.gone' },
        { name: 'b/new/file', content: '2' },
        { name: 'b/old/kept', content: '2' },
        { name: 'b/.wh..wh..opq' },
        { name: 'c', content: '2' },
        { name: '.wh.c' },
        { name: '.wh.never-there' },
      ],
    );

    expect(last).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect((await list()).map((line) => line.split(' ')[3])).toEqual(['a', 'a/stays', 'b', 'b/new', 'b/new/file', 'b/old', 'b/old/kept', 'c']);
  });

  test('replaces a folder by a file, a link by a folder, and never writes through what it replaces', async () => {
    const { last, list, root } = await unpack(
      [
        { name: 'folder/file', content: '1' },
        { name: 'target', content: 'untouched' },
        { name: 'link', kind: 'symlink', target: 'target' },
        { name: 'away', kind: 'symlink', target: 'folder' },
      ],
      [
        { name: 'folder', content: 'file' },
        { name: 'link', content: 'own' },
        { name: 'away/', kind: 'folder' },
      ],
    );

    expect(last).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect((await list()).map((line) => line.replace(/ \d+ 0 /, ' '))).toEqual(['d away', 'f folder', 'f link', 'f target']);
    expect(await output(sandbox, `cat ${root}/target`, 'root')).toBe('untouched');
  });

  test('has no devices and no pipes', async () => {
    const { last, list } = await unpack([{ name: 'dev/null', kind: 'device' }, { name: 'pipe', kind: 'pipe' }, { name: 'file' }]);

    expect(last.exitCode).toBe(0);
    expect((await list()).filter((line) => !line.startsWith('d'))).toEqual(['f 644 0 file']);
  });

  // Each writes, links, or takes away what is outside, if anything does.
  test.each<[string, readonly Entry[]]>([
    [
      'an absolute link to a folder',
      [
        { name: 'out', kind: 'symlink', target: '/etc' },
        { name: 'out/written', content: 'x' },
      ],
    ],
    [
      'a relative link upwards',
      [
        { name: 'out', kind: 'symlink', target: '../../../../../../etc' },
        { name: 'out/written', content: 'x' },
      ],
    ],
    [
      'a link to a link',
      [
        { name: 'a', kind: 'symlink', target: '/etc' },
        { name: 'b', kind: 'symlink', target: 'a/..' },
        { name: 'b/etc/written', content: 'x' },
      ],
    ],
    ['a whiteout through a link', [{ name: 'out', kind: 'symlink', target: '/etc' }, { name: 'out/.wh.passwd' }]],
    ['an opaque folder through a link', [{ name: 'out', kind: 'symlink', target: '/root' }, { name: 'out/.wh..wh..opq' }]],
    ['a hard link to a file outside', [{ name: 'out', kind: 'link', target: '/etc/passwd' }]],
    [
      'a hard link through a link',
      [
        { name: 'out', kind: 'symlink', target: '/etc' },
        { name: 'hard', kind: 'link', target: 'out/passwd' },
      ],
    ],
  ])('does not leave its folder by %s', async (_way, entries) => {
    const before = await output(sandbox, 'sha256sum /etc/passwd; ls -la /etc /root | sha256sum', 'root');
    const { last, root } = await unpack(
      [
        { name: 'etc/keep', content: '1' },
        { name: 'root/keep', content: '1' },
      ],
      entries,
    );

    expect([0, 3]).toContain(last.exitCode);
    expect(await output(sandbox, 'sha256sum /etc/passwd; ls -la /etc /root | sha256sum', 'root')).toBe(before);
    expect(await output(sandbox, `find ${root} -type f -links +1`, 'root')).toBe('');
  });

  test.each<[string, readonly Entry[]]>([
    ['a path', [{ name: '../../etc/written', content: 'x' }]],
    ['a path in the middle', [{ name: 'a/../../written', content: 'x' }]],
    ['a hard link', [{ name: 'out', kind: 'link', target: '../../../etc/passwd' }]],
    ['a whiteout', [{ name: '../.wh.root' }]],
  ])('that leads upwards by %s is refused', async (_way, entries) => {
    const { last } = await unpack(entries);

    expect(last.exitCode).toBe(3);
    expect(last.stdout.trim()).toBe('refused: it has a path that leads out of it');
  });

  test.each<[string, Entry]>([
    ['of the folder itself', { name: 'a/.wh..' }],
    ['of the folder above', { name: 'a/.wh...' }],
    ['of nothing', { name: 'a/.wh.' }],
  ])('with a whiteout %s is refused', async (_what, entry) => {
    expect((await unpack([{ name: 'a/b', content: '1' }], [entry])).last).toMatchObject({ exitCode: 3, stdout: 'refused: it has a whiteout of nothing\n' });
  });

  test('cannot grow beyond what is allowed, in bytes and in files, all layers together', async () => {
    const half = (name: string): readonly Entry[] => [{ name, content: Buffer.alloc(600_000) }];
    const many = (name: string): readonly Entry[] => Array.from({ length: 60 }, (_, index) => ({ name: `${name}${index}` }));

    expect((await unpack(half('a'), half('b'))).last).toMatchObject({ exitCode: 3, stdout: 'refused: unpacked, it is larger than is allowed here\n' });
    expect((await unpack(many('a'), many('b'))).last).toMatchObject({ exitCode: 3, stdout: 'refused: it has more files than is allowed here\n' });
  });

  test('that claims what it does not have, or is no archive, is refused', async () => {
    const broken = /^refused: one of its layers is broken/;

    expect((await unpack([{ name: 'a', content: 'x', claimedBytes: 900_000 }])).last.stdout).toMatch(broken);
    expect((await unpackBytes([Buffer.from('not an archive')])).last.stdout).toMatch(broken);
    expect((await unpackBytes([gzipSync(Buffer.alloc(4096, 'x'))])).last.stdout).toMatch(broken);
    expect((await unpack([{ name: 'a', content: '1' }], [{ name: 'a/b', kind: 'link', target: 'missing' }])).last.stdout).toMatch(broken);
  });

  test('comes as tar and as zstd too', async () => {
    const archive = tar([{ name: 'file', content: 'x' }]);
    const zstd = await sandbox.exec(['sh', '-c', 'zstd -q | base64 -w0'], { stdin: archive, cwd: '/' });

    expect(await (await unpackBytes([archive], { format: 'tar' })).list()).toEqual(['f 644 0 file']);
    expect(await (await unpackBytes([Buffer.from(zstd.stdout, 'base64')], { format: 'zstd' })).list()).toEqual(['f 644 0 file']);
  });
});
