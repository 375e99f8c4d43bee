import { describe, expect, it } from 'vitest';
import { createPolicy, parseHostRule } from '../../../src/gateway/policy.ts';
import { hostPresets } from '../../../src/gateway/presets.ts';
import { parseAuthority } from '../../../src/gateway/target.ts';
import type { Target } from '../../../src/gateway/target.ts';

function target(text: string): Target {
  const parsed = parseAuthority(text, null);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed;
}

const policy = createPolicy('agent', ['example.org', '*.example.net', 'registry.example:8443', '10.0.0.5', '10.0.0.6:8080'], ['10.0.0.5', '*.corp.example']);

describe('createPolicy', () => {
  it.each(['example.org:443', 'a.example.net:443', 'a.b.example.net:443', 'registry.example:8443', '10.0.0.5:443'])('lets %s through a tunnel', (text) => {
    expect(policy.decide(target(text), 'tunnel')).toMatchObject({ allowed: true });
  });

  it.each([
    ['www.example.org:443', 'not on the list'],
    ['notexample.org:443', 'not on the list'],
    ['example.org.evil.org:443', 'not on the list'],
    ['example.net:443', 'not on the list'],
    ['badexample.net:443', 'not on the list'],
    ['example.org:22', 'port 22'],
    ['example.org:80', 'port 80'],
    ['registry.example:443', 'port 443'],
    ['10.0.0.6:8080', 'address literal'],
    ['127.0.0.1:443', 'address literal'],
    ['[::1]:443', 'address literal'],
  ])('refuses a tunnel to %s: %s', (text, rule) => {
    expect(policy.decide(target(text), 'tunnel')).toMatchObject({ allowed: false, rule });
  });

  it('opens port 80, not 443, to plain requests', () => {
    expect(policy.decide(target('example.org:80'), 'plain').allowed).toBe(true);
    expect(policy.decide(target('example.org:443'), 'plain').allowed).toBe(false);
  });

  it('does not let a host through because the operator vouches for its address', () => {
    expect(policy.decide(target('a.corp.example:443'), 'tunnel')).toMatchObject({ allowed: false, rule: 'not on the list' });
  });

  it('vouches for one port only when the operator named it', () => {
    const narrow = createPolicy('agent', ['a.example:1', 'a.example:2'], ['a.example:1']);

    expect(narrow.decide(target('a.example:1'), 'tunnel')).toMatchObject({ internal: true });
    expect(narrow.decide(target('a.example:2'), 'tunnel')).toMatchObject({ internal: false });
  });

  it('lets nothing through by an entry that it cannot read, and says which', () => {
    const broken = createPolicy('agent', ['*', '*.org', 'http://example.org', 'a b', 'example.org'], []);

    expect(broken.unreadable).toEqual(['*', '*.org', 'http://example.org', 'a b']);
    expect(broken.decide(target('wikipedia.org:443'), 'tunnel').allowed).toBe(false);
  });

  it('lets nothing through with an empty list', () => {
    expect(createPolicy('agent', [], []).decide(target('example.org:443'), 'tunnel').allowed).toBe(false);
  });
});

describe('parseHostRule', () => {
  it('canonicalises an entry as it does a request', () => {
    expect(parseHostRule('Bücher.Example.')).toMatchObject({ host: 'xn--bcher-kva.example', port: null });
    expect(parseHostRule('::1')).toMatchObject({ host: '::1', port: null });
    expect(parseHostRule('[::1]:8080')).toMatchObject({ host: '::1', port: 8080 });
  });

  it.each(['*.10.0.0.1', '*.', '*.*.example.org', 'a.*.example.org', '', 'example.org:0', 'example.org:'])('refuses %j', (text) => {
    expect(parseHostRule(text)).toBeNull();
  });
});

describe('hostPresets', () => {
  it('names hosts that are rules', () => {
    expect(
      Object.values(hostPresets)
        .flat()
        .filter((host) => parseHostRule(host) === null),
    ).toEqual([]);
  });
});
