/**
 * Which package a request to a registry is about. After setup the names that a run asks for are counted: a registry
 * writes them down, so each is a word that leaves the VM.
 */

/** How the paths of a registry are made. */
export type RegistryKind = 'npm' | 'pypi' | 'crates' | 'go' | 'rubygems' | 'maven' | 'debian';

export interface Registry {
  readonly kind: RegistryKind;
  /** `registry.npmjs.org`, `registry.example.org:8443`. */
  readonly host: string;
  /** Begins and ends with a slash. */
  readonly basePath: string;
}

/** Some patterns take the square of the length. */
const maxReadLength = 1000;

type Read = (path: string) => string | undefined;

/** https://semver.org/: npm and crates take no other. */
const semver = String.raw`\d+\.\d+\.\d+(?:[-+][\w.+-]{1,64})?`;
const npmPath = new RegExp(String.raw`^((?:(@[^/]+)/)?([^@/-][^/]*))(?:/-/(?:\2/)?\3-${semver}\.tgz|/${semver}|/latest)?$`);
const pypiFile = /^packages\/[\da-f]{2}\/[\da-f]{2}\/[\da-f]{60}\/([^/]+?)-\d[\w.!+]{0,64}(?:-[\w.-]{1,200})?\.(?:whl|tar\.gz|tar\.bz2|zip)(?:\.metadata)?$/;
const crateFile = new RegExp(String.raw`^crates/([^/]+)/(?:\1-${semver}\.crate|${semver}(?:/download)?)$`);
const goVersion = String.raw`v\d+\.\d+\.\d+(?:[-+][\w.+-]{1,64})?`;
const goPath = new RegExp(String.raw`^([^@]+)/(?:@latest|@v/(?:list|${goVersion}\.(?:info|mod|zip)))$`);
const goSums = new RegExp(String.raw`^(?:sumdb/[^/]+/)?lookup/([^@]+)@${goVersion}$`);
const goTile = /^(?:sumdb\/[^/]+\/)?(?:latest|supported|tile\/\d{1,2}\/(?:\d{1,2}|data)\/(?:x\d{3}\/){0,3}\d{3}(?:\.p\/\d{1,3})?)$/;
const gemFile = /^(?:gems|quick\/Marshal\.4\.8)\/([^/]+?)-\d+(?:\.\w{1,20}){0,8}(?:-[a-z][\w.-]{1,40})?\.(?:gem|gemspec\.rz)$/;

/**
 * Each gets a path without the slash at its beginning. What none of its patterns knows is a name of its own: versions and
 * files have to look like some, or they would carry whatever a guest likes.
 */
const readers: Record<RegistryKind, Read> = {
  // https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md
  npm: (path) => npmPath.exec(path)?.[1],
  // https://packaging.python.org/en/latest/specifications/simple-repository-api/, and the files, whose names begin with the project's
  pypi: (path) => dashed(/^(?:simple|pypi)\/([^/]+)(?:\/json|\/)?$/.exec(path)?.[1] ?? pypiFile.exec(path)?.[1]),
  crates: (path) => (path === 'config.json' ? '' : (indexedCrate(path) ?? crateFile.exec(path)?.[1])),
  // https://go.dev/ref/mod#goproxy-protocol, and the checksum database, which is asked for tiles of its log
  go: (path) => (goTile.test(path) ? '' : unescaped((goSums.exec(path) ?? goPath.exec(path))?.[1])),
  // https://guides.rubygems.org/rubygems-org-compact-index-api/
  rubygems: (path) =>
    /^(?:versions|names|(?:prerelease_|latest_)?specs\.4\.8\.gz)$/.test(path) ? '' : (/^info\/([^/]+)$/.exec(path)?.[1] ?? gemFile.exec(path)?.[1]),
  // https://maven.apache.org/repository/layout.html
  maven: (path) => (/^(.+\/([^/]+))\/[^/]+\/\2-[^/]+$/.exec(path) ?? /^(.+)\/maven-metadata\.xml(?:\.[a-z\d]{1,6})?$/.exec(path))?.[1],
  // https://wiki.debian.org/DebianRepository/Format
  debian: (path) => /^([^/]+\/dists\/[^/]+)\//.exec(path)?.[1] ?? /^(.+\/pool\/.+)\/[^/]+$/.exec(path)?.[1],
};

/** https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files: the folders say nothing that the name does not. */
function indexedCrate(path: string): string | undefined {
  const name = path.split('/').at(-1) ?? '';
  const folders = name.length > 3 ? `${name.slice(0, 2)}/${name.slice(2, 4)}` : name.length === 3 ? `3/${name[0]}` : `${name.length}`;
  return name !== '' && path === `${folders}/${name}` ? name : undefined;
}

/** https://go.dev/ref/mod#goproxy-protocol: capitals are written as `!` and the small letter. */
const unescaped = (name: string | undefined): string | undefined => name?.replace(/!([a-z])/g, (_match, letter: string) => letter.toUpperCase());

/** https://packaging.python.org/en/latest/specifications/name-normalization/ */
const dashed = (name: string | undefined): string | undefined => name?.toLowerCase().replace(/[-_.]+/g, '-');

/** Empty for what every client asks for whatever it wants; a query is a name whatever it says. */
export function packageName({ kind, basePath }: Registry, path: string, query: string | null): string {
  if (!path.startsWith(basePath)) return path;
  const below = path.slice(basePath.length);
  if (query !== null && query !== '') return `${below}?${query}`;
  return below.length > maxReadLength ? below : (readers[kind](below) ?? below);
}
