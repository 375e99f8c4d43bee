import { describe, expect, it } from 'vitest';
import { clipLines, plainText } from '../../../src/agent/clip.ts';
import { processorMs } from '../../support/processor-time.ts';

describe('clipLines', () => {
  it('leaves a short text alone', () => {
    expect(clipLines('a\nb', 100)).toBe('a\nb');
  });

  it('keeps the first and the last lines and says how many are missing', () => {
    const lines = Array.from({ length: 1000 }, (_, index) => `line ${index}`);

    const clipped = clipLines(lines.join('\n'), 200).split('\n');

    expect(clipped[0]).toBe('line 0');
    expect(clipped.at(-1)).toBe('line 999');
    expect(clipped.find((line) => line.startsWith('[...'))).toBe(`[... ${1000 - (clipped.length - 1)} lines (8697 characters) left out ...]`);
    expect(clipped.join('\n').length).toBeLessThan(300);
  });

  it('shortens one endless line in its middle', () => {
    const clipped = clipLines(`start${'x'.repeat(300_000)}end`, 16_000);

    expect(clipped).toMatch(/^startx+\[\.\.\. 298008 characters left out \.\.\.\]x+end$/);
  });
});

describe('plainText', () => {
  it('takes out colours and control characters', () => {
    expect(plainText('\u001b[31mred\u001b[0m\u0007 \u0000tab\t')).toBe('red tab\t');
  });

  it('keeps of a progress bar what is left on the screen', () => {
    expect(plainText('10%\r50%\r100%\r\nnext\r')).toBe('100%\nnext');
  });

  it('stays fast on hostile output', async () => {
    const hostile = [
      '\r'.repeat(256_000),
      'x'.repeat(256_000),
      '\u001b['.repeat(128_000),
      '\u001b]'.repeat(128_000),
      '\u001b]x'.repeat(85_000),
      '\u001b[0'.repeat(85_000),
    ];

    expect(await processorMs(() => hostile.forEach((text) => clipLines(plainText(text), 16_000)))).toBeLessThan(3000);
  });
});
