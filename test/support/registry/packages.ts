/** One tiny package as every registry has it: what is asked for by path, and the answer. Each says `hello from <registry>`. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tarGz, withFiles, zip } from './archives.ts';
import type { Files } from './archives.ts';

export interface Resource {
  readonly type: string;
  readonly body: string | Buffer;
}

/** By path; made when it is asked for, because not every host can make all of them. */
export type Resources = Readonly<Record<string, () => Resource>>;

const json = (value: unknown): Resource => ({ type: 'application/json', body: JSON.stringify(value) });
const text = (body: string): Resource => ({ type: 'text/plain', body });
const bytes = (body: Buffer): Resource => ({ type: 'application/octet-stream', body });
const digest = (algorithm: string, content: Buffer | string, encoding: 'hex' | 'base64' = 'hex'): string =>
  createHash(algorithm).update(content).digest(encoding);

const hello = (registry: string): string => `hello from ${registry}`;

/** https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md */
export function npmPackage(url: string, name: string, versions: Readonly<Record<string, Files>>): Resources {
  const archives = Object.entries(versions).map(([version, files]) => {
    const manifest = { name, version, main: 'index.js' };
    return { manifest, file: `/npm/${name}/-/${name}-${version}.tgz`, archive: tarGz({ ...files, 'package/package.json': JSON.stringify(manifest) }) };
  });
  const described = archives.map(({ manifest, file, archive }) => {
    const dist = { tarball: `${url}${file}`, shasum: digest('sha1', archive), integrity: `sha512-${digest('sha512', archive, 'base64')}` };
    return [manifest.version, { ...manifest, dist }];
  });
  // Yarn takes nothing that was published in the last days.
  const time = Object.fromEntries(archives.map(({ manifest: { version } }) => [version, '2020-01-01T00:00:00.000Z']));
  return {
    [`/npm/${name}`]: () => json({ name, 'dist-tags': { latest: archives.at(-1)?.manifest.version }, versions: Object.fromEntries(described), time }),
    ...Object.fromEntries(archives.map(({ file, archive }) => [file, () => bytes(archive)])),
  };
}

/** https://packaging.python.org/en/latest/specifications/simple-repository-api/ */
function pythonPackage(): Resources {
  const info = 'tiny-1.0.0.dist-info';
  const wheel = zip({
    'tiny.py': `print("${hello('pypi')}")\n`,
    [`${info}/METADATA`]: 'Metadata-Version: 2.1\nName: tiny\nVersion: 1.0.0\n',
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${info}/RECORD`]: `tiny.py,,\n${info}/METADATA,,\n${info}/WHEEL,,\n${info}/RECORD,,\n`,
  });
  const file = 'tiny-1.0.0-py3-none-any.whl';
  const page = `<!DOCTYPE html><html><body><a href="/pypi/files/${file}#sha256=${digest('sha256', wheel)}">${file}</a></body></html>`;
  return { '/pypi/simple/tiny/': () => ({ type: 'text/html', body: page }), [`/pypi/files/${file}`]: () => bytes(wheel) };
}

/** https://doc.rust-lang.org/cargo/reference/registry-index.html */
function rustPackage(url: string): Resources {
  const crate = tarGz({
    'tiny-1.0.0/Cargo.toml': '[package]\nname = "tiny"\nversion = "1.0.0"\nedition = "2021"\n',
    'tiny-1.0.0/src/lib.rs': `// ${hello('crates')}\n`,
  });
  const entry = { name: 'tiny', vers: '1.0.0', deps: [], cksum: digest('sha256', crate), features: {}, yanked: false };
  return {
    '/crates/config.json': () => json({ dl: `${url}/crates/files` }),
    '/crates/ti/ny/tiny': () => text(`${JSON.stringify(entry)}\n`),
    '/crates/files/tiny/1.0.0/download': () => bytes(crate),
  };
}

/** https://go.dev/ref/mod#goproxy-protocol */
function goModule(): Resources {
  const at = '/go/tiny.test.example/tiny/@v';
  const folder = 'tiny.test.example/tiny@v1.0.0';
  const manifest = 'module tiny.test.example/tiny\n\ngo 1.16\n';
  return {
    [`${at}/list`]: () => text('v1.0.0\n'),
    [`${at}/v1.0.0.info`]: () => json({ Version: 'v1.0.0', Time: '2026-01-01T00:00:00Z' }),
    [`${at}/v1.0.0.mod`]: () => text(manifest),
    [`${at}/v1.0.0.zip`]: () => bytes(zip({ [`${folder}/go.mod`]: manifest, [`${folder}/tiny.go`]: `package tiny\n\nconst Hello = "${hello('go')}"\n` })),
  };
}

/** https://maven.apache.org/repository/layout.html */
function mavenPackage(): Resources {
  const path = '/maven/org/example/tiny/1.0.0/tiny-1.0.0.pom';
  const names = '<groupId>org.example</groupId><artifactId>tiny</artifactId><version>1.0.0</version><packaging>pom</packaging>';
  const pom = `<project><modelVersion>4.0.0</modelVersion>${names}<description>${hello('maven')}</description></project>`;
  return { [path]: () => text(pom), [`${path}.sha1`]: () => text(digest('sha1', pom)) };
}

/** https://guides.rubygems.org/rubygems-org-compact-index-api/ for Bundler; `gem` takes its own, older index, which it makes itself. */
function rubyGem(): Resources {
  const specification = "Gem::Specification.new('tiny', '1.0.0') { |s| s.summary = 'tiny'; s.authors = ['Test']; s.files = ['lib/tiny.rb'] }\n";
  const indexed = ['specs.4.8.gz', 'latest_specs.4.8.gz', 'prerelease_specs.4.8.gz', 'quick/Marshal.4.8/tiny-1.0.0.gemspec.rz', 'gems/tiny-1.0.0.gem'] as const;
  const build = (): ReadonlyMap<string, Buffer> =>
    withFiles({ 'lib/tiny.rb': `# ${hello('rubygems')}\n`, 'tiny.gemspec': specification, 'index/gems/.keep': '' }, (folder) => {
      const gem = (...argv: readonly string[]) => execFileSync('gem', argv, { cwd: folder, stdio: 'ignore' });
      gem('build', 'tiny.gemspec', '--output', 'index/gems/tiny-1.0.0.gem');
      gem('generate_index', '--directory', 'index');
      return new Map(indexed.map((path) => [path, readFileSync(join(folder, 'index', path))]));
    });
  let built: ReadonlyMap<string, Buffer> | null = null;
  const file = (path: string): Buffer => (built ??= build()).get(path) ?? Buffer.of();
  const info = (): string => `---\n1.0.0 |checksum:${digest('sha256', file('gems/tiny-1.0.0.gem'))}\n`;
  return {
    ...Object.fromEntries(indexed.map((path) => [`/rubygems/${path}`, () => bytes(file(path))])),
    '/rubygems/versions': () => text(`created_at: 2026-01-01T00:00:00Z\n---\ntiny 1.0.0 ${digest('md5', info())}\n`),
    '/rubygems/info/tiny': () => text(info()),
  };
}

/** Without folders and signatures: https://wiki.debian.org/DebianRepository/Format#Flat_Repository_Format */
function debianPackage(): Resources {
  const control = 'Package: mayfly-tiny\nVersion: 1.0.0\nArchitecture: all\nMaintainer: Test <test@test.example>\nDescription: tiny\n';
  const build = (): Buffer =>
    withFiles({ 'tiny/DEBIAN/control': control, 'tiny/usr/share/tiny/hello.txt': hello('debian') }, (folder) => {
      execFileSync('dpkg-deb', ['--root-owner-group', '--build', 'tiny', 'tiny.deb'], { cwd: folder });
      return readFileSync(join(folder, 'tiny.deb'));
    });
  let built: Buffer | null = null;
  const deb = (): Buffer => (built ??= build());
  const list = (): string => `${control}Filename: ./tiny.deb\nSize: ${deb().length}\nSHA256: ${digest('sha256', deb())}\n\n`;
  const release = (): string => `Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n ${digest('sha256', list())} ${list().length} Packages\n`;
  return { '/debian/Release': () => text(release()), '/debian/Packages': () => text(list()), '/debian/tiny.deb': () => bytes(deb()) };
}

/** What a server without a git of its own has: https://git-scm.com/docs/http-protocol#_dumb_clients */
function gitRepository(): Resources {
  return { '/git/tiny.git/info/refs': () => text(`${'1'.repeat(40)}\trefs/heads/main\n`), '/git/tiny.git/HEAD': () => text('ref: refs/heads/main\n') };
}

/** Everything below the address of one server. */
export function tinyPackages(url: string): Resources {
  return {
    ...npmPackage(url, 'tiny', { '1.0.0': { 'package/index.js': `module.exports = '${hello('npm')}';\n` } }),
    ...pythonPackage(),
    ...rustPackage(url),
    ...goModule(),
    ...mavenPackage(),
    ...rubyGem(),
    ...debianPackage(),
    ...gitRepository(),
  };
}
