/** `mayfly setup github`: from app.yml to a registered App, by way of the person's browser. */
import { randomBytes } from 'node:crypto';
import { planFiles, writeCredentials } from './credentials.ts';
import type { CredentialFiles } from './credentials.ts';
import { openDesk } from './desk.ts';
import { createManifest } from './manifest.ts';
import type { AppFile } from './manifest.ts';
import { askPage, donePage } from './page.ts';
import type { WebhookAddress } from './webhook-address.ts';

export interface RegistrationOptions {
  readonly app: AppFile;
  readonly name: string;
  /** Null: the person's own account. */
  readonly organization: string | null;
  /** Null: the webhook stays off until its address is set at GitHub. */
  readonly webhook: WebhookAddress | null;
  /** https://github.com, or that of a GitHub Enterprise Server. */
  readonly webUrl: string;
  /** Where the credentials go. */
  readonly directory: string;
  /** What else Mayfly has to be told, by the name that config.ts reads. */
  readonly settings: Readonly<Record<string, string>>;
  /** Of the page; 0 for any free one. */
  readonly port: number;
  readonly timeoutMs: number;
  /** GitHub's code for the credentials of the App. */
  readonly exchange: (code: string) => Promise<ExchangedApp>;
  /** The page can be opened now. */
  readonly onOpen: (page: { address: string; port: number }) => void;
  readonly onStranger: () => void;
  readonly signal: AbortSignal;
}

export interface ExchangedApp {
  readonly appId: number;
  readonly slug: string;
  readonly url: string;
  readonly privateKey: string;
  readonly webhookSecret: string | null;
}

/** What may be shown of it. */
export interface Registration extends CredentialFiles {
  readonly appId: number;
  readonly slug: string;
  readonly installUrl: string;
  readonly settingsUrl: string;
  readonly webhookUrl: string | null;
  /** GitHub made no secret, so ours has to be entered at GitHub. */
  readonly secretIsOurs: boolean;
}

/** Throws `credentials_exist` and `usage` before GitHub is asked for anything; then what `openDesk` and `writeCredentials` throw. */
export async function registerApp(options: RegistrationOptions): Promise<Registration> {
  const files = await planFiles(options.directory);
  const { origin, host } = new URL(options.webUrl);
  const settings = options.organization === null ? `${origin}/settings/apps` : `${origin}/organizations/${options.organization}/settings/apps`;
  await using desk = await openDesk<Registration>({
    ...options,
    formOrigin: origin,
    ask: ({ redirectUrl, state }) =>
      askPage({
        manifest: createManifest(options.app, { name: options.name, webhookUrl: options.webhook?.url ?? null, redirectUrl }),
        action: `${settings}/new?state=${state}`,
        host,
        organization: options.organization,
        files,
        minutes: Math.round(options.timeoutMs / 60_000),
      }),
    async finish(code) {
      const app = await options.exchange(code);
      await keep(app, files, options);
      const { appId, slug } = app;
      const installUrl = `${app.url}/installations/new`;
      const webhookUrl = options.webhook?.url ?? null;
      const result = { ...files, appId, slug, installUrl, settingsUrl: `${settings}/${slug}`, webhookUrl, secretIsOurs: app.webhookSecret === null };
      return { result, page: donePage({ slug, installUrl }) };
    },
  });
  options.onOpen(desk);
  return await desk.result;
}

async function keep(app: ExchangedApp, files: CredentialFiles, { settings, webhook }: RegistrationOptions): Promise<void> {
  const newSecret = (): string => randomBytes(32).toString('base64url');
  await writeCredentials(files, {
    slug: app.slug,
    privateKey: app.privateKey,
    variables: {
      APP_ID: String(app.appId),
      WEBHOOK_SECRET: app.webhookSecret ?? newSecret(),
      MAYFLY_JOB_KEY: newSecret(),
      ...settings,
      ...(webhook && { WEBHOOK_PATH: webhook.path }),
    },
  });
}
