/**
 * Keeps the first and the last half of an output of any length, in bounded memory. What a command says first
 * (what it does) and last (how it ended) is what people and models need.
 */

export interface Clip {
  write(chunk: Uint8Array): void;
  /** The text so far. Where something was left out a line says how much. */
  read(): { readonly text: string; readonly clippedBytes: number };
}

export function createClip(maxBytes: number): Clip {
  const headBytes = Math.ceil(maxBytes / 2);
  const head: Uint8Array[] = [];
  const tail = createTail(maxBytes - headBytes);
  let total = 0;
  return {
    write(chunk) {
      const missing = Math.max(0, headBytes - total);
      // Copied: a slice would keep the whole packet that it was cut from.
      if (missing > 0) head.push(Uint8Array.from(chunk.subarray(0, missing)));
      tail.write(chunk.subarray(missing));
      total += chunk.length;
    },
    read() {
      const start = Buffer.concat(head);
      const end = tail.read();
      if (start.length + end.length === total) return { text: Buffer.concat([start, end]).toString('utf8'), clippedBytes: 0 };
      const first = start.subarray(0, wholeCharactersEnd(start));
      const last = end.subarray(wholeCharactersStart(end));
      const clippedBytes = total - first.length - last.length;
      return { text: `${first.toString('utf8')}\n[${clippedBytes} bytes left out]\n${last.toString('utf8')}`, clippedBytes };
    },
  };
}

/** The last `size` bytes written, in a ring that is made at the first byte. */
export function createTail(size: number): { write(chunk: Uint8Array): void; read(): Buffer } {
  let ring: Buffer | null = null;
  let written = 0;
  return {
    write(chunk) {
      if (size === 0 || chunk.length === 0) return;
      ring ??= Buffer.allocUnsafe(size);
      const kept = chunk.subarray(Math.max(0, chunk.length - size));
      const at = (written + chunk.length - kept.length) % size;
      const untilEnd = Math.min(kept.length, size - at);
      ring.set(kept.subarray(0, untilEnd), at);
      ring.set(kept.subarray(untilEnd), 0);
      written += chunk.length;
    },
    read() {
      if (!ring) return Buffer.alloc(0);
      if (written <= size) return ring.subarray(0, written);
      const at = written % size;
      return Buffer.concat([ring.subarray(at), ring.subarray(0, at)]);
    },
  };
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Where to cut so that no UTF-8 character is broken at the end. */
function wholeCharactersEnd(bytes: Uint8Array): number {
  let start = bytes.length - 1;
  while (start > bytes.length - 4 && isContinuation(bytes[start])) start -= 1;
  const lead = bytes[start] ?? 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return start >= 0 && start + length > bytes.length ? start : bytes.length;
}

/** How many bytes at the start belong to a character that began before. */
function wholeCharactersStart(bytes: Uint8Array): number {
  let count = 0;
  while (count < 3 && isContinuation(bytes[count])) count += 1;
  return count;
}
