import { describe, expect, it } from 'vitest';
import { visibleMarkdown, visibleText } from '../../../src/agent/visible.ts';
import { processorMs } from '../../support/processor-time.ts';

const marker = 'HIDDENMARK';
/** The marker in characters that no one sees, one for one. */
const asTags = Array.from(marker, (character) => String.fromCodePoint(0xe0000 + (character.codePointAt(0) ?? 0))).join('');
const asSelectors = Array.from(marker, (character) => String.fromCodePoint(0xe0100 + (character.codePointAt(0) ?? 0))).join('');
const asReferences = Array.from(asTags, (character) => `&#${character.codePointAt(0)};`).join('');

const hiddenMarkup: Readonly<Record<string, string>> = {
  'a comment in a line': `before <!-- ${marker} --> after`,
  'a comment as a block': `before\n\n<!-- ${marker}\n\n${marker} -->\n\nafter`,
  'a comment that never ends': `before\n\nafter\n\n<!-- ${marker}\n\n${marker}`,
  'a comment that ends in --!>': `before\n\n<!-- ${marker} --!>\n\nafter`,
  'a comment with dashes': `before\n\n<!---- ${marker} ---->\n\nafter`,
  'a comment in a list': `- before\n  <!-- ${marker} -->\n- after`,
  'a comment in a quote': `> before <!-- ${marker} -->\n\nafter`,
  'a declaration': `before <!DOCTYPE ${marker}> after`,
  'a processing instruction': `before <?${marker} x?> after`,
  'a CDATA section': `before\n\n<![CDATA[${marker}]]>\n\nafter`,
  'an attribute of a tag': `before <span title="${marker}">after</span>`,
  'an attribute with an angle bracket': `before\n\n<div title="a > ${marker}">\nafter\n</div>`,
  'an alt text in HTML': `before <img src="x" alt="${marker}"> after`,
  'a picture source': `before <picture><source media="${marker}"><img src="x"></picture> after`,
  'a script': `before\n\n<script>${marker}</script>\n\nafter`,
  'a style that never ends': `before after\n\n<style>\n${marker}`,
  'an image description': `before ![${marker}](x.png) after`,
  'an image title': `before ![x](x.png "${marker}") after`,
  'an image by reference': `before ![${marker}][r] after\n\n[r]: x.png`,
  'a link title': `before [after](http://x.test "${marker}")`,
  'a comment written as a definition': `before\n\n[//]: # (${marker})\n\nafter`,
  'an unused definition': `before\n\n[x]: http://x.test/${marker}\n\nafter`,
  'the title of a used definition': `before [after][x]\n\n[x]: http://x.test "${marker}"`,
  'the words behind the language of a fence': `before\n\n\`\`\`js ${marker}\nafter\n\`\`\``,
};

describe('visibleMarkdown', () => {
  for (const [title, source] of Object.entries(hiddenMarkup)) {
    it(`keeps out ${title}`, () => {
      const { text, dropped } = visibleMarkdown(source);

      expect(text).not.toContain(marker);
      expect(text).toContain('before');
      expect(text).toContain('after');
      expect(dropped.markup).toBeGreaterThan(0);
    });
  }

  for (const [title, spelled] of Object.entries({ asTags, asSelectors, asReferences })) {
    it(`keeps out and counts characters that spell a text unseen: ${title}`, () => {
      const { text, dropped } = visibleMarkdown(`before ${spelled} after`);

      expect(text).toBe('before  after');
      expect(dropped.characters).toBe(marker.length);
    });
  }

  it('leaves what is visible as it was, byte for byte', () => {
    const source = [
      '# Crash in `parse()`',
      'With **bold**, _italic_, ~~gone~~ and 5 < 6 && 7 > 3, see [docs](https://x.test/a?b=c).',
      '| a | b |\n| - | - |\n| 1 | 2 |',
      '> quoted\n> twice',
      '- [ ] one\n- [x] two\n  1. three',
      '```html\n<!-- shown --> <b title="shown">\n```',
      '    indented <code>',
      'Inline `<!-- shown -->`, a tab\tand 日本語, naïve, ❤️ 👩‍👩‍👧 1️⃣.',
    ].join('\n\n');

    expect(visibleMarkdown(source)).toEqual({ text: source, dropped: { characters: 0, markup: 0 } });
  });

  it('keeps what stands inside of a fold, since people put their logs there', () => {
    expect(visibleMarkdown('<details>\n<summary>Log</summary>\n\nTypeError: x\n\n</details>').text).toBe('Log\n\nTypeError: x');
  });

  it('cuts text that would take a parser minutes', { timeout: 10_000 }, async () => {
    const bombs = ['>'.repeat(65_536), 'a <!--'.repeat(10_000), '[a][b]'.repeat(10_000), 'a**b'.repeat(16_000), '['.repeat(65_536), '- '.repeat(32_000)];

    expect(await processorMs(() => bombs.forEach((bomb) => visibleMarkdown(bomb)))).toBeLessThan(8000);
  });
});

describe('visibleText', () => {
  const invisible = [
    '\u200b',
    '\u200d',
    '\u2060',
    '\u3164',
    '\u115f',
    '\uffa0',
    '\u200e',
    '\u202e',
    '\u2066',
    '\u00ad',
    '\u034f',
    '\ufeff',
    '\ufe0f',
    '\u{e0041}',
    '\u{e0100}',
    '\u2800',
    '\u0000',
    '\u001b',
    '\u009b',
    '\ue000',
    '\u{f0000}',
    '\ud800',
    '\u180e',
  ];
  for (const character of invisible) {
    it(`drops U+${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`, () => {
      expect(visibleText(`a${character}b`)).toEqual({ text: 'ab', dropped: { characters: 1, markup: 0 } });
    });
  }

  it('drops a joiner outside of an emoji and keeps it inside', () => {
    expect(visibleText('a\u200db 👩\u200d💻').text).toBe('ab 👩\u200d💻');
  });

  it('writes every kind of line end as a line feed', () => {
    expect(visibleText('a\r\nb\rc\u2028d').text).toBe('a\nb\nc\nd');
  });
});
