/**
 * Looks for words in all that this host has of one VM: the files of its directory, what its processes have in memory
 * and hold open, their arguments and environments. Needs root.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { mkdtemp, open, readFile, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { findProcesses } from '../../src/sandbox/claim.ts';

/** What grep takes: texts as they are, or one extended regular expression. It travels by a file, never by an argument. */
export type Wanted = { readonly words: readonly string[] } | { readonly pattern: string };

export interface VmFindings {
  /** In the files below its directory, or in their names, or in what was below it and has no name any more. */
  readonly disk: readonly string[];
  /** In the memory of its processes, in what they hold open, in their arguments and environments. */
  readonly memory: readonly string[];
  /** How much was looked at, for a test that it was anything. */
  readonly memoryMib: number;
}

export async function searchVm(id: string, directory: string, wanted: Wanted): Promise<VmFindings> {
  const [disk, memory] = [await openSearch(wanted), await openSearch(wanted)];
  const pids = await findProcesses(id);
  for (const pid of pids) {
    for (const name of ['cmdline', 'environ']) await memory.look(await readFile(`/proc/${pid}/${name}`).catch(() => Buffer.alloc(0)));
    for await (const bytes of memoryOf(pid)) await memory.look(bytes);
  }
  const files = await openFilesOf(pids);
  await lookAtFiles(
    memory,
    files.filter(({ target }) => !target.startsWith(directory)).map(({ path }) => path),
  );
  await lookAtFiles(
    disk,
    files.filter(({ target }) => target.startsWith(directory)).map(({ path }) => path),
  );
  await lookAtFiles(disk, ['.'], directory);
  const { found, bytes } = await memory.end();
  return { disk: (await disk.end()).found, memory: found, memoryMib: bytes / 2 ** 20 };
}

/** Contents and names of all files below it, without the holes in them. */
export async function searchDirectory(directory: string, wanted: Wanted): Promise<readonly string[]> {
  const search = await openSearch(wanted);
  await lookAtFiles(search, ['.'], directory);
  return (await search.end()).found;
}

export async function searchText(content: string | Buffer, wanted: Wanted): Promise<readonly string[]> {
  const search = await openSearch(wanted);
  await search.look(Buffer.from(content));
  return (await search.end()).found;
}

interface Search {
  look(bytes: Buffer): Promise<void>;
  /** What was found, each once, in order. */
  end(): Promise<{ readonly found: readonly string[]; readonly bytes: number }>;
}

async function openSearch(wanted: Wanted): Promise<Search> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-search-'));
  const file = join(folder, 'wanted');
  await writeFile(file, 'words' in wanted ? wanted.words.join('\n') : wanted.pattern, { mode: 0o600 });
  const how = 'words' in wanted ? '--fixed-strings' : '--extended-regexp';
  // Memory is full of zero bytes: as ends of lines they keep lines short.
  const grep = spawn('grep', ['--text', '--null-data', '--only-matching', how, `--file=${file}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
  });
  const printed = text(grep.stdout.setEncoding('latin1'));
  const ended = once(grep, 'exit');
  let bytes = 0;
  return {
    async look(content) {
      bytes += content.length;
      if (!grep.stdin.write(content)) await once(grep.stdin, 'drain');
    },
    async end() {
      grep.stdin.end();
      const [exitCode] = (await ended) as [number | null];
      await rm(folder, { recursive: true, force: true });
      if (exitCode !== 0 && exitCode !== 1) throw new Error(`grep ended with ${exitCode}`);
      const words = (await printed).split('\0').filter((word) => word !== '');
      return { found: [...new Set(words)].toSorted(), bytes };
    },
  };
}

const pageBytes = 4096;
const chunkBytes = 2 ** 20;
const pagesAtOnce = 2 ** 17;
const zeroByte = Buffer.alloc(1);

/** The pages that a process has in memory; what it only could have is in the files that it maps. */
async function* memoryOf(pid: number): AsyncGenerator<Buffer> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
  await using handles = new AsyncDisposableStack();
  const [memory, pagemap] = await Promise.all(['mem', 'pagemap'].map((name) => open(`/proc/${pid}/${name}`).catch(() => null)));
  for (const handle of [memory, pagemap]) if (handle) handles.defer(() => handle.close());
  if (!memory || !pagemap) return; // it has ended
  for (const line of maps.split('\n')) {
    const [, from = '', to = '', rights = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? [];
    if (!rights.startsWith('r') || line.includes('[vsyscall]') || line.includes('[vvar')) continue;
    for await (const [start, end] of presentRuns(pagemap, Number.parseInt(from, 16), Number.parseInt(to, 16))) yield* readRange(memory, start, end);
    yield zeroByte;
  }
}

async function* presentRuns(pagemap: FileHandle, from: number, to: number): AsyncGenerator<[number, number]> {
  let start: number | null = null;
  for (let at = from; at < to; at += pagesAtOnce * pageBytes) {
    const pages = Math.min(pagesAtOnce, (to - at) / pageBytes);
    const { buffer } = await pagemap.read(Buffer.alloc(pages * 8), 0, pages * 8, (at / pageBytes) * 8);
    for (let page = 0; page < pages; page += 1) {
      const address = at + page * pageBytes;
      const isPresent = ((buffer[page * 8 + 7] ?? 0) & 0x80) !== 0; // bit 63 of 64, the lowest byte first
      if (isPresent) start ??= address;
      else if (start !== null) {
        yield [start, address];
        start = null;
      }
    }
  }
  if (start !== null) yield [start, to];
}

async function* readRange(handle: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  for (let at = from; at < to; at += chunkBytes) {
    const length = Math.min(chunkBytes, to - at);
    const read = await handle.read(Buffer.alloc(length), 0, length, at).catch(() => null); // a page of a device cannot be read
    if (read) yield read.buffer.subarray(0, read.bytesRead);
  }
}

interface OpenFile {
  /** Opens it, whatever became of its name. */
  readonly path: string;
  /** The name that it had. */
  readonly target: string;
}

/** Regular files and memory files that these processes can write, also those without a name. */
async function openFilesOf(pids: readonly number[]): Promise<readonly OpenFile[]> {
  const files = new Map<string, OpenFile>();
  for (const pid of pids) {
    for (const name of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const path = `/proc/${pid}/fd/${name}`;
      const facts = await stat(path).catch(() => null);
      const flags = /^flags:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/${name}`, 'utf8').catch(() => ''))?.[1] ?? '0';
      const isWritable = (Number.parseInt(flags, 8) & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
      if (facts?.isFile() && isWritable) files.set(`${facts.dev}:${facts.ino}`, { path, target: await readlink(path).catch(() => '') });
    }
  }
  return [...files.values()];
}

/** Contents and names, without the holes. A file that changes while it is read, and a socket, are no failures here. */
async function lookAtFiles(search: Search, paths: readonly string[], directory = '/'): Promise<void> {
  if (paths.length === 0) return;
  const options = ['--create', '--sparse', '--hole-detection=seek', '--dereference', '--absolute-names', '--file=-', `--directory=${directory}`];
  const tar = spawn('tar', [...options, ...paths], { stdio: ['ignore', 'pipe', 'ignore'] });
  for await (const bytes of tar.stdout) await search.look(bytes as Buffer);
}
