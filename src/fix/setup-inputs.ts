/**
 * Whether setup commands have to run again on a newer commit. What a command reads is not known in general; of those that
 * only install packages it is: what declares them. A wrong yes costs time; a wrong no only misleads the agent, for what is
 * proven has a setup of its own.
 */
import type { TreeEntry } from '../git/mirror.ts';
import { field, parseJson } from './manifest.ts';

type Tree = ReadonlyMap<string, TreeEntry>;

/** They take what manifests and lockfiles say, and run what packages bring; nothing is built from the sources of the repository. */
const installsOnly = [
  /^(?:npm (?:ci|i|install)|pnpm (?:i|install)|yarn(?: install)?)(?: --[a-z][\w-]*)*$/,
  /^npm install -g(?: --[a-z][\w-]*)*(?: @?[\w./-]+(?:@[\w.-]+)?)+$/,
  /^(?:python -m )?pip install(?: -q)? -r [\w./-]+$/,
  /^(?:cargo fetch|go mod download)$/,
  /^command -v [\w-]+ >\/dev\/null \|\| \{ sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends(?: [\w.+-]+)+; \}$/,
];

/** npm and its like run these of the repository itself, and they may read anything: https://docs.npmjs.com/cli/v11/using-npm/scripts#life-cycle-scripts */
const lifecycle = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare', 'dependencies'];

/** Manifests, lockfiles, configuration, patches, and what scripts of packages make code from: by how such files are named, rather too many than too few. */
const declares =
  /\.(?:json|jsonc|json5|toml|lock|lockb|ya?ml|txt|in|cfg|ini|mod|sum|work|patch|diff|gyp|tgz|prisma|proto|graphql|gql)$|(?:^|\/)(?:patches\/|[^/]*\.config\.[^/]*$|(?:Makefile|Pipfile|Gemfile|Rakefile|setup\.py)$)/i;
/** `.npmrc`, `.yarn/`, `.cargo/`. */
const hidden = /(?:^|\/)\./;
/** What GitHub reads is read by nobody else. */
const forGitHub = /^\.github\//;

export interface SetupChange {
  readonly setup: readonly string[];
  readonly before: Tree;
  readonly after: Tree;
  /** package.json at the root of both, which is the same; null when there is none. */
  readonly packageJson: string | null;
}

/** True unless no command can have read what is different between the two. */
export function mustSetUpAgain({ setup, before, after, packageJson }: SetupChange): boolean {
  if (setup.length === 0) return false;
  if (!setup.every((command) => installsOnly.some((pattern) => pattern.test(command)))) return true;
  if (after.has('binding.gyp') || after.has('pnpm-workspace.yaml') || buildsItself(packageJson)) return true;
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].some((path) => before.get(path)?.sha !== after.get(path)?.sha && isInput(path));
}

const isInput = (path: string): boolean => !forGitHub.test(path) && (hidden.test(path) || declares.test(path));

function buildsItself(packageJson: string | null): boolean {
  const manifest = parseJson(packageJson);
  if (manifest === null) return packageJson !== null;
  if (field(manifest, 'workspaces') !== undefined) return true;
  if (lifecycle.some((name) => field(manifest, 'scripts', name) !== undefined)) return true;
  // Packages from folders of the repository itself.
  return /"(?:file|link|portal|workspace):/.test(packageJson ?? '');
}

const lockfile =
  /(?:^|\/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|Cargo\.lock|go\.sum|go\.work\.sum|Gemfile\.lock|composer\.lock|poetry\.lock|uv\.lock|pdm\.lock|Pipfile\.lock|requirements[^/]*\.txt|gradle\.lockfile|packages\.lock\.json|mix\.lock)$/;

/** What pins packages, with the ids of its content. */
export const lockfilesOf = (tree: Tree): readonly (readonly [path: string, sha: string])[] =>
  [...tree].flatMap(([path, { sha }]) => (lockfile.test(path) ? [[path, sha] as const] : [])).toSorted(([one], [other]) => (one < other ? -1 : 1));
