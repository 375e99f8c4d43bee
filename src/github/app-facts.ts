/** What GitHub says about this App, for `mayfly doctor`: who it is, what it was granted, and how its webhook fares. */
import type { Octokit } from '@octokit/rest';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { createAppCredentials } from './app-credentials.ts';
import type { ClientOptions } from './client.ts';
import type { GitHubOptions } from './create-github.ts';
import { asGitHubError, gitHubError, hasStatus } from './failure.ts';

/** What a run needs of the App; a test holds it against app.yml, which is not there in an image. */
export const neededPermissions: Readonly<Record<string, string>> = {
  contents: 'write',
  issues: 'write',
  pull_requests: 'write',
  checks: 'write',
  actions: 'read',
  metadata: 'read',
};
export const neededEvents: readonly string[] = [
  'issues',
  'issue_comment',
  'push',
  'pull_request',
  'pull_request_review',
  'pull_request_review_comment',
  'check_suite',
];

const Permissions = z.record(z.string(), z.string());

const App = z
  .object({
    id: z.number(),
    slug: z.string(),
    html_url: z.url(),
    owner: z.object({ login: z.string(), type: z.string().optional() }).nullish(),
    permissions: Permissions,
    events: z.array(z.string()).readonly(),
  })
  .transform(({ html_url: url, owner, ...app }) => {
    const account = owner?.type === 'Organization' ? `/organizations/${owner.login}` : '';
    return { ...app, url, settingsUrl: `${new URL(url).origin}${account}/settings/apps/${app.slug}` };
  });
export type AppFacts = z.infer<typeof App>;

const Installation = z
  .object({ html_url: z.string(), account: z.object({ login: z.string() }).nullish(), permissions: Permissions, suspended_at: z.string().nullish() })
  .transform((found) => ({
    account: found.account?.login ?? '',
    url: found.html_url,
    permissions: found.permissions,
    isSuspended: Boolean(found.suspended_at),
  }));
export type InstallationFacts = z.infer<typeof Installation>;

const Hook = z
  .object({
    url: z.string().optional(),
    content_type: z.string().optional(),
    secret: z.string().optional(),
    insecure_ssl: z.union([z.string(), z.number()]).optional(),
  })
  .transform((hook) => ({
    url: hook.url ?? '',
    contentType: hook.content_type ?? 'form',
    hasSecret: Boolean(hook.secret),
    checksCertificate: Number(hook.insecure_ssl ?? 0) === 0,
  }));
export type HookFacts = z.infer<typeof Hook>;

const Delivery = z
  .object({ guid: z.string(), delivered_at: z.string(), event: z.string(), status: z.string(), status_code: z.number() })
  .transform((found) => ({ guid: found.guid, at: new Date(found.delivered_at), event: found.event, status: found.status, statusCode: found.status_code }));
export type DeliveryFacts = z.infer<typeof Delivery>;

/** Every method asks once, as the App. Throws `github_credentials`, `github_refused`, `github_unavailable`. */
export interface AppInspection {
  app(signal: AbortSignal): Promise<AppFacts>;
  /** The first 100. */
  installations(signal: AbortSignal): Promise<readonly InstallationFacts[]>;
  /** Null when the App has no webhook. */
  hook(signal: AbortSignal): Promise<HookFacts | null>;
  /** The newest 30, newest first; null when the App has no webhook. */
  deliveries(signal: AbortSignal): Promise<readonly DeliveryFacts[] | null>;
}

/** Throws `github_credentials` when the private key is not one. */
export function createAppInspection(options: Omit<GitHubOptions, 'webUrl'>): AppInspection {
  const credentials = createAppCredentials(options);
  const client: ClientOptions = { ...options, userAgent: options.userAgent ?? 'mayfly' };
  async function ask<T>(signal: AbortSignal, schema: z.ZodType<T>, request: (octokit: Octokit) => Promise<{ data: unknown }>): Promise<T> {
    const { data } = await credentials.asApp(client, signal, request).catch((error: unknown) => {
      throw hasStatus(error, 404) ? gitHubError('github_credentials', error) : asGitHubError(error);
    });
    const parsed = schema.safeParse(data);
    if (!parsed.success) throw new FixError('github_unavailable', { cause: parsed.error });
    return parsed.data;
  }
  /** The App is known by then, so what is missing is its webhook. */
  const orNull = (error: unknown): null => {
    if (error instanceof FixError && error.details['status'] === 404) return null;
    throw error;
  };
  return {
    app: (signal) => ask(signal, App, (octokit) => octokit.rest.apps.getAuthenticated()),
    installations: (signal) => ask(signal, z.array(Installation), (octokit) => octokit.rest.apps.listInstallations({ per_page: 100 })),
    hook: (signal) => ask(signal, Hook, (octokit) => octokit.rest.apps.getWebhookConfigForApp()).catch(orNull),
    deliveries: (signal) => ask(signal, z.array(Delivery), (octokit) => octokit.rest.apps.listWebhookDeliveries({ per_page: 30 })).catch(orNull),
  };
}
