import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { createBlockSink } from '../../../src/sandbox/image-builder.ts';

const blockBytes = 2 ** 16;

function frame(number: number, fill: string): Buffer {
  const bytes = Buffer.alloc(4 + blockBytes, fill);
  bytes.writeUInt32BE(number);
  return bytes;
}

async function receive(sizeBytes: number, chunks: readonly Buffer[]): Promise<readonly [number, string][] | string> {
  const written: [number, string][] = [];
  const write = (buffer: Uint8Array, offset: number, length: number, position: number) => {
    written.push([position, Buffer.from(buffer).toString('latin1', offset, offset + 1)]);
    return Promise.resolve({ bytesWritten: length, buffer });
  };
  const sink = createBlockSink({ write } as Parameters<typeof createBlockSink>[0], sizeBytes);
  const over = finished(sink).then(
    () => written,
    (error: { details?: { why?: string } }) => error.details?.why ?? 'failed',
  );
  for (const chunk of chunks) sink.write(chunk);
  sink.end();
  return await over;
}

describe('a file that comes out of a VM in blocks', () => {
  it('is put together at the places that are named, however it is cut', async () => {
    const bytes = Buffer.concat([frame(0, 'a'), frame(5, 'b'), frame(2, 'c')]);
    const expected = [
      [0, 'a'],
      [5 * blockBytes, 'b'],
      [2 * blockBytes, 'c'],
    ];

    expect(await receive(6 * blockBytes, [bytes])).toEqual(expected);
    expect(await receive(5 * blockBytes + 1, [bytes.subarray(0, 3), bytes.subarray(3, 70_000), bytes.subarray(70_000)])).toEqual(expected);
    expect(await receive(1, [])).toEqual([]);
  });

  it('cannot be larger than it said, in place or in amount', async () => {
    expect(await receive(6 * blockBytes, [frame(6, 'a')])).toBe('its file system is not what it said');
    expect(await receive(blockBytes, [frame(4_294_967_295, 'a')])).toBe('its file system is not what it said');
    expect(await receive(2 * blockBytes, [frame(0, 'a'), frame(0, 'b'), frame(1, 'c')])).toBe('its file system is not what it said');
  });

  it('is not taken when it is cut short', async () => {
    expect(await receive(6 * blockBytes, [frame(0, 'a').subarray(0, 1000)])).toBe('its file system was cut short');
  });
});
