/** What a command says, as it comes: its beginning and end to show, all of it within bounds to keep in a file of the guest. */
import { Writable } from 'node:stream';
import { FixError } from '../errors.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { plainText } from './clip.ts';
import type { Ends } from './clip.ts';

/** Cleaning hostile text takes time, so only this much of either end is looked at. */
const endBytes = 128 * 1024;
const maxKeptBytes = 8 * 1024 * 1024;
/** Of all files of one agent, so that its own outputs do not fill its disk. */
const maxFilesBytes = 256 * 1024 * 1024;
/** A program that asks and is not answered says nothing more; one that still works after such a line does, sooner or later. */
const promptSilenceMs = 30_000;

export interface Output {
  readonly sink: Writable;
  /** The first and the last of it, and how much lies between. */
  ends(): Ends;
  /** From the first byte; past the bound, the end follows after a line that says what is missing. */
  whole(): Buffer;
  /** No `onPrompt` any more. */
  stop(): void;
}

/** `onPrompt` is called once a question for a person has stood unanswered at the end of the output for a while. */
export function createOutput(onPrompt: () => void): Output {
  const head = createHead(maxKeptBytes);
  const tail = createTail(endBytes);
  let [totalBytes, lineEnds] = [0, 0];
  let timer: NodeJS.Timeout | undefined;
  const take = (chunk: Buffer): void => {
    totalBytes += chunk.length;
    lineEnds += countLineEnds(chunk);
    head.add(chunk);
    tail.add(chunk);
    clearTimeout(timer);
    if (asksForInput(tail.last(200))) timer = setTimeout(onPrompt, promptSilenceMs);
  };
  return {
    sink: new Writable({ write: (chunk: Buffer, _encoding, done) => (take(chunk), done()) }),
    ends() {
      const all = head.read();
      if (totalBytes <= 2 * endBytes) return { head: plainText(all.toString('utf8')), tail: null, hiddenLines: 0, hiddenCharacters: 0 };
      const [first, last] = [all.subarray(0, endBytes), tail.last(endBytes)];
      const hiddenLines = Math.max(0, lineEnds - countLineEnds(first) - countLineEnds(last) - 1);
      return { head: plainText(first.toString('utf8')), tail: plainText(last.toString('utf8')), hiddenLines, hiddenCharacters: totalBytes - 2 * endBytes };
    },
    whole() {
      const all = head.read();
      if (totalBytes <= all.length) return all;
      const end = tail.last(Math.min(endBytes, totalBytes - all.length));
      return Buffer.concat([all, Buffer.from(`\n[... ${totalBytes - all.length - end.length} bytes left out ...]\n`), end]);
    },
    stop: () => clearTimeout(timer),
  };
}

/** The first bytes, copied into one piece: a program may write one byte at a time. */
function createHead(most: number): { add(chunk: Buffer): void; read(): Buffer } {
  let bytes = Buffer.alloc(0);
  let used = 0;
  return {
    add(chunk) {
      const part = chunk.subarray(0, most - used);
      if (used + part.length > bytes.length) bytes = Buffer.concat([bytes.subarray(0, used)], Math.min(most, Math.max(4096, 2 * (used + part.length))));
      bytes.set(part, used);
      used += part.length;
    },
    read: () => bytes.subarray(0, used),
  };
}

/** The last bytes; moved to the front of their place only when it is full. */
function createTail(most: number): { add(chunk: Buffer): void; last(count: number): Buffer } {
  let bytes = Buffer.alloc(0);
  let used = 0;
  return {
    add(chunk) {
      if (bytes.length === 0) bytes = Buffer.alloc(2 * most);
      const part = chunk.subarray(-most);
      if (used + part.length > bytes.length) {
        bytes.copyWithin(0, used - most, used);
        used = most;
      }
      bytes.set(part, used);
      used += part.length;
    },
    last: (count) => bytes.subarray(Math.max(0, used - count), used),
  };
}

function countLineEnds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count += 1;
  return count;
}

const prompts = [
  /[[(]y(?:es)?\/n(?:o)?[^\])]{0,20}[\])]\W{0,4}$/i,
  /(?:\((?:y|yes)\)|\b(?:continue|proceed|overwrite|are you sure)[^?]{0,60}\?)\W{0,4}$/i,
  /(?:password|passphrase|user ?name|login)[^:]{0,80}:\s*$/i,
  /press (?:any key|enter|return)[^.]{0,60}\W{0,4}$/i,
  /^(?:>>>|\.\.\.|\((?:i?pdb|gdb|lldb|rdbg)\)|(?:debug|ipdb|sqlite|mysql|ftp|node)>|>)\s*$/i,
];

/** The last line, when it has no end, reads like a question of one of the usual programs. */
function asksForInput(last: Buffer): boolean {
  const end = last.toString('utf8');
  const line = plainText(end.slice(end.lastIndexOf('\n') + 1));
  return prompts.some((prompt) => prompt.test(line));
}

/** Keeps whole outputs in the guest: the path, or null when there is no room for it. */
export type KeepOutput = (sandbox: Sandbox, whole: Buffer, signal: AbortSignal) => Promise<string | null>;

/** `scratch` is the beginning of the paths. */
export function createOutputFiles(scratch: string): KeepOutput {
  let [count, bytes] = [0, 0];
  return async (sandbox, whole, signal) => {
    if (bytes + whole.length > maxFilesBytes || signal.aborted) return null;
    const path = `${scratch}-output-${(count += 1)}.txt`;
    bytes += whole.length;
    try {
      await sandbox.put(path, whole, { signal });
      return path;
    } catch (thrown) {
      if (thrown instanceof FixError && thrown.code.startsWith('guest_')) return null;
      throw thrown;
    }
  };
}
