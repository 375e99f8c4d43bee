/** What the agent says that it changed, against what it did change: where they differ, a person should look. */
import type { Patch } from '../job.ts';

const maxNames = 20;

/** Sentences with hostile paths; none when they agree. A file may be there, or be missing, by mistake. */
export function compareFiles(patch: Patch, named: readonly string[], base: ReadonlyMap<string, unknown>): readonly string[] {
  const known = new Set(named.map((path) => path.replace(/^(?:\/workspace\/|\.\/)+/, '')));
  const changed = patch.files.map(({ path }) => path);
  const unnamed = changed.filter((path) => !known.has(path));
  return [
    sentence(
      'New files that the agent did not name',
      unnamed.filter((path) => !base.has(path)),
    ),
    sentence(
      'Changed files that the agent did not name',
      unnamed.filter((path) => base.has(path)),
    ),
    sentence(
      'Files that the agent named but left as they were',
      [...known].filter((path) => !changed.includes(path)),
    ),
  ].filter((text) => text !== '');
}

function sentence(what: string, paths: readonly string[]): string {
  if (paths.length === 0) return '';
  const more = paths.length > maxNames ? ` and ${paths.length - maxNames} more` : '';
  return `${what}: ${paths.slice(0, maxNames).join(', ')}${more}.`;
}
