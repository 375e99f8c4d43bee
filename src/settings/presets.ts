/** The hosts of the usual package registries, by the name people know them under. */
export const hostPresets = {
  npm: ['registry.npmjs.org'],
  yarn: ['registry.yarnpkg.com'],
  pypi: ['pypi.org', 'files.pythonhosted.org'],
  crates: ['index.crates.io', 'static.crates.io'],
  go: ['proxy.golang.org', 'sum.golang.org'],
  rubygems: ['rubygems.org', 'index.rubygems.org'],
  maven: ['repo.maven.apache.org', 'repo1.maven.org'],
  // apt speaks plain HTTP to these and checks signatures itself.
  debian: ['deb.debian.org', 'security.debian.org'],
} as const satisfies Record<string, readonly string[]>;

/** What setup may reach by default. */
export const usualRegistries: readonly string[] = Object.values(hostPresets).flat();
