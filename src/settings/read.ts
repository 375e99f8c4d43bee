/** The settings of a repository from wherever its files are: the reader asks for bounded bytes, and never for more. */
import { parseSettings, tooLarge, wholeFile } from './parse.ts';
import type { Parsed, SettingsFile } from './parse.ts';
import type { Operator } from './operator.ts';
import { resolveSettings, wantsOrganization } from './resolve.ts';
import type { Resolved } from './resolve.ts';
import { maxSettingsBytes, settingsPath } from './schema.ts';

/** A file as its keeper found it; null when there is none. Its size is known before it is read. */
export type FoundFile = { readonly text: string } | { readonly unreadable: 'too_large' | 'not_a_file' } | null;

export interface SettingsSource {
  /** `.github/mayfly.yml` of the default branch. */
  readonly repository: (path: string, maxBytes: number) => Promise<FoundFile>;
  /** The same file of the organization's `.github` repository; null where nobody can ask for it. */
  readonly organization: { readonly name: string; readonly read: (path: string, maxBytes: number) => Promise<FoundFile> } | null;
}

export async function readSettings(source: SettingsSource, operator: Operator): Promise<Resolved> {
  const repository = parseFound(await source.repository(settingsPath, maxSettingsBytes), settingsPath);
  if ('problems' in repository) return repository;
  if (!wantsOrganization(repository.file)) return resolveSettings({ repository: repository.file, organization: null, operator });
  const { organization } = source;
  if (organization === null) return resolveSettings({ repository: repository.file, organization: null, operator });
  const { name } = organization;
  const shared = parseFound(await organization.read(settingsPath, maxSettingsBytes), `${name}: ${settingsPath}`);
  if ('problems' in shared) return shared;
  return resolveSettings({ repository: repository.file, organization: { name, file: shared.file }, operator });
}

function parseFound(found: FoundFile, file: string): { readonly file: SettingsFile | null } | Extract<Parsed, { problems: unknown }> {
  if (found === null) return { file: null };
  if ('text' in found) return parseSettings(found.text, file);
  return wholeFile(file, found.unreadable === 'too_large' ? tooLarge : 'it is not a plain file');
}
