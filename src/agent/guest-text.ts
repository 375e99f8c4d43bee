/** Text files of the guest for the file tools. A path means something in the guest only; no file of the host is ever touched. */
import { posix } from 'node:path';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { ToolContext, ToolResult } from './tool.ts';
import { refuse } from './tool.ts';

const maxFileBytes = 1024 * 1024;
const workspace = '/workspace';

export const GuestPath = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => !path.includes('\0'), 'a path has no NUL character')
  .describe('Absolute, or relative to /workspace.');

/** Where a path leads: links are followed, so that writing changes the file and not the link to it. */
export async function resolvePath(path: string, { sandbox, signal }: ToolContext): Promise<string> {
  const absolute = posix.resolve(workspace, path);
  const result = await sandbox.exec(['realpath', '-m', '-z', '--', absolute], { signal, maxOutputBytes: 16 * 1024 });
  const real = result.stdout.split('\0')[0] ?? '';
  return result.exitCode === 0 && real.startsWith('/') ? real : absolute;
}

export type GuestText =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly result: ToolResult };

const readProblems: Partial<Record<ErrorCode, string>> = {
  guest_file_too_large: 'is larger than 1 MiB. Use bash (sed -n, grep, head) on it.',
  guest_file_failed: 'is not a regular file or may not be read. Look at it with bash (ls -la).',
};

/** The text of a file as it is, byte for byte. What is not UTF-8 text is refused. */
export async function readText(path: string, { sandbox, signal }: ToolContext): Promise<GuestText> {
  try {
    const bytes = await sandbox.get(posix.resolve(workspace, path), { maxBytes: maxFileBytes, signal });
    if (bytes.includes(0)) return { kind: 'refused', result: refuse(`${path} is a binary file (${bytes.length} bytes). Use bash on it.`) };
    return { kind: 'text', text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (thrown) {
    if (thrown instanceof TypeError) return { kind: 'refused', result: refuse(`${path} is not UTF-8 text. Use bash on it.`) };
    if (!(thrown instanceof FixError)) throw thrown;
    if (thrown.code === 'guest_file_missing') return { kind: 'missing' };
    const problem = readProblems[thrown.code];
    if (problem === undefined) throw thrown;
    return { kind: 'refused', result: refuse(`${path} ${problem}`) };
  }
}

/** Writes a file; a value when the guest could not. */
export async function writeText(path: string, text: string, { sandbox, signal }: ToolContext): Promise<ToolResult | null> {
  try {
    await sandbox.put(path, text, { signal });
    return null;
  } catch (thrown) {
    if (thrown instanceof FixError && thrown.code === 'guest_file_failed')
      return refuse(`${path} could not be written. Look at it and its directory with bash (ls -la).`);
    if (thrown instanceof FixError && thrown.code === 'guest_disk_full')
      return refuse('The disk of the virtual machine is full. Delete what you do not need (du -sh), then try again.');
    throw thrown;
  }
}

/** Lines with their numbers; `from` counts from 1. The bar shows where a line begins: models count its spaces. */
export function numberLines(lines: readonly string[], from: number): string {
  const width = String(from + lines.length).length;
  return lines.map((line, index) => `${String(from + index).padStart(width)}|${line}`).join('\n');
}
