/** The transcript of a run: one JSON line a record, on disk before the next step begins, so that a crash loses nothing. */
import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Transcript } from './loop.ts';

/** Makes the directory and the file, readable by their owner only. `scrub` takes live secrets out of every line. */
export async function createTranscript(file: string, scrub: (text: string) => string): Promise<Transcript> {
  const append = (text: string): Promise<void> => appendFile(file, text, { mode: 0o600, flush: true });
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await append('');
  return {
    file,
    write: (record) => append(`${scrub(JSON.stringify({ at: new Date().toISOString(), ...record }))}\n`),
  };
}
