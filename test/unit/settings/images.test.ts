import { describe, expect, it } from 'vitest';
import { findRegistryRule, parseImageName } from '../../../src/settings/images.ts';
import { processorMs } from '../../support/processor-time.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('the name of an image', () => {
  it.each([
    ['ghcr.io/acme/tools:1.4', { repository: 'ghcr.io/acme/tools', version: '1.4' }],
    ['docker.io/library/node:22-bookworm', { repository: 'docker.io/library/node', version: '22-bookworm' }],
    ['localhost/x:latest', { repository: 'localhost/x', version: 'latest' }],
    ['127.0.0.1:5000/a/b_c/d-e:v1', { repository: '127.0.0.1:5000/a/b_c/d-e', version: 'v1' }],
    [`registry.example.org:5000/a@${digest}`, { repository: 'registry.example.org:5000/a', version: digest }],
    [`ghcr.io/a/b:1@${digest}`, { repository: 'ghcr.io/a/b', version: digest }],
  ])('is understood: %s', (text, expected) => {
    expect(parseImageName(text)).toEqual(expected);
  });

  it.each([
    'node:22',
    'library/node:22',
    'ghcr.io/acme/tools',
    'ghcr.io/acme/tools:',
    'ghcr.io/acme/tools@sha256:1234',
    'ghcr.io:1',
    'ghcr.io/:1',
    'ghcr.io//a:1',
    'ghcr.io/../a:1',
    'ghcr.io/A:1',
    'ghcr.io/a:1:2',
    'https://ghcr.io/a:1',
    'docker://ghcr.io/a:1',
    '-ghcr.io/a:1',
    'ghcr.io/a:-x',
    'ghcr.io/a b:1',
    'ghcr.io/a:1\n',
    `ghcr.io/${'a/'.repeat(300)}b:1`,
  ])('is none: %j', (text) => {
    expect(parseImageName(text)).toBeNull();
  });

  it('is looked through in linear time', async () => {
    const hostile = [`ghcr.io/${'a-'.repeat(190)}:`, `${'a.'.repeat(190)}/`, `ghcr.io/${'a__'.repeat(120)}!:1`, ':'.repeat(399)];

    expect(await processorMs(() => hostile.forEach((text) => parseImageName(text)))).toBeLessThan(100);
  });
});

describe('the registries of the operator', () => {
  const find = (text: string, ...rules: readonly string[]) => findRegistryRule(parseImageName(text) ?? { repository: '', version: '' }, rules);

  it('cover what is at them and below them, and nothing that only begins so', () => {
    expect(find('ghcr.io/acme/tools:1', 'quay.io', 'ghcr.io')).toBe('ghcr.io');
    expect(find('ghcr.io/acme/tools:1', 'ghcr.io/acme')).toBe('ghcr.io/acme');
    expect(find('ghcr.io/acme/tools:1', 'ghcr.io/acme/tools')).toBe('ghcr.io/acme/tools');
    expect(find('ghcr.io/acme-evil/tools:1', 'ghcr.io/acme')).toBeNull();
    expect(find('ghcr.io.evil.org/acme/tools:1', 'ghcr.io')).toBeNull();
    expect(find('ghcr.io:8443/acme/tools:1', 'ghcr.io')).toBeNull();
    expect(find('ghcr.io/acme/tools:1')).toBeNull();
  });

  it('may be without TLS', () => {
    expect(find('127.0.0.1:5000/a:1', 'http://127.0.0.1:5000')).toBe('http://127.0.0.1:5000');
  });
});
