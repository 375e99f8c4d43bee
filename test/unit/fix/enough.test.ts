import { expect, it } from 'vitest';
import { countVisible } from '../../../src/fix/enough.ts';

it.each([
  ['what a person reads', 'Crash', ['It is  here.\n\n'], 16],
  ['no comment, no tag, no character that nobody sees', 'Cr\u200bash', ['<!-- a secret wish --><p>Here</p>\u{E0041}'], 9],
  ['a character beyond the first plane as one', '😀', [''], 1],
  ['nothing in nothing', ' \n', ['', ' '], 0],
])('counts %s', (_name, title, markdown, count) => {
  expect(countVisible(title, ...markdown)).toBe(count);
});
