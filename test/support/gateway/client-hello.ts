/** TLS hellos made by hand, so that a test can also make wrong ones. */

function block(width: number, content: Buffer): Buffer {
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}

export function nameExtension(...names: readonly string[]): Buffer {
  const entries = names.map((name) => Buffer.concat([Buffer.from([0]), block(2, Buffer.from(name))]));
  return Buffer.concat([Buffer.from([0, 0]), block(2, block(2, Buffer.concat(entries)))]);
}

/** A ClientHello message without its record. */
export function helloMessage(extensions: readonly Buffer[] | null): Buffer {
  const parts = [Buffer.from([3, 3]), Buffer.alloc(32, 7), block(1, Buffer.alloc(32)), block(2, Buffer.from([0x13, 0x01])), block(1, Buffer.from([0]))];
  if (extensions) parts.push(block(2, Buffer.concat(extensions)));
  return Buffer.concat([Buffer.from([1]), block(3, Buffer.concat(parts))]);
}

export function record(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([22, 3, 1]), block(2, content)]);
}
