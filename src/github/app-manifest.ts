/** The last step of GitHub's manifest flow: the code of the redirect for the credentials of the new App. */
import { z } from 'zod';
import { FixError } from '../errors.ts';
import type { Secrets } from '../log.ts';
import { createClient } from './client.ts';
import type { ClientOptions } from './client.ts';
import { answerOf } from './failure.ts';

export interface NewApp {
  readonly appId: number;
  readonly slug: string;
  /** The page of the App, where it is installed from. */
  readonly url: string;
  /** PEM. */
  readonly privateKey: string;
  /** Null when GitHub made none that is long enough. */
  readonly webhookSecret: string | null;
}

/** `client_secret` is for signing people in, which Mayfly does not do: it is dropped here. */
const Conversion = z.object({
  id: z.number().int().positive(),
  html_url: z.url({ protocol: /^https?$/ }).regex(/\/[\w-]{1,100}$/),
  pem: z.string().startsWith('-----BEGIN ').max(16_384),
  webhook_secret: z.string().max(1024).nullable(),
});

/** Shorter ones are refused by the web role. */
const minSecretLength = 16;

/**
 * `POST /app-manifests/{code}/conversions`; the code is good for one hour and for one time, and is its own credential.
 * Throws `registration_refused` when GitHub does not take it, `github_unavailable`, `cancelled`. No error holds the code.
 */
export async function convertManifest(code: string, options: ClientOptions & { secrets: Secrets; signal: AbortSignal }): Promise<NewApp> {
  const { secrets, signal } = options;
  // Octokit logs addresses.
  secrets.protect(code);
  const octokit = createClient(options, { auth: null, paceKey: 'registration', signal });
  const { data } = await octokit.rest.apps.createFromManifest({ code }).catch((error: unknown) => {
    throw asConversionError(error);
  });
  for (const secret of [data.pem, data.webhook_secret, data.client_secret]) if (secret) secrets.protect(secret);
  const parsed = Conversion.safeParse(data);
  if (!parsed.success) throw new FixError('github_unavailable', { details: { reason: 'the answer has not the form that GitHub documents' } });
  const { id, html_url: url, pem, webhook_secret: secret } = parsed.data;
  // GitHub documents `slug` as optional, its page not.
  return { appId: id, slug: url.slice(url.lastIndexOf('/') + 1), url, privateKey: pem, webhookSecret: (secret?.length ?? 0) < minSecretLength ? null : secret };
}

function asConversionError(error: unknown): FixError {
  if (error instanceof FixError) return error;
  const status = answerOf(error)?.status;
  return new FixError(status === 404 || status === 422 ? 'registration_refused' : 'github_unavailable', { details: { status } });
}
