/** Reads a request's body up to a limit, before anything is known about who sends it. */
import type { IncomingMessage } from 'node:http';

/** The body; or null when it is larger than the limit, in which case the rest of it is still on its way. */
export async function readBody(request: IncomingMessage, limitBytes: number, onBytes: (count: number) => void): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) return null;
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop must not destroy the socket: the answer still has to go out on it.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limitBytes) return null;
    chunks.push(chunk);
    onBytes(chunk.length);
  }
  return Buffer.concat(chunks, length);
}

/** Text whose UTF-8 form is exactly these bytes, or null. Otherwise several bodies would share one signature. */
export function exactText(body: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}
