import { describe, expect, it } from 'vitest';
import { isDirect } from '../../../src/gateway/no-proxy.ts';
import { parseAuthority } from '../../../src/gateway/target.ts';

function direct(noProxy: string | null, authority: string): boolean {
  const target = parseAuthority(authority, 443);
  if ('problem' in target) throw new Error(authority);
  return isDirect(noProxy, target);
}

describe('NO_PROXY', () => {
  it.each([
    ['npm.example.org', 'npm.example.org'],
    ['Example.ORG', 'npm.example.org'],
    ['.example.org', 'npm.example.org'],
    ['*.example.org', 'a.npm.example.org'],
    ['a.example, example.org', 'npm.example.org'],
    ['a.example\texample.org.', 'npm.example.org'],
    ['*', 'npm.example.org'],
    ['example.org:443', 'npm.example.org'],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '[2001:db8::1]'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['[2001:db8::1]:443', '[2001:db8::1]'],
  ])('%s names %s', (noProxy, authority) => {
    expect(direct(noProxy, authority)).toBe(true);
  });

  it.each([
    [null, 'npm.example.org'],
    ['', 'npm.example.org'],
    [',, ,', 'npm.example.org'],
    ['.', 'npm.example.org'],
    ['*.example.org', 'example.org'],
    ['.example.org', 'example.org'],
    ['ample.org', 'npm.example.org'],
    ['example.org:8443', 'npm.example.org'],
    ['org.example', 'npm.example.org'],
    ['2001:db8::2', '[2001:db8::1]'],
  ])('%s does not name %s', (noProxy, authority) => {
    expect(direct(noProxy, authority)).toBe(false);
  });
});
