/** HTTP/2 written by hand (RFC 9113, RFC 7541), so that a test can also write what no library would. */

type Header = readonly [name: string, value: string];

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const types = { data: 0, headers: 1, reset: 3, settings: 4, goAway: 7 } as const;
const endStream = 1;
const endHeaders = 4;

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** RFC 7541 5.2, not compressed; the length has seven bits and what goes beyond them in further bytes. */
function text(content: string): Buffer {
  const bytes = Buffer.from(content, 'latin1');
  const length = [Math.min(bytes.length, 127)];
  for (let rest = bytes.length - 127; rest >= 0; rest = rest < 128 ? -1 : Math.floor(rest / 128)) length.push(rest < 128 ? rest : 128 + (rest % 128));
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Each by its full name, in no table (RFC 7541 6.2.2). */
const block = (headers: readonly Header[]): Buffer => Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));

/** A whole connection with one request. Its end is the client's word that nothing else follows, so it closes when that is answered. */
export function http2Request(headers: readonly Header[], body: string | null = null, trailers: readonly Header[] | null = null): Buffer {
  const head = frame(types.headers, endHeaders + (body === null && trailers === null ? endStream : 0), 1, block(headers));
  const data = body === null ? [] : [frame(types.data, trailers === null ? endStream : 0, 1, Buffer.from(body))];
  const tail = trailers === null ? [] : [frame(types.headers, endHeaders + endStream, 1, block(trailers))];
  return Buffer.concat([preface, frame(types.settings, 0, 0), head, ...data, ...tail, frame(types.goAway, 0, 0, Buffer.alloc(8))]);
}

/** What came of it: the text of the answer, the number of the error that it ended with, or that the connection was cut. */
export function readHttp2Answer(bytes: Buffer): string {
  let body = '';
  let isAnswered = false;
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const payload = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3));
    const type = bytes[at + 3];
    isAnswered ||= type === types.headers;
    if (type === types.data) body += payload.toString();
    if (type === types.reset) return `reset ${payload.readUInt32BE(0)}`;
    if (type === types.goAway && payload.readUInt32BE(4) !== 0) return `connection error ${payload.readUInt32BE(4)}`;
  }
  return isAnswered ? body.trim() : 'no answer';
}
