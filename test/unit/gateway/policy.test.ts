import { describe, expect, it } from 'vitest';
import { parseHostRule } from '../../../src/gateway/host-rule.ts';
import { parseRequestPath } from '../../../src/gateway/request-path.ts';
import type { RequestPath } from '../../../src/gateway/request-path.ts';
import { createPolicy } from '../../../src/gateway/policy.ts';
import type { Policy } from '../../../src/gateway/policy.ts';
import { parseAuthority } from '../../../src/gateway/target.ts';
import type { Target } from '../../../src/gateway/target.ts';
import { hostPresets } from '../../../src/settings/presets.ts';

function target(text: string): Target {
  const parsed = parseAuthority(text, null);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed;
}

const makePolicy = (allow: readonly string[], internal: readonly string[] = []): Policy =>
  createPolicy({ phase: 'agent', allow, internal, mustInspect: ({ host }) => host === 'watched.example' });

const policy = makePolicy(['example.org', '*.example.net', 'registry.example:8443', '10.0.0.5', '10.0.0.6:8080'], ['10.0.0.5', '*.corp.example']);

describe('createPolicy', () => {
  it.each(['example.org:443', 'a.example.net:443', 'a.b.example.net:443', 'registry.example:8443', '10.0.0.5:443'])('lets %s through a tunnel', (text) => {
    expect(policy.decide(target(text), 'connect')).toMatchObject({ allowed: true });
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
    expect(policy.decide(target(text), 'connect')).toMatchObject({ allowed: false, rule });
  });

  it('opens port 80, not 443, to plain requests', () => {
    expect(policy.decide(target('example.org:80'), 'http').allowed).toBe(true);
    expect(policy.decide(target('example.org:443'), 'http').allowed).toBe(false);
  });

  it('does not let a host through because the operator vouches for its address', () => {
    expect(policy.decide(target('a.corp.example:443'), 'connect')).toMatchObject({ allowed: false, rule: 'not on the list' });
  });

  it('vouches for one port only when the operator named it', () => {
    const narrow = makePolicy(['a.example:1', 'a.example:2'], ['a.example:1']);

    expect(narrow.decide(target('a.example:1'), 'connect')).toMatchObject({ internal: true });
    expect(narrow.decide(target('a.example:2'), 'connect')).toMatchObject({ internal: false });
  });

  it('lets nothing through by an entry that it cannot read, and says which', () => {
    const broken = makePolicy(['*', '*.org', 'http://example.org', 'a b', 'example.org']);

    expect(broken.unreadable).toEqual(['*', '*.org', 'http://example.org', 'a b']);
    expect(broken.decide(target('wikipedia.org:443'), 'connect').allowed).toBe(false);
  });

  it('lets nothing through with an empty list', () => {
    expect(makePolicy([]).decide(target('example.org:443'), 'connect').allowed).toBe(false);
  });
});

function pathOf(url: string): RequestPath {
  const read = parseRequestPath(url);
  if ('problem' in read) throw new Error(read.problem);
  return read;
}

describe('judge', () => {
  const narrow = makePolicy(['GET r.example/express/*', 'POST,GET r.example/api', 'r.example/plain', 'watched.example', 'open.example', 'GET open.example/x']);
  const judge = (method: string, url: string, host = 'r.example'): ReturnType<Policy['judge']> =>
    narrow.judge(target(`${host}:443`), 'connect', { method, requestPath: pathOf(url) });

  it.each([
    ['GET', '/express'],
    ['GET', '/express/-/express-4.tgz?a=b'],
    ['GET', '/express/%40x'],
    ['HEAD', '/express/a'],
    ['POST', '/api'],
    ['HEAD', '/plain'],
  ])('lets %s %s through', (method, url) => {
    expect(judge(method, url)).toMatchObject({ allowed: true });
  });

  it.each([
    ['GET', '/expressx', 'path'],
    ['GET', '/', 'path'],
    ['GET', '/api/x', 'path'],
    ['GET', '/Express/x', 'path'],
    ['PUT', '/express/x', 'method'],
    ['DELETE', '/api', 'method'],
    ['POST', '/plain', 'method'],
  ])('refuses %s %s for its %s or both', (method, url, reason) => {
    expect(judge(method, url)).toEqual({ allowed: false, reason });
  });

  it('lets a host that is watched be read only', () => {
    expect(judge('GET', '/any', 'watched.example')).toMatchObject({ allowed: true });
    expect(judge('PUT', '/any', 'watched.example')).toEqual({ allowed: false, reason: 'method' });
  });

  it('inspects a host that no rule opens as a whole, and one that is watched', () => {
    const inspects = (host: string): unknown => narrow.decide(target(`${host}:443`), 'connect');

    expect(inspects('r.example')).toMatchObject({ allowed: true, inspects: true });
    expect(inspects('watched.example')).toMatchObject({ allowed: true, inspects: true });
    expect(inspects('open.example')).toMatchObject({ allowed: true, inspects: false, rule: 'allow open.example' });
  });
});

describe('parseRequestPath', () => {
  it.each([
    '/a/../b',
    '/a/%2e%2e/b',
    '/a/.%2E/b',
    '/a/..%2fb',
    '/a/..;x/b',
    '/a/.',
    '/a/%2e/b',
    '/a/././b',
    '/a//b',
    '/a%2f%2fb',
    '/a\\b',
    '/a%5cb',
    '/a%00b',
    '/a%0db',
    '/a%252e%252e/b',
    '/a%zzb',
    '/a%ffb',
    '/a#b',
    '/a b',
    'a',
    '*',
    '',
    'http://r.example/a',
  ])('refuses %j', (url) => {
    expect(parseRequestPath(url)).toEqual({ problem: 'path in a notation of its own' });
  });

  it('decodes once, and keeps what was written', () => {
    expect(parseRequestPath('/@a%2fb/c%20d/?q=../x')).toEqual({ written: '/@a%2fb/c%20d/', path: '/@a/b/c d/', query: 'q=../x' });
  });
});

describe('parseHostRule', () => {
  it('reads methods and a path', () => {
    expect(parseHostRule('GET r.example:8443/a/*')).toMatchObject({ host: 'r.example', port: 8443, methods: ['GET', 'HEAD'], path: '/a/*' });
    expect(parseHostRule('PUT,POST *.r.example')).toMatchObject({ host: 'r.example', wildcard: true, methods: ['PUT', 'POST'], path: null });
    expect(parseHostRule('r.example/a')).toMatchObject({ methods: ['GET', 'HEAD'], path: '/a' });
    expect(parseHostRule('r.example')).toMatchObject({ methods: null, path: null });
  });

  it.each([
    'GET  r.example',
    'get r.example',
    'GET ',
    'GET,',
    'r.example/a/../b',
    'r.example/a*',
    'r.example/*/b',
    'r.example/%61',
    'r.example/a?b',
    'r.example//a',
    'r.example/a b',
  ])('refuses %j', (text) => {
    expect(parseHostRule(text)).toBeNull();
  });

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
