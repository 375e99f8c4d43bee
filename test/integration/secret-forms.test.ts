/** The search for secrets, by what it has to find: each form, wherever in a longer text it stands. */
import { expect, test } from 'vitest';
import { searchText } from '../support/search-vm.ts';
import { formsOf } from '../support/secret-forms.ts';

const secret = 'model-key/5cf1+d3a2';
const words = formsOf(secret);
const within = (text: string): Buffer => Buffer.from(`before ${text} after`);

test.each([
  ['plain', within(secret)],
  ...['', 'x', 'xy'].map((before): [string, Buffer] => [
    `base64 after ${before.length} bytes`,
    within(Buffer.from(`${before}${secret}more`).toString('base64')),
  ]),
  ['base64 of the other alphabet', within(Buffer.from(`x:${secret}`).toString('base64url'))],
  ['hexadecimal', within(Buffer.from(secret).toString('hex'))],
  ['URL-encoded', within(encodeURIComponent(secret))],
  ['reversed', within(Buffer.from(Buffer.from(secret).toReversed()).toString())],
  ['among zero bytes', Buffer.concat([Buffer.alloc(5000), Buffer.from(secret), Buffer.alloc(5000)])],
])('%s is found', async (_form, content) => {
  expect(await searchText(content, { words })).toHaveLength(1);
});

test('another secret is not', async () => {
  expect(await searchText(within('model-key/5cf1+d3a3'), { words })).toEqual([]);
});
