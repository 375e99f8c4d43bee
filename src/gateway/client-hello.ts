/** Reads the server name out of the first bytes of a TLS connection (RFC 8446 4.1.2, RFC 6066 3), without trusting a length. */

export type ServerName =
  | { readonly kind: 'more' }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'not_tls' };

/** A hello with post-quantum key shares is under 2 KiB. */
export const maxClientHelloBytes = 32_768;
/** A guest that sends a hello byte by byte must not make us parse thousands of records for each. */
const maxRecords = 8;

const notTls: ServerName = { kind: 'not_tls' };

/** Call again with more bytes while the answer is `more`. */
export function readServerName(bytes: Buffer): ServerName {
  const hello = readHandshake(bytes);
  if (!Buffer.isBuffer(hello)) return hello;
  try {
    return readHello(new Cursor(hello));
  } catch {
    return notTls;
  }
}

/** The ClientHello's body, put together from its records. */
function readHandshake(bytes: Buffer): Buffer | ServerName {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== 22 || (bytes[at + 1] ?? 3) !== 3) return notTls;
    if (bytes.length < at + 5) break;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > 16_384) return notTls;
    parts.push(bytes.subarray(at + 5, at + 5 + length));
    at += 5 + length;
    const whole = wholeHandshake(Buffer.concat(parts));
    if (whole) return whole;
    if (parts.length >= maxRecords) return notTls;
  }
  return bytes.length > maxClientHelloBytes ? notTls : { kind: 'more' };
}

function wholeHandshake(message: Buffer): Buffer | ServerName | null {
  if (message.length > 0 && message[0] !== 1) return notTls;
  if (message.length < 4) return null;
  const length = message.readUIntBE(1, 3);
  if (length > maxClientHelloBytes) return notTls;
  return message.length < 4 + length ? null : message.subarray(4, 4 + length);
}

function readHello(hello: Cursor): ServerName {
  hello.take(2 + 32);
  hello.block(1);
  hello.block(2);
  hello.block(1);
  if (hello.isAtEnd) return { kind: 'none' };
  const extensions = new Cursor(hello.block(2));
  const names: Buffer[] = [];
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const content = extensions.block(2);
    if (type === 0) names.push(content);
  }
  const [list] = names;
  if (!list) return { kind: 'none' };
  return names.length === 1 ? readNameList(new Cursor(new Cursor(list).block(2))) : notTls;
}

/** Exactly one entry, of type host_name: two names would leave the choice to the server. */
function readNameList(list: Cursor): ServerName {
  const type = list.number(1);
  const name = list.block(2).toString('latin1');
  return type === 0 && list.isAtEnd && name.length > 0 ? { kind: 'name', name } : notTls;
}

/** Moves over bytes and throws RangeError past their end. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('past the end');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  number(width: number): number {
    return this.take(width).readUIntBE(0, width);
  }

  /** What a length field of `width` bytes announces. */
  block(width: number): Buffer {
    return this.take(this.number(width));
  }
}
