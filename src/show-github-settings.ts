/** The settings of a repository on GitHub, read as a run reads them: by the App, with a token that reads that repository alone. */
import { readRepositorySettings } from './bot/repository-settings.ts';
import type { CommandContext } from './command-line.ts';
import { FixError } from './errors.ts';
import { createAppInspection } from './github/app-facts.ts';
import { createGitHub } from './github/create-github.ts';
import type { GitHubOptions } from './github/create-github.ts';
import type { FoundRepository, NamedRepository } from './github/github.ts';
import { createOperator } from './operator.ts';
import { createFetch } from './run-tools.ts';
import type { Resolved } from './settings/resolve.ts';

/** Null for what is no `owner/name`. */
export function readName(text: string): NamedRepository | null {
  const [, owner, name] = /^([A-Za-z0-9][A-Za-z0-9_-]{0,38})\/([A-Za-z0-9._-]{1,100})$/.exec(text) ?? [];
  return owner === undefined || name === undefined || /^\.{1,2}$/.test(name) ? null : { owner, name };
}

/** Throws `repository_unreachable` and `base_unknown` with what to do, `github_credentials`, `github_refused`, `github_unavailable`. */
export async function readGitHubSettings(wanted: NamedRepository, { config, log, secrets, signal }: CommandContext): Promise<Resolved> {
  const { APP_ID: appId, privateKey, apiUrl, webUrl } = config;
  const full = `${wanted.owner}/${wanted.name}`;
  if (appId === undefined || privateKey === null) {
    throw unreachable(`there is no folder ${full}; to read it from GitHub, set APP_ID and PRIVATE_KEY_PATH as the worker has them`);
  }
  const options: GitHubOptions = { appId, privateKey, apiUrl, webUrl, secrets, log, fetch: createFetch(config) };
  const github = createGitHub(options);
  const found = await github.find(wanted, signal);
  if ('problem' in found) throw await explain(found.problem, wanted, { options, signal });
  const { repository, sha } = found;
  const opened = github.repository(found, { deliveryId: 'settings-show', signal, records: [] });
  return await readRepositorySettings({ github: opened, owner: repository.owner, operator: createOperator(config), ...(sha !== undefined && { ref: sha }) });
}

type Problem = Extract<FoundRepository, { problem: unknown }>['problem'];

async function explain(
  problem: Problem,
  { owner, name, ref }: NamedRepository,
  { options, signal }: { options: GitHubOptions; signal: AbortSignal },
): Promise<FixError> {
  if (problem === 'no_such_ref') return new FixError('base_unknown', { details: { reason: `${owner}/${name} has no ${ref ?? ''}` } });
  const { slug, url } = await createAppInspection(options).app(signal);
  const add = `${url}/installations/new`;
  if (problem === 'not_installed') return unreachable(`the App ${slug} is not installed at ${owner}; install it: ${add}`);
  return unreachable(`the App ${slug} is installed at ${owner}, but not on a repository ${name}; check the name, or add it: ${add}`);
}

const unreachable = (reason: string): FixError => new FixError('repository_unreachable', { details: { reason } });
