/**
 * How a repository is set up and tested when nobody said it: from the files at the root of the base commit. Every command
 * is ours; of what a file says only a version number gets into one.
 */
import { field, parseJson } from './manifest.ts';

export interface RootFiles {
  readonly has: (path: string) => boolean;
  /** Null when there is no such file, or it is too large. */
  readonly text: (path: string) => string | null;
  /** Whether some path of the whole tree is like this. */
  readonly some: (pattern: RegExp) => boolean;
}

export interface Detected {
  readonly setup: readonly string[];
  readonly test: { readonly command: string; readonly source: string } | null;
}

/** What `pip` reads, where projects keep it by habit. */
const requirementFiles = [
  'requirements.txt',
  'requirements-dev.txt',
  'dev-requirements.txt',
  'requirements-test.txt',
  'test-requirements.txt',
  'requirements/dev.txt',
  'requirements/test.txt',
];

/** The files whose text is asked for. */
export const readAtRoot = [
  'package.json',
  'Makefile',
  'GNUmakefile',
  'pyproject.toml',
  'setup.cfg',
  'tox.ini',
  'Gemfile',
  'composer.json',
  ...requirementFiles,
];

type Ecosystem = (files: RootFiles) => Detected | null;

/** The first one with a test command decides; a Makefile speaks for all of them, so all are set up for it. */
export function detect(files: RootFiles): Detected {
  const found = [javascript, python, rust, go, maven, gradle, ruby, php].flatMap((ecosystem) => ecosystem(files) ?? []);
  const script = found[0] && found[0].test?.source === 'package.json' ? found[0] : null;
  if (script) return script;
  const makefile = ['GNUmakefile', 'Makefile'].find((path) => files.has(path));
  const target = makefile && /^(test|check)[ \t]*:(?!=)/m.exec(files.text(makefile) ?? '')?.[1];
  if (makefile && target) return { setup: found.flatMap(({ setup }) => setup), test: { command: `make ${target}`, source: makefile } };
  return found.find(({ test }) => test !== null) ?? { setup: found.flatMap(({ setup }) => setup), test: null };
}

const install = (...packages: readonly string[]): string =>
  `sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends ${packages.join(' ')}`;

/** Debian's package of a toolchain, unless the guest has it already. */
const fromDebian = (program: string, ...packages: readonly string[]): string => `command -v ${program} >/dev/null || { ${install(...packages)}; }`;

const javascript: Ecosystem = (files) => {
  const manifest = parseJson(files.text('package.json'));
  if (manifest === null) return null;
  const client = chooseClient(manifest, files);
  return { setup: installScripts(manifest, client, files), test: findScript(manifest, client, files) };
};

type Client = { readonly name: 'npm' | 'yarn' | 'pnpm'; readonly install: string | null };

/** https://nodejs.org/api/packages.html#packagemanager, then what the lockfiles say. The guest has npm; the others come from it. */
function chooseClient(manifest: unknown, { has }: RootFiles): Client {
  const asked = field(manifest, 'packageManager');
  const [, name, version] = /^(yarn|pnpm)@(\d+(?:\.\d+){0,2})/.exec(typeof asked === 'string' ? asked : '') ?? [];
  if (name === 'pnpm' || (name === undefined && has('pnpm-lock.yaml'))) return { name: 'pnpm', install: `pnpm${version ? `@${version}` : ''}` };
  if (name !== 'yarn' && !has('yarn.lock')) return { name: 'npm', install: null };
  // Newer Yarns are another package; a checkout that brings its own is found by Yarn 1.
  const berry = version !== undefined && !version.startsWith('1') && !has('.yarn/releases');
  return { name: 'yarn', install: berry ? `@yarnpkg/cli-dist@${version}` : 'yarn@1' };
}

function installScripts(manifest: unknown, { name, install }: Client, { has }: RootFiles): readonly string[] {
  const client = install === null ? [] : [`npm install -g --no-audit --no-fund ${install}`];
  if (name === 'pnpm') return [...client, has('pnpm-lock.yaml') ? 'pnpm install --frozen-lockfile' : 'pnpm install'];
  if (name === 'yarn')
    return [
      ...client,
      has('yarn.lock') ? (install === 'yarn@1' && !has('.yarnrc.yml') ? 'yarn install --frozen-lockfile' : 'yarn install --immutable') : 'yarn install',
    ];
  if (has('package-lock.json') || has('npm-shrinkwrap.json')) return ['npm ci --no-audit --no-fund'];
  const lists = ['dependencies', 'devDependencies', 'optionalDependencies', 'workspaces'];
  return lists.some((list) => field(manifest, list) !== undefined) ? ['npm install --no-audit --no-fund'] : [];
}

/** The test script, when it is not npm's placeholder; without one, those of the workspaces. */
function findScript(manifest: unknown, { name }: Client, { has, some }: RootFiles): Detected['test'] {
  const script = field(manifest, 'scripts', 'test');
  if (typeof script === 'string' && script.trim() !== '' && !script.includes('no test specified')) return { command: `${name} test`, source: 'package.json' };
  if (field(manifest, 'workspaces') === undefined && !has('pnpm-workspace.yaml')) return null;
  if (!some(/^.+\/package\.json$/)) return null;
  const all = { npm: 'npm test --workspaces --if-present', yarn: 'npm test --workspaces --if-present', pnpm: 'pnpm -r --if-present test' };
  return { command: all[name], source: 'the workspaces of package.json' };
}

const python: Ecosystem = (files) => {
  const { has, text, some } = files;
  const packaged = ['pyproject.toml', 'setup.py', 'setup.cfg'].filter(has);
  const requirements = requirementFiles.filter(has);
  if (packaged.length + requirements.length === 0 && !has('tox.ini') && !has('pytest.ini')) return null;
  const saysPytest = readAtRoot.some((path) => /\bpytest\b/.test(text(path) ?? ''));
  const pytest = saysPytest || has('pytest.ini') || some(/(?:^|\/)conftest\.py$/);
  // The extras that projects use by habit for what their tests need.
  const extra = /^[ \t]*"?(tests?|testing|dev)"?[ \t]*=[ \t]*\[/m.exec(
    /\[project\.optional-dependencies\][^]*?(?=^\[|$(?![^]))/m.exec(text('pyproject.toml') ?? '')?.[0] ?? '',
  )?.[1];
  const isPackage = has('setup.py') || /^\[(?:build-system|project)\]/m.test(text('pyproject.toml') ?? '');
  const target = extra === undefined ? '.' : `'.[${extra}]'`;
  const setup = [
    ...requirements.map((path) => `pip install -q -r ${path}`),
    // Without isolation where PyPI has no build tools to give: then those of the guest do.
    ...(isPackage ? [`pip install -q -e ${target} || pip install -q --no-build-isolation -e ${target}`] : []),
    // Last, so that a version that the project asks for stays; Debian's where there is no way to PyPI.
    ...(pytest ? [`python -c 'import pytest' 2>/dev/null || pip install -q pytest || { ${install('python3-pytest')}; }`] : []),
  ];
  const source = ['pytest.ini', 'tox.ini', ...packaged, ...requirements].find(has) ?? 'the Python files';
  if (pytest) return { setup, test: { command: 'python -m pytest', source } };
  return { setup, test: some(/(?:^|\/)test_?[^/]*\.py$/) ? { command: 'python -m unittest discover', source } : null };
};

const rust: Ecosystem = ({ has }) =>
  has('Cargo.toml')
    ? { setup: [fromDebian('cargo', 'cargo', 'rustc'), 'cargo fetch'], test: { command: 'cargo test --no-fail-fast', source: 'Cargo.toml' } }
    : null;

const go: Ecosystem = ({ has }) =>
  has('go.mod') ? { setup: [fromDebian('go', 'golang-go'), 'go mod download'], test: { command: 'go test ./...', source: 'go.mod' } } : null;

const maven: Ecosystem = ({ has }) =>
  has('pom.xml')
    ? {
        setup: [fromDebian('mvn', 'maven', 'default-jdk-headless'), 'mvn -q -B -DskipTests test-compile dependency:go-offline'],
        test: { command: 'mvn -B -o test', source: 'pom.xml' },
      }
    : null;

const gradle: Ecosystem = ({ has }) => {
  const source = ['build.gradle', 'build.gradle.kts'].find(has);
  if (source === undefined || !has('gradlew')) return null;
  return { setup: [fromDebian('javac', 'default-jdk-headless'), './gradlew testClasses'], test: { command: './gradlew --offline test', source } };
};

const ruby: Ecosystem = ({ has, text, some }) => {
  if (!has('Gemfile')) return null;
  const setup = [fromDebian('bundle', 'bundler', 'ruby-dev'), 'bundle config set --local path .bundle/gems', 'bundle install'];
  if (/\brspec\b/.test(text('Gemfile') ?? '') || some(/^spec\/.*_spec\.rb$/)) return { setup, test: { command: 'bundle exec rspec', source: 'Gemfile' } };
  return { setup, test: has('Rakefile') ? { command: 'bundle exec rake test', source: 'Rakefile' } : null };
};

const php: Ecosystem = ({ text }) => {
  const manifest = parseJson(text('composer.json'));
  if (manifest === null) return null;
  const scripted = field(manifest, 'scripts', 'test') !== undefined;
  return {
    setup: [fromDebian('composer', 'composer', 'php-cli', 'php-xml', 'php-mbstring'), 'composer install --no-interaction --no-progress'],
    test: { command: scripted ? 'composer test' : 'vendor/bin/phpunit', source: 'composer.json' },
  };
};
