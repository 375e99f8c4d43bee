import { describe, expect, it } from 'vitest';
import { authorityText, canonicalHost, parseAbsoluteForm, parseAuthority } from '../../../src/gateway/target.ts';

describe('canonicalHost', () => {
  it.each([
    ['example.org', 'example.org'],
    ['EXAMPLE.Org', 'example.org'],
    ['example.org.', 'example.org'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['example。org', 'example.org'],
    ['_dmarc.example.org', '_dmarc.example.org'],
    ['localhost', 'localhost'],
  ])('spells %s as %s', (text, host) => {
    expect(canonicalHost(text)).toEqual({ host, isAddress: false });
  });

  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '::1'],
    ['[FD00:EC2::254]', 'fd00:ec2::254'],
  ])('knows %s as an address', (text, host) => {
    expect(canonicalHost(text)).toEqual({ host, isAddress: true });
  });

  it.each(['2130706433', '017700000001', '0x7f.1', '0x7f000001', '127.1', '0', '127.0.0.1.', '１２７.0.0.1', '[::ffff:127.0.0.1]', '[0:0:0:0:0:0:0:1]'])(
    'refuses the notation %s',
    (text) => {
      expect(canonicalHost(text)).toEqual({ problem: 'address in a notation of its own' });
    },
  );

  it.each([
    '',
    '.',
    'example.org..',
    '.example.org',
    'a..b',
    'evil.org\u0000.example.org',
    'ex ample.org',
    'example.org\r\nx',
    'ex%61mple.org',
    'user@example.org',
    'example.org/x',
    'example.org\\x',
    'example.org#x',
    '[fe80::1%eth0]',
    '[::1',
    '[example.org]',
    '1.2.3.4.5',
    `${'a'.repeat(64)}.org`,
    'a.'.repeat(140),
  ])('does not take %j for a host', (text) => {
    expect(canonicalHost(text)).toEqual({ problem: 'not a host name' });
  });
});

describe('parseAuthority', () => {
  it('reads name and port, in brackets too', () => {
    expect(parseAuthority('Example.org:8443', null)).toEqual({ host: 'example.org', port: 8443, isAddress: false });
    expect(parseAuthority('[::1]:443', null)).toEqual({ host: '::1', port: 443, isAddress: true });
    expect(parseAuthority('example.org', 80)).toMatchObject({ port: 80 });
  });

  it.each(['example.org', 'example.org:', 'example.org:0', 'example.org:65536', 'example.org:443:443', 'user:pass@example.org:443', '::1:443'])(
    'refuses %s without a default port',
    (text) => {
      expect(parseAuthority(text, null)).toHaveProperty('problem');
    },
  );

  it('writes what it read', () => {
    expect(authorityText({ host: '::1', port: 443, isAddress: true })).toBe('[::1]:443');
  });
});

describe('parseAbsoluteForm', () => {
  it.each([
    ['http://example.org', '/'],
    ['http://example.org/a?b=c', '/a?b=c'],
    ['HTTP://Example.Org?b', '/?b'],
  ])('takes %s apart', (url, path) => {
    expect(parseAbsoluteForm(url)).toEqual({ target: { host: 'example.org', port: 80, isAddress: false }, path });
  });

  it.each([
    '/index.html',
    '*',
    'https://example.org/',
    'ftp://example.org/',
    'http:/example.org',
    'http://a:b@example.org/',
    'http://example.org\\@evil.org/',
    'http://example.org/#x',
  ])('refuses %s', (url) => {
    expect(parseAbsoluteForm(url)).toHaveProperty('problem');
  });
});
