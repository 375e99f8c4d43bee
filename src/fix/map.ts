/** A map of the repository for whoever has never seen it: how large, in which languages, where it begins. From the base commit alone. */
import { posix } from 'node:path';
import type { TreeEntry } from '../git/mirror.ts';
import { field, parseJson } from './manifest.ts';

const languages: Readonly<Record<string, readonly string[]>> = {
  JavaScript: ['js', 'mjs', 'cjs', 'jsx'],
  TypeScript: ['ts', 'mts', 'cts', 'tsx'],
  Vue: ['vue'],
  Svelte: ['svelte'],
  Python: ['py', 'pyi', 'pyx'],
  Go: ['go'],
  Rust: ['rs'],
  Java: ['java'],
  Kotlin: ['kt', 'kts'],
  Scala: ['scala'],
  C: ['c', 'h'],
  'C++': ['cc', 'cpp', 'cxx', 'hh', 'hpp', 'hxx'],
  'C#': ['cs'],
  Ruby: ['rb', 'rake'],
  PHP: ['php'],
  Perl: ['pl', 'pm', 't'],
  Swift: ['swift'],
  'Objective-C': ['m', 'mm'],
  Elixir: ['ex', 'exs'],
  Erlang: ['erl'],
  Haskell: ['hs'],
  OCaml: ['ml', 'mli'],
  Clojure: ['clj', 'cljs', 'cljc'],
  Lua: ['lua'],
  R: ['r'],
  Julia: ['jl'],
  Dart: ['dart'],
  Zig: ['zig'],
  Shell: ['sh', 'bash', 'zsh'],
  SQL: ['sql'],
  CSS: ['css', 'scss', 'sass', 'less'],
  HTML: ['html', 'htm'],
};
const languageOf = new Map(Object.entries(languages).flatMap(([language, endings]) => endings.map((ending) => [ending, language] as const)));

/** What builds and installs; also deeper than the root, where a monorepo has them. */
const manifestNames =
  /(?:^|\/)(?:package\.json|pnpm-workspace\.yaml|deno\.jsonc?|pyproject\.toml|setup\.(?:py|cfg)|requirements[\w.-]*\.txt|tox\.ini|Pipfile|go\.(?:mod|work)|Cargo\.toml|pom\.xml|build\.gradle(?:\.kts)?|Gemfile|composer\.json|mix\.exs|CMakeLists\.txt|(?:GNU)?[Mm]akefile|[\w.-]+\.(?:csproj|sln))$/;
/** Where programs begin by habit. */
const entryNames = /^(?:(?:src|lib|app|cmd\/[\w.-]+|bin)\/)?(?:main|index|app|server|cli|lib|__main__|manage)\.(?:[cm]?[jt]sx?|py|go|rs|rb|php|java|c|cc|cpp)$/;
/** Brought along, or made: not what anybody wrote here. */
const foreign = /(?:^|\/)(?:node_modules|vendor|third_party|dist|build)\/|\.min\.(?:js|css)$/;
const plain = /^[\w@.+/ -]{1,120}$/;

export interface MapFiles {
  readonly tree: ReadonlyMap<string, Pick<TreeEntry, 'size'>>;
  /** Texts at the root, where there are any. */
  readonly packageJson: string | null;
  readonly makefile: string | null;
}

/** Some lines, at most about 2,000 characters. Names in it are the repository's, so they go between fences. */
export function drawMap({ tree, packageJson, makefile }: MapFiles): string {
  const paths = [...tree.keys()].filter((path) => plain.test(path));
  const bytes = [...tree.values()].reduce((sum, { size }) => sum + (size ?? 0), 0);
  const manifest = parseJson(packageJson);
  const own = paths.filter((path) => !foreign.test(path));
  const lines: readonly (readonly [string, readonly string[], number])[] = [
    ['Languages', shareLanguages(tree), 6],
    ['Top level', topLevel(paths), 30],
    ['Manifests', byDepth(own.filter((path) => manifestNames.test(path))), 12],
    ['Entry points', entryPoints(tree, manifest, own), 8],
    ['Scripts of package.json', namesOf(field(manifest, 'scripts')), 20],
    ['Of these', shownScripts(field(manifest, 'scripts')), 4],
    ['Targets of the Makefile', [...(makefile ?? '').matchAll(/^([\w-]{1,40})[ \t]*:(?!=)/gm)].map(([, name = '']) => name), 20],
    ['Tests', testFolders(own), 8],
  ];
  return [
    `${tree.size} files, ${inUnits(bytes)}`,
    ...lines.flatMap(([head, items, most]) => (items.length === 0 ? [] : [`${head}: ${list(items, most)}`])),
  ].join('\n');
}

function list(items: readonly string[], most: number): string {
  // To say that one is left takes as much room as it does.
  const shown = items.length === most + 1 ? items : items.slice(0, most);
  return shown.join(', ') + (items.length > shown.length ? ` and ${items.length - shown.length} more` : '');
}

function inUnits(bytes: number): string {
  return bytes < 2 ** 20 ? `${Math.max(1, Math.round(bytes / 1024))} KiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** The largest first, with its share of what has a language. */
function shareLanguages(tree: MapFiles['tree']): readonly string[] {
  const sums = new Map<string, number>();
  for (const [path, { size }] of tree) {
    const language = foreign.test(path) ? undefined : languageOf.get(/\.(\w{1,6})$/.exec(path)?.[1]?.toLowerCase() ?? '');
    if (language !== undefined) sums.set(language, (sums.get(language) ?? 0) + (size ?? 0));
  }
  const total = [...sums.values()].reduce((sum, size) => sum + size, 0);
  const shares = [...sums].map(([language, size]) => ({ language, percent: Math.round((100 * size) / Math.max(1, total)) }));
  return shares
    .filter(({ percent }) => percent > 0)
    .toSorted((one, other) => other.percent - one.percent)
    .map(({ language, percent }) => `${language} ${percent} %`);
}

/** Folders with the number of files in them, then files. */
function topLevel(paths: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const name = path.includes('/') ? `${path.slice(0, path.indexOf('/'))}/` : path;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const entries = [...counts].toSorted(([one], [other]) => Number(other.endsWith('/')) - Number(one.endsWith('/')));
  return entries.map(([name, count]) => (name.endsWith('/') ? `${name} (${count})` : name));
}

const byDepth = (paths: readonly string[]): readonly string[] => paths.toSorted((one, other) => one.split('/').length - other.split('/').length);

/** What package.json names and the tree has, then what begins by habit, then what only a build makes: nobody shall look for it. */
function entryPoints(tree: MapFiles['tree'], manifest: unknown, own: readonly string[]): readonly string[] {
  const declared = declaredEntries(manifest).map((path) => ({ path, found: findModule(tree, path) }));
  const built = declared.flatMap(({ path, found }) => (found === undefined ? [`${path} (not in the tree; perhaps built)`] : []));
  return [...new Set([...declared.flatMap(({ found }) => found ?? []), ...own.filter((path) => entryNames.test(path)), ...built])];
}

/** Node's own search: https://nodejs.org/api/modules.html#all-together */
function findModule(tree: MapFiles['tree'], path: string): string | undefined {
  return [path, `${path}.js`, `${path}.json`, posix.join(path, 'index.js')].find((name) => tree.has(name));
}

function declaredEntries(manifest: unknown): readonly string[] {
  const bin = field(manifest, 'bin');
  const programs: readonly unknown[] = typeof bin === 'object' && bin !== null ? Object.values(bin) : [bin];
  const values = [field(manifest, 'main'), field(manifest, 'module'), ...programs];
  const paths = values.filter((value): value is string => typeof value === 'string' && plain.test(value));
  return paths.map((path) => posix.normalize(path).replace(/\/$/, '')).filter((path) => !/^(?:\/|\.\.?(?:\/|$)|$)/.test(path));
}

function namesOf(value: unknown): readonly string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value).filter((name) => /^[\w:.@/-]{1,60}$/.test(name)) : [];
}

/** What the scripts for tests and style stand for: how the wider suite is run. */
function shownScripts(scripts: unknown): readonly string[] {
  return ['test', 'test:unit', 'lint', 'build'].flatMap((name) => {
    const script = field(scripts, name);
    return typeof script === 'string' && script.trim() !== '' ? [`${name} = \`${script.replaceAll(/\s+/g, ' ').slice(0, 300)}\``] : [];
  });
}

/** Folders that tests lie in, the fullest first. */
function testFolders(paths: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const path of paths) {
    if (path.startsWith('.github/')) continue;
    if (!/(?:^|\/)(?:tests?|specs?|__tests__)\/|[._-](?:test|spec)\.\w{1,4}$|(?:^|\/)test_[^/]*\.py$|_test\.go$/.test(path)) continue;
    const folder = path.includes('/') ? `${path.slice(0, path.lastIndexOf('/'))}/` : './';
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].toSorted(([, one], [, other]) => other - one).map(([folder, count]) => `${folder} (${count})`);
}
