/** From a name that a person types to a repository that this App may read, and a commit of it. */
import { z } from 'zod';
import { asFixError } from '../errors.ts';
import { createClient } from './client.ts';
import { asGitHubError, hasStatus } from './failure.ts';
import type { FoundRepository, NamedRepository } from './github.ts';
import { mintToken } from './tokens.ts';
import type { Mint } from './tokens.ts';

const Installed = z.object({ id: z.number().int() });
const Named = z.object({ id: z.number().int(), name: z.string(), owner: z.object({ login: z.string() }) });

/** Asked as the App: where it is installed. Throws `github_credentials`, `github_refused`, `github_unavailable`. */
export async function findRepository(mint: Omit<Mint, 'ref'>, wanted: NamedRepository, signal: AbortSignal): Promise<FoundRepository> {
  const { owner, name, ref } = wanted;
  const installationId = await mint.credentials
    .asApp(mint.client, signal, async (octokit) => {
      const { data } = await octokit.rest.apps.getRepoInstallation({ owner, repo: name });
      return Installed.parse(data).id;
    })
    .catch(orNull);
  if (installationId === null) return { problem: (await isInstalledAt(mint, owner, signal)) ? 'not_in_installation' : 'not_installed' };
  // The id of the repository is not known yet, so this token is asked for by name.
  const own: Mint = { ...mint, ref: { installationId, repository: { id: 0, owner, name } } };
  await using token = await mintToken(own, 'read', signal, name).catch((error: unknown) => {
    if (asFixError(error).code === 'repository_unreachable') return null;
    throw error;
  });
  if (token === null) return { problem: 'not_in_installation' };
  const octokit = createClient(mint.client, { auth: token.value, paceKey: `installation-${installationId}`, signal });
  const found = await octokit.rest.repos.get({ owner, repo: name }).catch(orNull);
  if (found === null) return { problem: 'not_in_installation' };
  const { id, ...real } = Named.parse(found.data);
  const repository = { id, owner: real.owner.login, name: real.name };
  if (ref === undefined) return { installationId, repository };
  const commit = await octokit.rest.repos.getCommit({ owner: repository.owner, repo: repository.name, ref, per_page: 1 }).catch(orNull);
  return commit === null ? { problem: 'no_such_ref' } : { installationId, repository, sha: commit.data.sha };
}

async function isInstalledAt({ credentials, client }: Omit<Mint, 'ref'>, owner: string, signal: AbortSignal): Promise<boolean> {
  const asked = credentials.asApp(client, signal, async (octokit) => await octokit.rest.apps.getUserInstallation({ username: owner }));
  return (await asked.catch(orNull)) !== null;
}

/** GitHub has no commit for a ref that it does not know, and says 422 to that. */
function orNull(error: unknown): null {
  if (hasStatus(error, 404, 422)) return null;
  throw asGitHubError(error);
}
