/** The App itself: its key stays in here, what comes out are requests signed with a short JWT. */
import { createPrivateKey } from 'node:crypto';
import type { Octokit } from '@octokit/rest';
import githubAppJwt from 'universal-github-app-jwt';
import { FixError } from '../errors.ts';
import type { Secrets } from '../log.ts';
import { createClient } from './client.ts';
import type { ClientOptions } from './client.ts';
import { answerOf, gitHubError, hasStatus } from './failure.ts';

export interface AppCredentials {
  readonly appId: number;
  /** Runs requests as the App. Throws `github_credentials` when GitHub does not know the App or its key. */
  asApp<T>(client: ClientOptions, signal: AbortSignal, work: (octokit: Octokit) => Promise<T>): Promise<T>;
}

const jwtLifeMs = 5 * 60_000;
/** Below this, a 401 is not about the clocks. */
const minSkewSeconds = 30;

/** Throws `github_credentials` when the key is not one. */
export function createAppCredentials(options: { appId: number; privateKey: string; secrets: Secrets }): AppCredentials {
  const privateKey = readKey(options.privateKey);
  let skewSeconds = 0;
  let current: { readonly value: string; readonly madeAtMs: number } | null = null;

  async function sign(): Promise<string> {
    if (current && Date.now() - current.madeAtMs < jwtLifeMs) return current.value;
    // The library goes back 30 s; GitHub advises 60.
    const now = Math.floor(Date.now() / 1000) - 30 + skewSeconds;
    const { token } = await githubAppJwt({ id: options.appId, privateKey, now });
    options.secrets.protect(token);
    current = { value: token, madeAtMs: Date.now() };
    return token;
  }

  return {
    appId: options.appId,
    async asApp(client, signal, work) {
      const attempt = async () => await work(createClient(client, { auth: await sign(), paceKey: 'app', signal }));
      try {
        return await attempt();
      } catch (error) {
        if (!hasStatus(error, 401)) throw error;
        const skew = skewOf(error);
        if (skew === null || skew === skewSeconds) throw gitHubError('github_credentials', error);
        skewSeconds = skew;
        current = null;
      }
      return await attempt().catch((error: unknown) => {
        throw hasStatus(error, 401) ? gitHubError('github_credentials', error) : error;
      });
    },
  };
}

/** GitHub refuses a JWT whose times do not fit its own clock, which is in the Date header of the refusal. */
function skewOf(error: unknown): number | null {
  const theirsMs = Date.parse(answerOf(error)?.headers['date'] ?? '');
  const skew = Math.round((theirsMs - Date.now()) / 1000);
  return Number.isNaN(skew) || Math.abs(skew) < minSkewSeconds ? null : skew;
}

/** As PKCS#8, which is what the JWT library takes; GitHub gives PKCS#1 files out. */
function readKey(text: string): string {
  try {
    const key = createPrivateKey(text.replaceAll('\\n', '\n'));
    if (key.asymmetricKeyType !== 'rsa') throw new TypeError('not an RSA key');
    return key.export({ type: 'pkcs8', format: 'pem' });
  } catch {
    // The cause may quote the key.
    throw new FixError('github_credentials', { details: { reason: 'PRIVATE_KEY is not the PEM text of an RSA key' } });
  }
}
