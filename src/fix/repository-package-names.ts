/** The names of packages that a repository itself names: asking a registry for them tells it nothing. */
import type { Snapshot } from '../git/mirror.ts';

const maxFileBytes = 4 * 2 ** 20;
const maxWords = 200_000;
/** At the top of the repository. */
const files = [
  'package.json',
  'package-lock.json',
  'npm-shrinkwrap.json',
  'yarn.lock',
  'pnpm-lock.yaml',
  'pyproject.toml',
  'poetry.lock',
  'uv.lock',
  'requirements.txt',
  'requirements-dev.txt',
  'Cargo.toml',
  'Cargo.lock',
  'go.mod',
  'go.sum',
  'Gemfile',
  'Gemfile.lock',
];

/** Knows the base's names as soon as they have been read; until then none. Nobody has to wait for it. */
export function createPackageNames(snapshot: Snapshot, signal: AbortSignal): (name: string) => boolean {
  const words = new Set<string>();
  const read = async (): Promise<void> => {
    const tree = await snapshot.tree(signal);
    for (const path of files) if (tree.has(path)) addPackageNames(words, (await snapshot.readFile(path, maxFileBytes, signal))?.toString('utf8') ?? '');
  };
  // What cannot be read names nothing.
  read().catch(() => {});
  return (name) => words.has(name);
}

/** Every word of a file is taken for a name, whatever its format is: versions and hashes among them do no harm. */
export function addPackageNames(words: Set<string>, text: string): void {
  for (const [match] of text.matchAll(/[\w@][\w@./+-]{0,300}/g)) {
    if (words.size >= maxWords) return;
    const installed = match.split('node_modules/').at(-1) ?? '';
    const [name = ''] = /^@?[^@]*/.exec(installed) ?? [];
    words.add(name);
    // As PyPI spells it.
    words.add(name.toLowerCase().replace(/[-_.]+/g, '-'));
  }
}
