/** The settings of a repository on GitHub, and what is said when they are broken. */
import type { GitHubRepository, Permission } from '../github/github.ts';
import type { Operator } from '../settings/operator.ts';
import type { Problem } from '../settings/problem.ts';
import { readSettings } from '../settings/read.ts';
import type { FoundFile } from '../settings/read.ts';
import type { Resolved } from '../settings/resolve.ts';
import { permissions } from '../settings/schema.ts';
import type { Values } from '../settings/values.ts';
import { brokenSettingsIssue, correctedSettingsIssue, settingsMarker } from './settings-texts.ts';

export interface SettingsPlace {
  readonly github: GitHubRepository;
  readonly owner: string;
  readonly operator: Operator;
  /** A commit to read the repository's own file from; without one, the default branch. */
  readonly ref?: string;
}

/** Read anew each time: what a run works by is what stands on the default branch when it starts. */
export async function readRepositorySettings({ github, owner, operator, ref }: SettingsPlace): Promise<Resolved> {
  const at = ref === undefined ? {} : { ref };
  return await readSettings(
    {
      repository: async (path, maxBytes) => asFound(await github.file(path, { maxBytes, ...at })),
      organization: { name: `${owner}/.github`, read: async (path, maxBytes) => asFound(await github.organizationFile(path, { maxBytes })) },
    },
    operator,
  );
}

function asFound(found: Buffer | 'too_large' | null): FoundFile {
  if (found === null) return null;
  return found === 'too_large' ? { unreadable: 'too_large' } : { text: found.toString('utf8') };
}

/** Where the issue about broken settings is, and how one worker of all writes it at a time. */
export interface SettingsIssuePlace {
  readonly github: GitHubRepository;
  readonly repositoryId: number;
  readonly inTurn: <T>(name: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;
  readonly signal: AbortSignal;
}

/**
 * The one issue about broken settings says these problems; without problems it is closed. Returns its address, if there
 * is one. When the file has changed, one that a person has closed is brought up to date as well, or the same mistake,
 * made again, would seem to be the one that nobody wanted to hear of.
 */
export async function keepSettingsIssue(
  { github, repositoryId, inTurn, signal }: SettingsIssuePlace,
  problems: readonly Problem[],
  fileChanged = false,
): Promise<{ readonly number: number; readonly url: string } | null> {
  const among = fileChanged ? 'all' : 'open';
  if (problems.length === 0) return await github.livingIssue({ ...correctedSettingsIssue(), marker: settingsMarker, open: false, among });
  const wanted = { ...brokenSettingsIssue(problems), marker: settingsMarker, open: true };
  return await inTurn(`settings:${repositoryId}`, signal, async () => await github.livingIssue(wanted));
}

/** A bot that the operator lets trigger, and these settings do not name. */
export function isUnnamedBot(login: string, { 'triggers.bots': bots }: Values, { ceilings }: Operator): boolean {
  const isSame = (bot: string): boolean => bot.toLowerCase() === login.toLowerCase();
  const isBot = login.toLowerCase().endsWith('[bot]') || (ceilings['triggers.bots']?.value ?? []).some(isSame);
  return isBot && bots !== null && !bots.some(isSame);
}

/** Whether that permission is enough to start a run; less than `write` never is. */
export function maySteer(permission: Permission, least: Values['triggers.permission'] = 'write'): boolean {
  return permission !== 'read' && permission !== 'none' && permissions.indexOf(permission) >= permissions.indexOf(least);
}
