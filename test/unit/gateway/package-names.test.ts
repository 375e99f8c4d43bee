import { describe, expect, it } from 'vitest';
import { packageName } from '../../../src/gateway/package-names.ts';
import type { RegistryKind } from '../../../src/gateway/package-names.ts';
import { processorMs } from '../../support/processor-time.ts';

const nameOf = (kind: RegistryKind, path: string, query: string | null = null, basePath = '/'): string =>
  packageName({ kind, host: 'registry.example', basePath }, path, query);

const hex60 = '0f'.repeat(30);

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
    ['npm', '/express/5.0.0-beta.1', 'express'],
    ['npm', '/express/latest', 'express'],
    ['npm', '/@babel/core/-/@babel/core-7.0.0.tgz', '@babel/core'],
    ['pypi', `/packages/ab/cd/${hex60}/zope.interface-5.0-py3-none-any.whl`, 'zope-interface'],
    ['pypi', `/packages/ab/cd/${hex60}/zope.interface-5.0-py3-none-any.whl.metadata`, 'zope-interface'],
    ['pypi', `/packages/ab/cd/${hex60}/requests-2.31.0.tar.gz`, 'requests'],
    ['pypi', `/packages/ab/cd/${hex60}/torch-2.0.1+cu118-cp311-cp311-manylinux_2_17_x86_64.whl`, 'torch'],
    ['crates', '/config.json', ''],
    ['crates', '/se/rd/serde', 'serde'],
    ['crates', '/3/s/syn', 'syn'],
    ['crates', '/crates/serde/1.0.0/download', 'serde'],
    ['go', '/github.com/pkg/errors/@v/list', 'github.com/pkg/errors'],
    ['go', '/github.com/pkg/errors/@latest', 'github.com/pkg/errors'],
    ['go', '/lookup/github.com/pkg/errors@v0.9.1', 'github.com/pkg/errors'],
    ['go', '/github.com/!burnt!sushi/toml/@v/v1.0.0.zip', 'github.com/BurntSushi/toml'],
    ['crates', '/crates/serde/serde-1.0.0.crate', 'serde'],
    ['crates', '/1/a', 'a'],
    ['crates', '/2/cc', 'cc'],
    ['go', '/tile/8/0/x001/234', ''],
    ['go', '/tile/8/data/x123/x456/789.p/12', ''],
    ['go', '/latest', ''],
    ['go', '/sumdb/sum.golang.org/supported', ''],
    ['go', '/sumdb/sum.golang.org/tile/8/1/000.p/200', ''],
    ['go', '/sumdb/sum.golang.org/lookup/github.com/pkg/errors@v0.9.1', 'github.com/pkg/errors'],
    ['go', '/golang.org/x/net/@v/v0.0.0-20210226172049-e18ecbb05110.mod', 'golang.org/x/net'],
    ['go', '/github.com/docker/docker/@v/v20.10.7+incompatible.info', 'github.com/docker/docker'],
    ['rubygems', '/versions', ''],
    ['rubygems', '/info/rake', 'rake'],
    ['rubygems', '/gems/rack-test-2.1.0.gem', 'rack-test'],
    ['rubygems', '/gems/nokogiri-1.16.0-x86_64-linux.gem', 'nokogiri'],
    ['rubygems', '/quick/Marshal.4.8/rake-13.0.6.gemspec.rz', 'rake'],
    ['maven', '/maven2/org/example/tiny/1.0.0/tiny-1.0.0.pom', 'maven2/org/example/tiny'],
    ['maven', '/maven2/org/example/tiny/1.0.0/tiny-1.0.0-sources.jar.sha1', 'maven2/org/example/tiny'],
    ['maven', '/maven2/org/example/tiny/maven-metadata.xml', 'maven2/org/example/tiny'],
    ['maven', '/maven2/io/netty/epoll/4.1.100.Final/epoll-4.1.100.Final-linux-x86_64.jar.asc.md5', 'maven2/io/netty/epoll'],
    ['maven', '/maven2/org/example/tiny/1.0-SNAPSHOT/tiny-1.0-20240101.120000-3.jar', 'maven2/org/example/tiny'],
    ['maven', '/maven2/org/example/tiny/1.0-SNAPSHOT/maven-metadata.xml', 'maven2/org/example/tiny/1.0-SNAPSHOT'],
    ['maven', '/maven2/org/example/tiny/r09/tiny-r09.module', 'maven2/org/example/tiny'],
    ['debian', '/debian/dists/bookworm/InRelease', 'debian/dists/bookworm'],
    ['debian', '/debian/dists/bookworm/main/binary-amd64/Packages.xz', 'debian/dists/bookworm'],
    ['debian', `/debian/dists/bookworm/non-free-firmware/binary-all/by-hash/SHA256/${'0f'.repeat(32)}`, 'debian/dists/bookworm'],
    ['debian', '/debian-security/dists/bookworm-security/updates/main/i18n/Translation-en.bz2', 'debian-security/dists/bookworm-security'],
    ['debian', '/debian/dists/bookworm/main/dep11/Components-amd64.yml.xz', 'debian/dists/bookworm'],
    ['debian', '/debian/pool/main/c/curl/curl_7.88.1-10+deb12u5_amd64.deb', 'debian/pool/main/c/curl'],
    ['debian', '/debian/pool/main/libs/libstdc++/libstdc++6_12.2.0-14%7ebpo12+1_amd64.deb', 'debian/pool/main/libs/libstdc++'],
    ['debian', '/debian/pool/main/c/curl/curl_7.88.1.orig.tar.gz', 'debian/pool/main/c/curl'],
  ])('of %s: %s is about %j', (kind, path, name) => {
    expect(nameOf(kind, path)).toBe(name);
  });

  it.each<[RegistryKind, string]>([
    ['npm', '/express/1.0.0-c2Vj cmV0'],
    ['npm', `/express/1.0.0-${'a'.repeat(100)}`],
    ['npm', '/express/1'],
    ['npm', '/express/-/c2VjcmV0.tgz'],
    ['npm', '/express/-/express-c2VjcmV0.tgz'],
    ['npm', '/@babel/core/-/@other/core-7.0.0.tgz'],
    ['pypi', '/packages/se/cr/et/requests-1.tgz'],
    ['pypi', `/packages/ab/cd/${hex60}/requests-c2VjcmV0.whl`],
    ['pypi', `/packages/ab/cd/${hex60}/requests-1.0.secret`],
    ['crates', '/crates/serde/c2VjcmV0/download'],
    ['crates', '/crates/serde/other-1.0.0.crate'],
    ['crates', '/c2/Vj/serde'],
    ['crates', '/1/serde'],
    ['go', '/tile/8/data/0123456789'],
    ['go', '/tile/8/0/c2VjcmV0'],
    ['go', '/github.com/pkg/errors/@v/c2VjcmV0.info'],
    ['go', '/lookup/github.com/pkg/errors@c2VjcmV0'],
    ['rubygems', '/gems/rails-1c2VjcmV0.gem'],
    ['maven', '/maven2/org/example/tiny/1.0.0/c2VjcmV0.pom'],
    ['maven', '/maven2/org/example/tiny/1.0.0/tiny-2.0.0.pom'],
    ['maven', `/maven2/org/example/tiny/${'a'.repeat(100)}/tiny-${'a'.repeat(100)}.pom`],
    ['maven', `/maven2/org/example/tiny/1.0.0/tiny-1.0.0-${'a'.repeat(60)}.jar`],
    ['debian', `/debian/dists/bookworm/${'a'.repeat(200)}`],
    ['debian', '/debian/dists/bookworm/a/b/c/d/e/Packages'],
    ['debian', '/debian/dists/bookworm/main/c2Vj/Packages'],
    ['debian', `/debian/pool/main/c/curl/curl_${'a'.repeat(200)}.deb`],
    ['debian', '/debian/pool/main/c/curl/c2VjcmV0'],
  ])('of %s: what has not the shape of a version or file is a name of its own: %s', (kind, path) => {
    expect(nameOf(kind, path)).toBe(path.slice(1));
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

  it.each<RegistryKind>(['npm', 'pypi', 'crates', 'go', 'rubygems', 'maven', 'debian'])('reads hostile paths of %s in no time', async (kind) => {
    const paths = ['-1', '/a', '@a/', '/-/', 'packages/a/b/c/-1', '/pool/'].map((part) => `/${part.repeat(20_000 / part.length)}`);

    expect(await processorMs(() => paths.forEach((path) => nameOf(kind, path)))).toBeLessThan(200);
  });
});
