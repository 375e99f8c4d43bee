/** The settings and the gateway read entries each by themselves, since neither knows the other: here they have to mean the same. */
import { describe, expect, it } from 'vitest';
import { createCeiling } from '../../../src/gateway/ceiling.ts';
import { createPolicy } from '../../../src/gateway/policy.ts';
import { parseRequestPath } from '../../../src/gateway/request-path.ts';
import { parseAuthority } from '../../../src/gateway/target.ts';
import { expandPresets, foldPresets, isHostRule, withinCeiling } from '../../../src/settings/host-rules.ts';
import { usualRegistries } from '../../../src/settings/presets.ts';

const entries = [
  'example.org',
  'EXAMPLE.org',
  '*.example.org',
  'a.example.org',
  '*.a.example.org',
  'example.org:8443',
  '*.example.org:8443',
  'example.org/a',
  'example.org/a/*',
  'example.org/',
  'example.org/*',
  'GET example.org',
  'HEAD example.org',
  'POST example.org/a/*',
  'GET,POST example.org',
  'GET,HEAD,PUT *.example.org/a/b',
  'GET a.example.org/a/b',
  '10.0.0.1',
];
/** What a guest may ask for. */
const wishes = ['example.org', 'a.example.org', 'b.a.example.org', 'notexample.org', '10.0.0.1'].flatMap((host) =>
  [443, 8443].flatMap((port) =>
    ['GET', 'HEAD', 'POST', 'PUT'].flatMap((method) => ['/', '/a', '/a/', '/a/b', '/a/b/c', '/ab'].map((path) => ({ host, port, method, path }))),
  ),
);

/** What the gateway lets through of all wishes. A host without a rule on its requests is a tunnel, so all goes. */
function allowedBy(allow: readonly string[]): readonly string[] {
  const policy = createPolicy({ phase: 'agent', allow, internal: ['10.0.0.1'], mustInspect: () => false });
  return wishes.flatMap(({ host, port, method, path }) => {
    const [target, requestPath] = [parseAuthority(`${host}:${port}`, null), parseRequestPath(path)];
    if ('problem' in target || 'problem' in requestPath) throw new Error(`${host}${path}`);
    const verdict = policy.decide(target, 'connect');
    const goes = verdict.allowed && (!verdict.inspects || policy.judge(target, 'connect', { method, requestPath }).allowed);
    return goes ? [`${method} ${host}:${port}${path}`] : [];
  });
}

describe('an entry of `allow`', () => {
  const allowed = new Map(entries.map((entry) => [entry, new Set(allowedBy([entry]))]));

  it.each(entries)('%s is to the gateway what it is in the settings, and no ceiling widens it', (entry) => {
    const wanted = allowed.get(entry);

    expect(isHostRule(entry)).toBe(true);
    expect(wanted?.size).toBeGreaterThan(0);
    expect(withinCeiling([entry], [entry])).toEqual([entry]);
    for (const ceiling of entries) {
      const left = withinCeiling([entry], [ceiling]);
      const tooMuch = left.length === 0 ? [] : allowedBy(left).filter((wish) => !wanted?.has(wish) || !allowed.get(ceiling)?.has(wish));
      expect([ceiling, tooMuch]).toEqual([ceiling, []]);
    }
  });

  it.each(entries)('%s as a ceiling is to the advice of the gateway what it is to the settings', (ceiling) => {
    const { permits } = createCeiling({ allow: [ceiling], key: 'MAYFLY_X' });
    for (const { host, port, method, path } of wishes) {
      const [target, requestPath] = [parseAuthority(`${host}:${port}`, null), parseRequestPath(path)];
      if ('problem' in target || 'problem' in requestPath) throw new Error(`${host}${path}`);
      const entry = port === 443 ? host : `${host}:${port}`;
      const part = `${method === 'HEAD' ? 'GET' : method} ${entry}${path}`;
      expect([entry, permits(target, 'connect')]).toEqual([entry, withinCeiling([entry], [ceiling]).length > 0]);
      expect([part, permits(target, 'connect', { method, requestPath })]).toEqual([part, withinCeiling([part], [ceiling]).length > 0]);
    }
  });
});

describe('names of registries', () => {
  it('stand for their hosts, and whole registries are told by their names', () => {
    expect(expandPresets(['pypi', 'example.org'])).toEqual(['pypi.org', 'files.pythonhosted.org', 'example.org']);
    expect(foldPresets(['files.pythonhosted.org', 'example.org', 'registry.npmjs.org', 'pypi.org'])).toEqual(['npm', 'pypi', 'example.org']);
    expect(foldPresets(['pypi.org'])).toEqual(['pypi.org']);
    expect(expandPresets(foldPresets(usualRegistries))).toEqual(usualRegistries);
  });
});
