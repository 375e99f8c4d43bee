import { describe, expect, test } from 'vitest';
import { createClip } from '../../../src/sandbox/clip.ts';

function clip(maxBytes: number, chunks: readonly (string | Uint8Array)[]): { text: string; clippedBytes: number } {
  const kept = createClip(maxBytes);
  for (const chunk of chunks) kept.write(Buffer.from(chunk));
  return kept.read();
}

describe('a clip', () => {
  test('keeps everything up to its limit', () => {
    expect(clip(10, ['01234', '56789'])).toEqual({ text: '0123456789', clippedBytes: 0 });
    expect(clip(10, [])).toEqual({ text: '', clippedBytes: 0 });
  });

  test('keeps the first and the last half past its limit, however the output is cut into chunks', () => {
    const text = 'abcdefghijklmnopqrstuvwxyz';
    for (const size of [1, 2, 3, 5, 7, 26]) {
      const chunks = Array.from({ length: Math.ceil(26 / size) }, (_, index) => text.slice(index * size, (index + 1) * size));
      expect(clip(10, chunks)).toEqual({ text: 'abcde\n[16 bytes left out]\nvwxyz', clippedBytes: 16 });
    }
  });

  test('keeps the odd byte at the beginning', () => {
    expect(clip(3, ['abcdef'])).toEqual({ text: 'ab\n[3 bytes left out]\nf', clippedBytes: 3 });
  });

  test('can keep nothing', () => {
    expect(clip(0, ['abc'])).toEqual({ text: '\n[3 bytes left out]\n', clippedBytes: 3 });
  });

  test('breaks no character at either cut and counts what it left out', () => {
    for (const character of ['ü', '€', '🦋']) {
      const bytes = Buffer.byteLength(character);
      for (let maxBytes = 2 * bytes; maxBytes < 4 * bytes; maxBytes += 1) {
        const { text, clippedBytes } = clip(maxBytes, [character.repeat(20)]);
        const [head = '', , tail = ''] = text.split('\n');
        expect(head + tail).toMatch(new RegExp(`^(${character})+$`, 'u'));
        expect(Buffer.byteLength(head + tail) + clippedBytes).toBe(20 * bytes);
      }
    }
  });

  test('takes bytes that are no text as they are', () => {
    const { text, clippedBytes } = clip(4, [new Uint8Array(100).fill(0x80)]);

    expect(text).toContain('bytes left out');
    expect(clippedBytes).toBeLessThanOrEqual(100);
  });

  test('keeps its own bytes, not the packets they came in', () => {
    const packet = Buffer.from('abc');
    const kept = createClip(10);
    kept.write(packet);
    packet.fill('x');

    expect(kept.read().text).toBe('abc');
  });
});
