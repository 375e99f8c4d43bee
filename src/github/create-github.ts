/** The port of GitHub over Octokit: each method opens one token for its use, and closes it again. */
import type { Octokit } from '@octokit/rest';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import type { Log, Secrets } from '../log.ts';
import { createAppCredentials } from './app-credentials.ts';
import type { AppCredentials } from './app-credentials.ts';
import type { ClientOptions } from './client.ts';
import { redeliverFailed } from './deliveries.ts';
import { asGitHubError, gitHubError, hasStatus } from './failure.ts';
import { findRepository } from './find-repository.ts';
import type { GitHub } from './github.ts';
import { createRepository } from './repository.ts';

export interface GitHubOptions extends Pick<ClientOptions, 'paced' | 'fetch' | 'requestTimeoutMs'> {
  readonly appId: number;
  /** PEM, as GitHub gives it out; `\n` may be written as two characters. */
  readonly privateKey: string;
  readonly apiUrl: string;
  /** Where repositories are cloned from. */
  readonly webUrl: string;
  readonly secrets: Secrets;
  readonly log: Log;
  readonly userAgent?: string;
}

const Identity = z.object({ id: z.number(), slug: z.string().max(100) });

/** Throws `github_credentials` when the private key is not one; nothing is asked of GitHub yet. */
export function createGitHub(options: GitHubOptions): GitHub {
  const { secrets, log, webUrl } = options;
  const credentials = createAppCredentials(options);
  const userAgent = options.userAgent ?? 'mayfly';
  const client: ClientOptions = { ...options, userAgent };
  let slug: string | null = null;

  async function whoAmI(signal: AbortSignal): Promise<{ slug: string; appId: number }> {
    const identity = await askIdentity(credentials, client, signal);
    slug = identity.slug;
    return { slug, appId: identity.id };
  }

  return {
    whoAmI,
    find: async (wanted, signal) => await findRepository({ credentials, client, secrets, log, records: [] }, wanted, signal),
    repository(ref, { deliveryId, signal, records }) {
      // GitHub keeps the user agent in its audit log, and ignores headers that it does not know.
      const scoped = { ...client, userAgent: `${userAgent} delivery/${deliveryId.replaceAll(/[^\w-]/g, '')}`, log: log.child({ deliveryId }) };
      const login = async (during: AbortSignal): Promise<string> => `${slug ?? (await whoAmI(during)).slug}[bot]`;
      return createRepository({ mint: { credentials, client: scoped, secrets, log: scoped.log, ref, records }, webUrl, runKey: deliveryId, signal, login });
    },
    async redeliverFailed(since, signal) {
      return await credentials
        .asApp(client, signal, async (octokit) => await redeliverFailed(octokit, since, log))
        .catch((error: unknown) => {
          throw asGitHubError(error);
        });
    },
  };
}

async function askIdentity(credentials: AppCredentials, client: ClientOptions, signal: AbortSignal): Promise<z.infer<typeof Identity>> {
  try {
    const { data } = await credentials.asApp(client, signal, async (octokit: Octokit) => await octokit.rest.apps.getAuthenticated());
    const identity = Identity.safeParse(data);
    if (!identity.success) throw new FixError('github_unavailable', { cause: identity.error });
    return identity.data;
  } catch (error) {
    // A key of an App that was deleted.
    throw hasStatus(error, 404) ? gitHubError('github_credentials', error) : asGitHubError(error);
  }
}
