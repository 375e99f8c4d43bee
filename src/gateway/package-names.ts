/**
 * Which package a request to a registry is about. After setup the names that a VM asks for are counted: a registry
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
/** Versions may be anything (`r09`, `Finchley.SR1`); the file of a snapshot has the moment of its making in the place of the word. */
const mavenFile = /^(.+\/([^/]+))\/([\w.+-]{1,64})\/\2-(?:\3|[\w.+-]{1,48}-\d{8}\.\d{6}-\d{1,6})(?:-[a-z][\w.-]{0,40})?(?:\.[a-z][a-z\d]{0,9}){1,4}$/;
const mavenMetadata = /^(.+)\/maven-metadata\.xml(?:\.[a-z\d]{1,6})?$/;
const debianIndex =
  /^([^/]+\/dists\/[^/]+)\/(?:InRelease|Release(?:\.gpg)?|(?:[a-z][a-z-]{0,30}\/){1,2}(?:(?:binary-[a-z\d-]{1,20}|source|i18n|dep11|cnf)\/)?(?:by-hash\/(?:MD5Sum|SHA1|SHA256|SHA512)\/[\da-f]{32,128}|[A-Z][\w@.-]{1,40}))$/;
const debianFile = /^([^/]+\/pool\/.+)\/[a-z\d][a-z\d+.-]{1,80}_[\w.+~%-]{1,100}\.(?:u?deb|dsc|gz|xz|bz2|asc)$/;
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
  maven: (path) => (mavenFile.exec(path) ?? mavenMetadata.exec(path))?.[1],
  // https://wiki.debian.org/DebianRepository/Format
  debian: (path) => (debianIndex.exec(path) ?? debianFile.exec(path))?.[1],
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
