/** What GitHub is asked to register: app.yml, and what only this installation knows. */
import { parse } from 'yaml';
import { z } from 'zod';
import { FixError } from '../errors.ts';

/** https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/registering-a-github-app */
export const maxNameLength = 34;

const AppFile = z.strictObject({
  name: z.string().min(1).max(maxNameLength),
  description: z.string(),
  url: z.url(),
  public: z.boolean(),
  default_events: z.array(z.string()).min(1),
  default_permissions: z.record(z.string(), z.enum(['read', 'write'])),
});

/** app.yml: the one source of permissions and events. */
export type AppFile = Readonly<z.infer<typeof AppFile>>;

/** https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest#github-app-manifest-parameters */
export interface Manifest extends AppFile {
  readonly hook_attributes: { readonly url: string; readonly active: boolean };
  readonly redirect_url: string;
}

/**
 * GitHub takes no events without `hook_attributes`, and no `hook_attributes` without an address, not even when they are
 * off. It never calls this one, and nobody can register the host (RFC 2606).
 */
const noWebhookUrl = 'https://example.com/mayfly-webhook-is-not-set';

/** Throws `config_invalid`: a key that we do not know is one that GitHub would not obey either. */
export function parseAppFile(text: string): AppFile {
  const parsed = AppFile.safeParse(parse(text));
  if (parsed.success) return parsed.data;
  throw new FixError('config_invalid', { details: { problems: z.prettifyError(parsed.error).split('\n'), file: 'app.yml' } });
}

/** `webhookUrl` null makes an App whose webhook is off until its address is set at GitHub. */
export function createManifest(app: AppFile, own: { name: string; webhookUrl: string | null; redirectUrl: string }): Manifest {
  return {
    ...app,
    name: own.name,
    hook_attributes: { url: own.webhookUrl ?? noWebhookUrl, active: own.webhookUrl !== null },
    redirect_url: own.redirectUrl,
  };
}
