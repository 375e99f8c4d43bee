import { describe, expect, it } from 'vitest';
import { fitText, folded } from '../../../src/fix/fit-text.ts';

describe('fitText', () => {
  const parts = ['<!-- mark -->', 'first', ...folded('One', ['x'.repeat(300)]), ...folded('Two', ['y'.repeat(300)]), 'z'.repeat(300), '<sub>run</sub>'];

  it('changes nothing where there is room', () => {
    expect(fitText(parts)).toBe(parts.join('\n'));
  });

  it('leaves out what is folded, the last of it first, then what is longest', () => {
    expect(fitText(parts, 900)).toBe(parts.join('\n').replace(/<details><summary>Two[^]*?<\/details>/, '_Left out: GitHub takes no longer text._'));
    expect(fitText(parts, 600)).toContain('z'.repeat(300));
    expect(fitText(parts, 600)).not.toMatch(/xxx|yyy/);
    expect(fitText(parts, 300)).toContain('first');
    expect(fitText(parts, 300)).not.toContain('zzz');
  });

  it('keeps marks and the footer, whatever happens to the rest', () => {
    expect(fitText([...parts, ...Array.from({ length: 5000 }, () => 'short')], 100).replace(/\n+/g, '\n')).toMatch(/^<!-- mark -->\n[^]*<sub>run<\/sub>\n$/);
  });
});
