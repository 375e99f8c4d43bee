/** The settings of a repository on GitHub, and what is said when they are broken. */
import type { GitHubRepository, Permission } from '../github/github.ts';
import { silentOperator } from '../settings/operator.ts';
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

/** The repository's own file and nothing beside it: neither the organization's, nor what the operator says. */
export async function readOwnForm({ github, ref }: Pick<SettingsPlace, 'github'> & { readonly ref: string }): Promise<Resolved> {
  const repository = async (path: string, maxBytes: number): Promise<FoundFile> => asFound(await github.file(path, { maxBytes, ref }));
  return await readSettings({ repository, organization: null }, silentOperator);
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

/**
 * What somebody may do here. GitHub says of every App that it is not a user, so one that the operator lets trigger counts
 * as somebody with write access; whether the settings name it, too, is for `isUnnamedBot`.
 */
export async function readPermission({ github, operator }: Pick<SettingsPlace, 'github' | 'operator'>, login: string): Promise<Permission> {
  return isApp(login) && isAllowedBot(login, operator) ? 'write' : await github.permission(login);
}

/** A bot that the operator lets trigger, and these settings do not name. */
export function isUnnamedBot(login: string, { 'triggers.bots': bots }: Values, operator: Operator): boolean {
  return (isApp(login) || isAllowedBot(login, operator)) && bots !== null && !isNamed(login, bots);
}

/** No person can have such a name. */
const isApp = (login: string): boolean => login.toLowerCase().endsWith('[bot]');
const isNamed = (login: string, bots: readonly string[]): boolean => bots.some((bot) => bot.toLowerCase() === login.toLowerCase());
const isAllowedBot = (login: string, { ceilings }: Operator): boolean => isNamed(login, ceilings['triggers.bots']?.value ?? []);

/** Whether that permission is enough to start a run; less than `write` never is. */
export function maySteer(permission: Permission, least: Values['triggers.permission'] = 'write'): boolean {
  return permission !== 'read' && permission !== 'none' && permissions.indexOf(permission) >= permissions.indexOf(least);
}
