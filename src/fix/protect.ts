/**
 * Which paths a patch may touch. Protected is what decides who may do what, or runs by itself on the machine of a
 * developer or of CI; in between are paths that a person should look at first. The settings of the default branch may
 * relax most of it, the operator may pin what stays refused.
 */
import { matchesGlob } from '../settings/globs.ts';

/** Patterns as in the settings. */
export interface ProtectedPaths {
  readonly refuse: readonly string[];
  readonly ask: readonly string[];
  readonly allow: readonly string[];
}

export interface Protection {
  /** `named`: the settings say so, so no second look at the content is wanted. */
  decide(path: string): { readonly verdict: 'refuse' | 'ask' | 'allow'; readonly named: boolean };
}

/** Nothing relaxes these: the rules themselves, what GitHub takes from no App without another permission, where git fetches code from. */
const always = ['.github/mayfly.yml', '.github/mayfly.yaml', '.github/workflows/', '.gitmodules', '.lfsconfig'];

// A folder of a monorepo is opened and worked in like a repository of its own; what GitHub and CI services read is at the top only.
const refused = [
  '.github/',
  '**/.husky/',
  '**/.devcontainer/',
  '**/.vscode/',
  '**/.idea/',
  '**/.claude/',
  '**/.cursor/',
  '**/.gemini/',
  '.circleci/',
  '.buildkite/',
  '**/.yarn/releases/',
  '**/.yarn/plugins/',
  '.gitattributes',
  '.gitconfig',
  '.mailmap',
  'codeowners',
  '.mcp.json',
  'claude.md',
  'claude.local.md',
  '.devcontainer.json',
  '.pre-commit-config.yaml',
  'agents.md',
  '.cursorrules',
  '.npmrc',
  '.yarnrc',
  '.yarnrc.*',
  '.pnpmfile.cjs',
  '.pnpmfile.mjs',
  '.envrc',
  'bunfig.toml',
  '.gitlab-ci.yml',
  'jenkinsfile',
  'azure-pipelines.yml',
  '.travis.yml',
];

/** What installs and what ships. */
const lockfiles = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'yarn.lock',
  'pnpm-lock.yaml',
  'bun.lock',
  'bun.lockb',
  'deno.lock',
  'gemfile.lock',
  'poetry.lock',
  'uv.lock',
  'pdm.lock',
  'pipfile.lock',
  'cargo.lock',
  'go.sum',
  'composer.lock',
  'mix.lock',
  'pubspec.lock',
  'packages.lock.json',
  'gradle.lockfile',
  'flake.lock',
];
const images = ['dockerfile', 'dockerfile.*', '*.dockerfile', 'containerfile', 'compose.yml', 'compose.yaml', 'docker-compose*.yml', 'docker-compose*.yaml'];
const asked = [...lockfiles, ...images];

/** As file systems and reviewers may read it: no case, no look-alikes, and after a colon stands a stream of the same file on NTFS. */
export const foldPath = (path: string): string =>
  path
    .normalize('NFKC')
    .toLowerCase()
    .replace(/:[^/]*/g, '');

const matchesAny = (patterns: readonly string[], folded: string): boolean => patterns.some((pattern) => matchesGlob(pattern, folded));

export function isLockfile(path: string): boolean {
  return matchesAny(lockfiles, foldPath(path));
}

/** `refuse` goes before `ask`, `ask` before `allow`, and all of them before the list of ours. */
export function createProtection({ refuse, ask, allow }: ProtectedPaths = { refuse: [], ask: [], allow: [] }): Protection {
  const named = { refuse: refuse.map(foldPath), ask: ask.map(foldPath), allow: allow.map(foldPath) };
  return {
    decide(path) {
      const folded = foldPath(path);
      if (matchesAny(always, folded)) return { verdict: 'refuse', named: false };
      for (const verdict of ['refuse', 'ask', 'allow'] as const) if (matchesAny(named[verdict], folded)) return { verdict, named: true };
      return { verdict: matchesAny(refused, folded) ? 'refuse' : matchesAny(asked, folded) ? 'ask' : 'allow', named: false };
    },
  };
}
