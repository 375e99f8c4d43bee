import { describe, expect, it } from 'vitest';
import { chooseCredential, describeCredential, readCredentials, secretsOf } from '../../../src/gateway/credentials.ts';
import type { Credential } from '../../../src/gateway/credentials.ts';
import { parseRequestPath } from '../../../src/gateway/request-path.ts';
import { parseAuthority } from '../../../src/gateway/target.ts';

const entry = { host: 'npm.example.org', pathPrefix: '/private/', header: 'Authorization', value: 'Bearer t0ken-t0ken', repositories: ['Acme/App'] };

function read(...entries: readonly object[]): readonly Credential[] {
  const found = readCredentials(JSON.stringify(entries));
  if ('problem' in found) throw new Error(found.problem);
  return found.credentials;
}

function choose(credentials: readonly Credential[], method: string, url: string): string | null {
  const { host, pathname } = new URL(url);
  const target = parseAuthority(host, 443);
  const requestPath = parseRequestPath(url.slice(url.indexOf(pathname.slice(0, 2), 8)));
  if ('problem' in target || 'problem' in requestPath) throw new Error(url);
  return chooseCredential(credentials, { target, method, requestPath })?.value ?? null;
}

describe('credentials', () => {
  it.each([
    ['GET', 'https://npm.example.org/private/x', true],
    ['HEAD', 'https://npm.example.org/private', true],
    ['GET', 'https://npm.example.org/private/@a%2fb', true],
    ['POST', 'https://npm.example.org/private/x', false],
    ['GET', 'https://npm.example.org/privatex', false],
    ['GET', 'https://npm.example.org/private%2fx', false],
    ['GET', 'https://npm.example.org/%70rivate/x', false],
    ['GET', 'https://npm.example.org/', false],
    ['GET', 'https://npm.example.org:8443/private/x', false],
    ['GET', 'https://other.example.org/private/x', false],
  ])('go into %s %s: %s', (method, url, goes) => {
    expect(choose(read(entry), method, url)).toBe(goes ? entry.value : null);
  });

  it('are described without a word of their value', () => {
    const described = read(entry, { ...entry, host: 'npm.example.org:8443', pathPrefix: '/', methods: ['GET'] }).map(describeCredential);

    expect(described).toEqual(['GET, HEAD npm.example.org/private', 'GET npm.example.org:8443']);
  });

  it('are chosen by the longest prefix', () => {
    const credentials = read({ ...entry, pathPrefix: '/' }, { ...entry, pathPrefix: '/private/a', value: 'Bearer second-one' });

    expect(choose(credentials, 'GET', 'https://npm.example.org/private/a/b')).toBe('Bearer second-one');
    expect(choose(credentials, 'GET', 'https://npm.example.org/private/b')).toBe(entry.value);
  });

  it('have parts that are secret by themselves', () => {
    expect(secretsOf({ value: 'Bearer t0ken-t0ken' })).toEqual(['Bearer t0ken-t0ken', 't0ken-t0ken']);
    const basic = Buffer.from('me:hunter2hunter2').toString('base64');
    expect(secretsOf({ value: `Basic ${basic}` })).toEqual([`Basic ${basic}`, basic, 'me:hunter2hunter2', 'hunter2hunter2']);
  });

  it.each([
    ['no JSON', '[{"value": "t0ken-t0ken"', /^it is not JSON$/],
    ['no list', '{}', /^the list: /],
    ['no repositories', JSON.stringify([{ ...entry, repositories: [] }]), /repositories: name the repositories/],
    ['a wildcard for them', JSON.stringify([{ ...entry, repositories: ['acme/*'] }]), /not owner\/name/],
    ['a line break in the value', JSON.stringify([{ ...entry, value: 't0ken-t0ken\nx: y' }]), /0\.value: between 8/],
    ['a header of the framing', JSON.stringify([{ ...entry, header: 'Content-Length' }]), /cannot be a credential/],
    ['an id that is none', JSON.stringify([{ ...entry, repositories: ['acme/app#t0ken'] }]), /not owner\/name/],
    ['no path', JSON.stringify([{ ...entry, pathPrefix: undefined }]), /0\.pathPrefix: say below which path of the host/],
    ['a path with dots', JSON.stringify([{ ...entry, pathPrefix: '/a/../b' }]), /not the beginning of a path/],
    ['a key too many', JSON.stringify([{ ...entry, extra: 't0ken-t0ken' }]), /the list|0/],
  ])('are refused with %s, in words without a secret', (_what, text, problem) => {
    const found = readCredentials(text);

    expect('problem' in found ? found.problem : '').toMatch(problem);
    expect(JSON.stringify(found)).not.toContain('t0ken');
  });
});
