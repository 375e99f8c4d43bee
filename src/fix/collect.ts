/**
 * Bounded sinks for what a VM sends: the size is checked before anything is kept.
 */
import { Writable } from 'node:stream';

export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/** A writable that keeps at most `maxBytes` and fails with TooLarge at the first byte more. */
export function collect(maxBytes: number): Writable & { bytes(): Buffer } {
  const chunks: Buffer[] = [];
  let size = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > maxBytes) return done(new TooLarge());
      chunks.push(chunk);
      done();
    },
  });
  return Object.assign(sink, { bytes: () => Buffer.concat(chunks) });
}
