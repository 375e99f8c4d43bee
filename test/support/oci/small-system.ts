/** A small Linux system as layers, out of packages of the guest template: a shell and its tools, no git, no sshd, no sudo. */
import { join } from 'node:path';
import { readFile, readdir } from 'node:fs/promises';
import { execa } from 'execa';
import { templateRootfs } from '../template.ts';
import { tar } from './layers.ts';

const packages = ['bash', 'dash', 'coreutils', 'grep', 'sed', 'findutils', 'diffutils', 'libc6', 'libtinfo6', 'libacl1', 'libattr1', 'libselinux1'];
const libraries = ['libpcre2-8-0', 'libgmp10', 'libssl3', 'libgcc-s1', 'zlib1g'];
const links = ['bin', 'sbin', 'lib', 'lib64'];

/** Two layers: the links between folders, then files, whose paths lead through them. */
export async function smallSystem({ without = [] }: { readonly without?: readonly string[] } = {}): Promise<readonly Buffer[]> {
  if (templateRootfs === undefined) throw new Error('there is no template to take a system from');
  const info = join(templateRootfs, 'var/lib/dpkg/info');
  const lists = (await readdir(info)).filter((name) => [...packages, ...libraries].some((one) => [`${one}.list`, `${one}:amd64.list`].includes(name)));
  const files = (await Promise.all(lists.map((name) => readFile(join(info, name), 'utf8')))).flatMap((text) => text.split('\n'));
  const wanted = files.filter((path) => path.length > 2 && !path.startsWith('/usr/share/') && !without.includes(path) && !links.includes(path.slice(1)));
  const argv = ['--create', '--no-recursion', '--ignore-failed-read', '--null', '--files-from=-', '--sort=name', '--mtime=@1700000000'];
  const { stdout } = await execa('tar', argv, {
    cwd: templateRootfs,
    input: [...new Set(wanted)].map((path) => `.${path}`).join('\0'),
    encoding: 'buffer',
    reject: false,
    maxBuffer: 200_000_000,
  });
  const folders = tar([
    ...links.map((name) => ({ name, kind: 'symlink', target: `usr/${name}` }) as const),
    ...links.map((name) => ({ name: `usr/${name}`, kind: 'folder' }) as const),
  ]);
  return [folders, Buffer.from(stdout)];
}
