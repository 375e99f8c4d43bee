import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseBatch, parseRaw } from '../../../src/fix/patch.ts';

const sha = (content: string): string => createHash('sha1').update(`blob ${content.length}\0${content}`).digest('hex');
const zero = '0'.repeat(40);
const raw = (...lines: string[]): Buffer => Buffer.from(lines.map((line) => `${line}\0`).join(''), 'latin1');

describe('parseRaw', () => {
  it('reads written, executable and deleted paths, odd characters included', () => {
    const entries = parseRaw(
      raw(
        `:100644 100644 ${zero} ${sha('a')} M`,
        'src/a b.js',
        `:000000 100755 ${zero} ${sha('b')} A`,
        'b\n"c',
        `:100644 000000 ${sha('x')} ${zero} D`,
        'gone',
      ),
    );

    expect(entries).toEqual([
      { path: 'src/a b.js', mode: '100644', sha: sha('a') },
      { path: 'b\n"c', mode: '100755', sha: sha('b') },
      { path: 'gone', mode: '000000', sha: zero },
    ]);
  });

  it('makes of a path that is not UTF-8 one that cannot be taken for another', () => {
    expect(parseRaw(raw(`:000000 100644 ${zero} ${zero} A`, 'caf\xe9'))[0]?.path).toContain('\\not-utf-8');
  });

  it.each([
    ['a cut list', Buffer.from(`:100644 100644 ${zero} ${zero} M`)],
    ['a missing path', raw(`:100644 100644 ${zero} ${zero} M`)],
    ['a rename line', raw(`:100644 100644 ${zero} ${zero} R100`, 'a', 'b')],
    ['words', raw('hello', 'world')],
    ['a path twice', raw(`:000000 100644 ${zero} ${zero} A`, 'a', `:100644 000000 ${zero} ${zero} D`, 'a')],
  ])('refuses %s', (_name, bytes) => {
    expect(() => parseRaw(bytes)).toThrow(expect.objectContaining({ code: 'patch_unreadable' }));
  });
});

describe('parseBatch', () => {
  const frame = (content: string, name = sha(content)): string => `${name} blob ${content.length}\n${content}\n`;

  it('returns each blob by its name', () => {
    const blobs = parseBatch(Buffer.from(frame('one\n') + frame('') + frame('two')));

    expect([...blobs.values()].map(String)).toEqual(['one\n', '', 'two']);
  });

  it.each([
    ['a blob that does not hash to its name', frame('one', sha('two'))],
    ['a missing object', `${zero} missing\n`],
    ['a size past the end', `${sha('one')} blob 1000\none\n`],
    ['a huge size', `${sha('one')} blob 99999999999\none\n`],
    ['a tree', `${sha('one')} tree 3\none\n`],
  ])('refuses %s', (_name, text) => {
    expect(() => parseBatch(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'patch_unreadable' }));
  });
});
