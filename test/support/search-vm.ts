/**
 * Looks for words in all that this host has of one VM: the files of its directory, what its processes have in memory
 * and hold open, their arguments and environments. Needs root.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, readdir, readlink, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { findProcesses } from '../../src/sandbox/claim.ts';

/** What grep takes: texts as they are, or one extended regular expression. It travels by a file, never by an argument. */
export type Wanted = { readonly words: readonly string[] } | { readonly pattern: string };

export interface VmFindings {
  /** In the files below its directory, or in their names. */
  readonly disk: readonly string[];
  /** In the memory of its processes, in what they hold open, in their arguments and environments. */
  readonly memory: readonly string[];
  /** How much was looked at, for a test that it was anything. */
  readonly memoryMib: number;
}

export async function searchVm(id: string, directory: string, wanted: Wanted): Promise<VmFindings> {
  const memory = await openSearch(wanted);
  for (const pid of await findProcesses(id)) {
    for (const name of ['cmdline', 'environ']) await memory.look(await readFile(`/proc/${pid}/${name}`).catch(() => Buffer.alloc(0)));
    for await (const bytes of memoryOf(pid)) await memory.look(bytes);
  }
  for await (const bytes of openFilesOf(await findProcesses(id))) await memory.look(bytes);
  const { found, bytes } = await memory.end();
  return { disk: await searchDirectory(directory, wanted), memory: found, memoryMib: bytes / 2 ** 20 };
}

/** Contents and names of all files below it, without the holes in them. */
export async function searchDirectory(directory: string, wanted: Wanted): Promise<readonly string[]> {
  const search = await openSearch(wanted);
  // A file that changes while it is read, and a socket, are no failures here.
  const tar = spawn('tar', ['--create', '--sparse', '--hole-detection=seek', '--file=-', `--directory=${directory}`, '.'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  for await (const bytes of tar.stdout) await search.look(bytes as Buffer);
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
const presentBit = 1n << 63n;

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

const zeroByte = Buffer.alloc(1);

async function* presentRuns(pagemap: FileHandle, from: number, to: number): AsyncGenerator<[number, number]> {
  let start: number | null = null;
  for (let at = from; at < to; at += chunkBytes * pageBytes) {
    const pages = Math.min(chunkBytes, (to - at) / pageBytes);
    const { buffer } = await pagemap.read(Buffer.alloc(pages * 8), 0, pages * 8, (at / pageBytes) * 8);
    for (let page = 0; page < pages; page += 1) {
      const address = at + page * pageBytes;
      const isPresent = (buffer.readBigUInt64LE(page * 8) & presentBit) !== 0n;
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

/** Regular files and memory files that these processes hold open for writing, also those without a name. */
async function* openFilesOf(pids: readonly number[]): AsyncGenerator<Buffer> {
  const seen = new Set<string>();
  for (const pid of pids) {
    for (const name of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const path = `/proc/${pid}/fd/${name}`;
      const facts = await stat(path).catch(() => null);
      const flags = /^flags:\s+0*(\d+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/${name}`, 'utf8').catch(() => ''))?.[1] ?? '0';
      if (!facts?.isFile() || (Number.parseInt(flags, 8) & 3) === 0 || (await readlink(path)).startsWith('/proc/')) continue;
      const key = `${facts.dev}:${facts.ino}`;
      if (seen.has(key)) continue;
      seen.add(key);
      yield* readFileWithoutHoles(path);
    }
  }
}

async function* readFileWithoutHoles(path: string): AsyncGenerator<Buffer> {
  await using handle = await open(path);
  const { size } = await handle.stat();
  const zeros = Buffer.alloc(chunkBytes);
  for await (const bytes of readRange(handle, 0, size)) yield bytes.equals(zeros) ? zeroByte : bytes;
}
