/**
 * What a repository has that cannot run in a VM, found in its base commit before anything boots. Files in, sentences out;
 * the sentences are ours alone, because people and the model read them.
 */
import { field, parseJson } from './manifest.ts';
import type { Snapshot, TreeEntry } from '../git/mirror.ts';

export interface BaseFiles {
  readonly tree: ReadonlyMap<string, Pick<TreeEntry, 'mode'>>;
  /** Texts of the files that `isTelling` names. */
  readonly texts: ReadonlyMap<string, string>;
}

type Kind = 'attributes' | 'npm' | 'python' | 'cargo' | 'compose' | 'workflow';

const kinds: Readonly<Record<Kind, RegExp>> = {
  attributes: /(?:^|\/)\.gitattributes$/,
  npm: /(?:^|\/)package\.json$/,
  python: /(?:^|\/)(?:requirements[\w.-]*\.txt|requirements\/[\w.-]+\.txt|pyproject\.toml|Pipfile)$/,
  cargo: /(?:^|\/)Cargo\.toml$/,
  compose: /^(?:docker-)?compose\.ya?ml$/,
  workflow: /^\.github\/workflows\/[^/]+\.ya?ml$/,
};

/** A monorepo has thousands of manifests: the ones nearest to the root tell enough. */
const maxFilesOfKind = 15;
const maxFileBytes = 262_144;

/** Reads what `findGaps` looks at; at most 15 files of each kind, 256 KiB each. */
export async function readBaseFiles(snapshot: Snapshot, signal: AbortSignal): Promise<BaseFiles> {
  const tree = await snapshot.tree(signal);
  const texts = new Map<string, string>();
  for (const path of chooseFiles([...tree.keys()])) {
    const bytes = await snapshot.readFile(path, maxFileBytes, signal);
    if (bytes) texts.set(path, bytes.toString('utf8'));
  }
  return { tree, texts };
}

function chooseFiles(paths: readonly string[]): readonly string[] {
  const depth = (path: string): number => path.split('/').length;
  return Object.values(kinds).flatMap((pattern) =>
    paths
      .filter((path) => pattern.test(path) && !path.includes('node_modules/'))
      .toSorted((one, other) => depth(one) - depth(other))
      .slice(0, maxFilesOfKind),
  );
}

/** One plain sentence for each kind of thing that a VM does not have. Empty: nothing was found. */
export function findGaps({ tree, texts }: BaseFiles): readonly string[] {
  const some = (kind: Kind, test: (text: string) => boolean): boolean => [...texts].some(([path, text]) => kinds[kind].test(path) && test(text));
  const fromGit = [some('npm', hasGitPackage) && 'npm', some('python', hasGitRequirement) && 'Python', some('cargo', hasGitCrate) && 'Cargo'];
  const containers = [some('compose', hasServices) && 'a compose file', some('workflow', hasServices) && 'workflows'];
  const sentences = [
    [...tree.values()].some(({ mode }) => mode === '160000') &&
      'The repository has submodules. They are empty folders in the VM, so tests that need them cannot run there.',
    some('attributes', (text) => /^[^#\n]*\sfilter=lfs\b/m.test(text)) &&
      'The repository has Git LFS files. They are pointers in the VM, so tests that need them cannot run there.',
    name(fromGit) &&
      `Dependencies come straight from git (${name(fromGit)}). The VM reaches package registries, not git servers, so unless \`allow\` names their host they cannot be installed there.`,
    name(containers) && `Service containers are declared (${name(containers)}). The VM runs no containers, so tests that need them cannot run there.`,
  ];
  return sentences.filter((sentence): sentence is string => typeof sentence === 'string' && sentence !== '');
}

const name = (found: readonly (string | false)[]): string => found.filter((item) => item !== false).join(', ');

/** What npm takes for git: https://docs.npmjs.com/cli/configuring-npm/package-json#git-urls-as-dependencies */
const gitPackage = /^(?:git(?:\+|:|@)|(?:github|gitlab|bitbucket|gist):|https?:\/\/[^#]+\.git(?:#|$)|[\w-][\w.-]*\/[\w.-]+(?:#.*)?$)/;

function hasGitPackage(text: string): boolean {
  const manifest = parseJson(text);
  const lists = ['dependencies', 'devDependencies', 'optionalDependencies'].map((list) => field(manifest, list));
  return lists.flatMap((list): readonly unknown[] => Object.values(list ?? {})).some((wanted) => typeof wanted === 'string' && gitPackage.test(wanted));
}

const hasGitRequirement = (text: string): boolean => /^[^#\n]*(?:\bgit\+(?:https?|ssh|git|file):|\bgit\s*=\s*["'])/m.test(text);
const hasGitCrate = (text: string): boolean => /^[^#\n]*\bgit\s*=\s*["']/m.test(text);
/** A key with a block below it, at any depth: no parser for a file that nobody vouches for. */
const hasServices = (text: string): boolean => /^[ \t]*services:[ \t]*(?:#.*)?$/m.test(text);
