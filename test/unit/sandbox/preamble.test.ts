import { describe, expect, test } from 'vitest';
import { encodePreamble } from '../../../src/sandbox/preamble.ts';

describe('the preamble', () => {
  test('is the directory, the number of arguments, the arguments and the environment, each ended by NUL', () => {
    const preamble = encodePreamble({ argv: ['echo', '', 'a b'], cwd: '/work', env: { A: 'b=c', EMPTY: '' } });

    expect(Buffer.isBuffer(preamble) && preamble.toString()).toBe('/work\x003\0echo\0\0a b\0A=b=c\0EMPTY=\0');
  });

  test('has the length of its bytes, not of its characters', () => {
    expect(encodePreamble({ argv: ['ü'], cwd: '/', env: {} })).toHaveLength('/_1_ue_'.length);
  });

  test.each([
    ['no command', { argv: [] }],
    ['a NUL in an argument', { argv: ['a\0b'] }],
    ['a NUL in the directory', { cwd: '/\0' }],
    ['a NUL in the environment', { env: { A: '\0' } }],
    ['a name with an equals sign', { env: { 'A=B': 'c' } }],
    ['a name that is empty', { env: { '': 'c' } }],
    ['more than the supervisor takes', { argv: ['x'.repeat(1024 * 1024)] }],
  ])('refuses %s with a reason', (_name, part) => {
    expect(encodePreamble({ argv: ['true'], cwd: '/', env: {}, ...part })).toEqual({ problem: expect.any(String) });
  });
});
