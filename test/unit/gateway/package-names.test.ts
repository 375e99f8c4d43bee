import { describe, expect, it } from 'vitest';
import { packageName } from '../../../src/gateway/package-names.ts';
import type { RegistryKind } from '../../../src/gateway/package-names.ts';

const nameOf = (kind: RegistryKind, path: string, query: string | null = null, basePath = '/'): string =>
  packageName({ kind, host: 'registry.example', basePath }, path, query);

describe('packageName', () => {
  it.each<[RegistryKind, string, string]>([
    ['npm', '/express', 'express'],
    ['npm', '/express/4.1.0', 'express'],
    ['npm', '/express/-/express-4.1.0.tgz', 'express'],
    ['npm', '/@babel/core', '@babel/core'],
    ['npm', '/@babel/core/-/core-7.0.0.tgz', '@babel/core'],
    ['npm', '/-/npm/v1/keys', '-/npm/v1/keys'],
    ['npm', '/express/-/a/b', 'express/-/a/b'],
    ['npm', '/express/anything', 'express/anything'],
    ['pypi', '/simple/Zope.Interface/', 'zope-interface'],
    ['pypi', '/pypi/requests/json', 'requests'],
    ['pypi', '/packages/ab/cd/ef01/zope.interface-5.0-py3-none-any.whl', 'zope-interface'],
    ['crates', '/config.json', ''],
    ['crates', '/se/rd/serde', 'serde'],
    ['crates', '/3/s/syn', 'syn'],
    ['crates', '/crates/serde/1.0.0/download', 'serde'],
    ['go', '/github.com/pkg/errors/@v/list', 'github.com/pkg/errors'],
    ['go', '/github.com/pkg/errors/@latest', 'github.com/pkg/errors'],
    ['go', '/lookup/github.com/pkg/errors@v0.9.1', 'github.com/pkg/errors'],
    ['go', '/github.com/!burnt!sushi/toml/@v/v1.0.0.zip', 'github.com/BurntSushi/toml'],
    ['go', '/tile/8/0/x001/234', ''],
    ['rubygems', '/versions', ''],
    ['rubygems', '/info/rake', 'rake'],
    ['rubygems', '/gems/rack-test-2.1.0.gem', 'rack-test'],
    ['maven', '/maven2/org/example/tiny/1.0.0/tiny-1.0.0.pom', 'maven2/org/example/tiny'],
    ['debian', '/debian/dists/bookworm/main/binary-amd64/Packages.xz', 'debian/dists/bookworm'],
    ['debian', '/debian/pool/main/c/curl/curl_7.deb', 'debian/pool/main/c/curl'],
  ])('of %s: %s is about %j', (kind, path, name) => {
    expect(nameOf(kind, path)).toBe(name);
  });

  it('takes a query for a word of its own, and a path that fits nothing', () => {
    expect(nameOf('npm', '/-/v1/search', 'text=secret')).toBe('-/v1/search?text=secret');
    expect(nameOf('npm', '/express', 'a')).toBe('express?a');
    expect(nameOf('pypi', '/what/ever/this/is')).toBe('what/ever/this/is');
  });

  it('knows where a registry begins', () => {
    expect(nameOf('npm', '/npm/express', null, '/npm/')).toBe('express');
    expect(nameOf('npm', '/elsewhere/express', null, '/npm/')).toBe('/elsewhere/express');
  });

  it.each<RegistryKind>(['npm', 'pypi', 'crates', 'go', 'rubygems', 'maven', 'debian'])('reads hostile paths of %s in no time', (kind) => {
    const paths = ['-1', '/a', '@a/', '/-/', 'packages/a/b/c/-1', '/pool/'].map((part) => `/${part.repeat(20_000 / part.length)}`);
    const begun = performance.now();
    for (const path of paths) nameOf(kind, path);

    expect(performance.now() - begun).toBeLessThan(200);
  });
});
