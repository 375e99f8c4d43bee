/** What a path says about a file's part in testing. By name alone: the host does not run what it judges. */

const testFolder = /(?:^|\/)(?:tests?|__tests__|specs?|testdata|fixtures|__fixtures__|__snapshots__|__mocks__|e2e)\//i;
const testName =
  /(?:^|\/)(?:[^/]+[._-](?:test|spec|tests|specs|e2e)\.[cm]?[jt]sx?|test_[^/]+\.py|[^/]+_test\.(?:py|go|rb|exs|dart|cc|cpp)|[^/]+_spec\.rb|[^/]*(?:Test|Tests|IT|Spec)\.(?:java|kt|scala|groovy|cs|php|swift)|[^/]+\.snap|tests?\.(?:[cm]?[jt]sx?|py|rs|sh))$/;

/** A file that only tests read. */
export function isTestFile(path: string): boolean {
  return !isTestConfiguration(path) && (testFolder.test(path) || testName.test(path));
}

const oneOf = (...names: readonly string[]): RegExp => new RegExp(`(?:^|/)(?:${names.join('|')})$`);

const configurationName = oneOf(
  '(?:jest|vitest|karma|playwright|cypress|ava|nightwatch|wtr|web-test-runner|nyc|c8)(?:\\.[\\w-]+)?\\.config\\.[cm]?[jt]s(?:on)?',
  'vitest\\.(?:workspace|projects)\\.[cm]?[jt]s(?:on)?',
  'karma\\.conf\\.[cm]?[jt]s',
  '\\.(?:mocharc|taprc|nycrc|c8rc)(?:\\.\\w+)?',
  'mocha\\.opts',
  '\\.?pytest\\.ini',
  'tox\\.ini',
  'noxfile\\.py',
  '\\.coveragerc',
  '\\.rspec',
  'phpunit\\.xml(?:\\.dist)?',
  'nextest\\.toml',
);

/** A file that does nothing but decide which tests run, and how: in the proof it is that of the base. */
export function isTestConfiguration(path: string): boolean {
  return configurationName.test(path);
}

const mixedName = oneOf(
  'conftest\\.py',
  'sitecustomize\\.py',
  '(?:jest|vitest|test)[.-]setup\\.[cm]?[jt]sx?',
  'setup[.-]?tests?\\.[cm]?[jt]sx?',
  '(?:test|spec|rails)_helper\\.rb',
  'vite\\.config\\.[cm]?[jt]s',
  'bunfig\\.toml',
  'setup\\.cfg',
  '(?:GNUm|[Mm])akefile',
  '[Jj]ustfile',
  'Taskfile\\.ya?ml',
  'Rakefile',
  'pom\\.xml',
  'build\\.gradle(?:\\.kts)?',
  'pnpm-workspace\\.yaml',
);

/** A file that builds or prepares, and can decide how tests run beside that. The patch may need its own, so that is used; but then less is proven. */
export function mayDecideTests(path: string): boolean {
  return mixedName.test(path);
}

/** A file that says what is to be installed: when it changes, the setup commands are run again. */
export function isManifest(path: string): boolean {
  return /(?:^|\/)(?:package\.json|package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|pnpm-workspace\.yaml|requirements[\w.-]*\.txt|pyproject\.toml|setup\.py|Pipfile(?:\.lock)?|poetry\.lock|uv\.lock|Cargo\.(?:toml|lock)|go\.(?:mod|sum)|pom\.xml|build\.gradle(?:\.kts)?|Gemfile(?:\.lock)?|composer\.(?:json|lock))$/.test(
    path,
  );
}
