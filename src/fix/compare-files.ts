/** What the agent says that it changed, against what it did change: where they differ, a person should look. */
import type { Patch } from '../job.ts';

const maxNames = 20;

const heads = {
  created: 'New files that the agent did not name',
  changed: 'Changed files that the agent did not name',
  kept: 'Files that the agent named but left as they were',
} as const;

/** The notes with the latest comparison in the place of that of an earlier round. */
export function withComparison(notes: readonly string[], ...comparison: Parameters<typeof compareFiles>): readonly string[] {
  const others = notes.filter((note) => !Object.values(heads).some((head) => note.startsWith(`${head}: `)));
  return [...others, ...compareFiles(...comparison)];
}

/** Sentences with hostile paths; none when they agree. A file may be there, or be missing, by mistake. */
export function compareFiles(patch: Patch, named: readonly string[], base: ReadonlyMap<string, unknown>): readonly string[] {
  const known = new Set(named.map((path) => path.replace(/^(?:\/workspace\/|\.\/)+/, '')));
  const changed = patch.files.map(({ path }) => path);
  const unnamed = changed.filter((path) => !known.has(path));
  return [
    sentence(
      heads.created,
      unnamed.filter((path) => !base.has(path)),
    ),
    sentence(
      heads.changed,
      unnamed.filter((path) => base.has(path)),
    ),
    sentence(
      heads.kept,
      [...known].filter((path) => !changed.includes(path)),
    ),
  ].filter((text) => text !== '');
}

function sentence(what: string, paths: readonly string[]): string {
  if (paths.length === 0) return '';
  const more = paths.length > maxNames ? ` and ${paths.length - maxNames} more` : '';
  return `${what}: ${paths.slice(0, maxNames).join(', ')}${more}.`;
}
