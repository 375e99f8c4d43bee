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

/** Each gets a path without the slash at its beginning. What none of its patterns knows is a name of its own. */
const readers: Record<RegistryKind, Read> = {
  // https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md
  npm: (path) => /^((?:@[^/]+\/)?[^@/-][^/]*)(?:\/-\/[^/]+\.tgz|\/\d[^/]*|\/latest)?$/.exec(path)?.[1],
  // https://packaging.python.org/en/latest/specifications/simple-repository-api/, and the files, whose names begin with the project's
  pypi: (path) => dashed(/^(?:simple|pypi)\/([^/]+)(?:\/json|\/)?$/.exec(path)?.[1] ?? /^packages\/(?:[^/]+\/){3}([^/]+?)-\d[^/]*$/.exec(path)?.[1]),
  // https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files
  crates: (path) =>
    path === 'config.json'
      ? ''
      : (/^(?:[123]|[^/]{2}\/[^/]{2})\/(?:[^/]\/)?([^/]+)$/.exec(path)?.[1] ?? /^crates\/([^/]+)\/[^/]+(?:\/download)?$/.exec(path)?.[1]),
  // https://go.dev/ref/mod#goproxy-protocol, and the checksum database, which is asked for tiles of its log
  go: (path) =>
    /^(?:latest|supported|tile\/[\dx/.pdata]+)$/.test(path) ? '' : unescaped(/^(?:lookup\/|sumdb\/[^/]+\/lookup\/)?([^@]+?)(?:\/?@.+)$/.exec(path)?.[1]),
  // https://guides.rubygems.org/rubygems-org-compact-index-api/
  rubygems: (path) =>
    /^(?:versions|names|(?:prerelease_|latest_)?specs\.4\.8\.gz)$/.test(path)
      ? ''
      : (/^info\/([^/]+)$/.exec(path)?.[1] ?? /^(?:gems|quick\/Marshal\.4\.8)\/([^/]+?)-\d[^/]*$/.exec(path)?.[1]),
  // https://maven.apache.org/repository/layout.html
  maven: (path) => /^(.+)\/[^/]+\/[^/]+$/.exec(path)?.[1],
  // https://wiki.debian.org/DebianRepository/Format
  debian: (path) => /^([^/]+\/dists\/[^/]+)\//.exec(path)?.[1] ?? /^(.+\/pool\/.+)\/[^/]+$/.exec(path)?.[1],
};

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
