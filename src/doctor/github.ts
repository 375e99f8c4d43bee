/** The App as GitHub sees it: whether its key works, what it may do, and whether its webhooks arrive. */
import { FixError } from '../errors.ts';
import { createAppInspection, neededEvents, neededPermissions } from '../github/app-facts.ts';
import type { AppFacts, AppInspection, DeliveryFacts, HookFacts, InstallationFacts } from '../github/app-facts.ts';
import type { GitHubOptions } from '../github/create-github.ts';
import { notChecked, ok, once, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

export interface GitHubCheckOptions extends Omit<GitHubOptions, 'webUrl' | 'appId' | 'privateKey'> {
  readonly appId: number | null;
  readonly privateKey: string | null;
  /** Where the web role listens. */
  readonly webhookPath: string;
}

const ranks: Readonly<Record<string, number>> = { read: 1, write: 2, admin: 3 };
const rank = (level: string | undefined): number => ranks[level ?? ''] ?? 0;

/** `issues: write` for each that is not granted in full. */
export function missingPermissions(granted: Readonly<Record<string, string>>): string[] {
  return Object.entries(neededPermissions)
    .filter(([name, level]) => rank(granted[name]) < rank(level))
    .map(([name, level]) => `${name}: ${level}`);
}

export function judgeApp({ id, slug, url }: Pick<AppFacts, 'id' | 'slug' | 'url'>, installations: readonly InstallationFacts[]): Verdict {
  const found = `${slug} (${id})`;
  const working = installations.filter(({ isSuspended }) => !isSuspended);
  if (working.length > 0) return ok(`${found}, installed on ${listed(working.map(({ account }) => account))}`);
  const [suspended] = installations;
  if (suspended) return warning(`${found} is suspended on ${suspended.account}`, `Let it work again: ${suspended.url}`);
  return warning(`${found} is installed nowhere`, `Install it on a repository: ${url}/installations/new`);
}

export function judgePermissions(app: Pick<AppFacts, 'permissions' | 'events' | 'settingsUrl'>, installations: readonly InstallationFacts[]): Verdict {
  const missing = missingPermissions(app.permissions);
  const events = neededEvents.filter((event) => !app.events.includes(event));
  if (missing.length + events.length > 0) {
    const what = [...missing, ...events.map((event) => `event ${event}`)].join(', ');
    return problem(`the App lacks ${what}`, `Add it at ${app.settingsUrl}/permissions, then accept it where the App is installed`);
  }
  const behind = installations.find(({ permissions }) => missingPermissions(permissions).length > 0);
  if (behind) return problem(`${behind.account} has not accepted ${missingPermissions(behind.permissions).join(', ')}`, `Accept it: ${behind.url}`);
  const more = Object.entries(app.permissions).filter(([name, level]) => rank(level) > rank(neededPermissions[name]));
  const extra = more.map(([name, level]) => `${name}: ${level}`).join(', ');
  return more.length > 0 ? warning(`more than Mayfly uses: ${extra}`, `Remove it at ${app.settingsUrl}/permissions`) : ok('those of app.yml');
}

export function judgeWebhook(hook: HookFacts | null, { settingsUrl, webhookPath }: { settingsUrl: string; webhookPath: string }): Verdict {
  const set = `At ${settingsUrl}, set`;
  if (hook === null || !URL.canParse(hook.url)) return problem('the App has no webhook address', `${set} the webhook URL to https://YOUR-HOST${webhookPath}`);
  const address = new URL(hook.url);
  const found = `GitHub posts to ${address.origin}${address.pathname}`;
  if (!hook.hasSecret) return problem(`${found} without a signature`, `${set} the webhook secret to the value of WEBHOOK_SECRET`);
  if (hook.contentType !== 'json') return problem(`${found} as ${hook.contentType}`, `${set} the content type to application/json`);
  if (address.pathname !== webhookPath)
    return warning(`${found}, but Mayfly listens at ${webhookPath}`, `WEBHOOK_PATH=${address.pathname}, unless a proxy in between changes the path`);
  if (address.protocol !== 'https:' || !hook.checksCertificate) return warning(`${found} without checked TLS`, `${set} an https address with SSL verification`);
  return ok(found);
}

/** Newest first. A delivery that arrived at its second attempt has arrived. */
export function judgeDeliveries(deliveries: readonly DeliveryFacts[] | null, nowMs: number): Verdict {
  const newest = deliveries?.[0];
  if (!deliveries || !newest) return notChecked('GitHub has sent none of late', 'Label an issue of a repository that the App is installed on');
  const arrived = ({ statusCode }: DeliveryFacts): boolean => statusCode >= 200 && statusCode < 300;
  const byGuid = [...Map.groupBy(deliveries, ({ guid }) => guid).values()];
  const lost = byGuid.filter((attempts) => !attempts.some(arrived));
  const last = `${newest.event}, ${ago(nowMs - newest.at.getTime())}`;
  if (!arrived(newest)) return problem(`the newest (${last}) did not arrive: ${newest.statusCode} ${newest.status}`, adviceFor(newest.statusCode));
  if (lost.length === 0) return ok(`of the last ${byGuid.length}, all arrived; the newest: ${last}`);
  return warning(
    `the newest (${last}) arrived, but of the last ${byGuid.length}, ${lost.length} did not`,
    'A running worker asks GitHub for them again by itself',
  );
}

/** The statuses of our own web role; anything else is not ours. */
function adviceFor(status: number): string {
  if (status === 401) return 'WEBHOOK_SECRET=the secret of the App’s webhook at GitHub';
  if (status === 404 || status === 405) return 'WEBHOOK_PATH=the path of the App’s webhook address at GitHub';
  if (status === 503) return 'Start the Redis of REDIS_URL: the web process could not queue it';
  return 'npx mayfly start --role web, and let the App’s webhook address lead to it';
}

function ago(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 120) return `${minutes} min ago`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}

const listed = (names: readonly string[]): string => (names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', '));

export function judgeCredentialsFailure(thrown: unknown): Verdict {
  if (thrown instanceof FixError && thrown.code === 'github_credentials') {
    return problem(reasonOf(thrown), 'Make a new private key in the App’s settings at GitHub, and set APP_ID and PRIVATE_KEY_PATH');
  }
  if (!(thrown instanceof FixError) || thrown.code !== 'github_unavailable') return notChecked(reasonOf(thrown));
  const { message } = thrown.details;
  return problem(`GitHub does not answer: ${typeof message === 'string' ? message : reasonOf(thrown)}`, 'Check the network, HTTPS_PROXY, and githubstatus.com');
}

export function githubChecks(options: GitHubCheckOptions): Check[] {
  const { webhookPath } = options;
  const inspection = once(async () => openInspection(options));
  const app = once(async (signal) => (await inspection(signal))?.app(signal) ?? null);
  const installations = once(async (signal) => (await inspection(signal))?.installations(signal) ?? []);
  /** For what nobody needs to hear twice: the first line says what is wrong with the credentials. */
  const asApp = (judge: (app: AppFacts, inspection: AppInspection, signal: AbortSignal) => Promise<Verdict>) => async (signal: AbortSignal) => {
    const [known, opened] = await Promise.all([app(signal), inspection(signal)]).catch(() => [null, null]);
    return known === null || opened === null ? notChecked('needs the credentials of the App') : await judge(known, opened, signal);
  };
  const credentials = async (signal: AbortSignal): Promise<Verdict> => {
    if (options.appId === null) return notChecked('APP_ID is not set', 'npx mayfly setup github registers the App');
    if (options.privateKey === null) return problem('PRIVATE_KEY_PATH is not set', 'PRIVATE_KEY_PATH=the .pem file of the App, mode 0600');
    try {
      const known = await app(signal);
      return known === null ? notChecked('APP_ID is not set') : judgeApp(known, await installations(signal));
    } catch (thrown) {
      return judgeCredentialsFailure(thrown);
    }
  };
  return [
    { group: 'github', name: 'app', look: credentials },
    { group: 'github', name: 'permissions', look: asApp(async (known, _opened, signal) => judgePermissions(known, await installations(signal))) },
    {
      group: 'github',
      name: 'webhook',
      look: asApp(async ({ settingsUrl }, opened, signal) => judgeWebhook(await opened.hook(signal), { settingsUrl, webhookPath })),
    },
    { group: 'github', name: 'deliveries', look: asApp(async (_known, opened, signal) => judgeDeliveries(await opened.deliveries(signal), Date.now())) },
  ];
}

function openInspection({ appId, privateKey, ...options }: GitHubCheckOptions): AppInspection | null {
  return appId === null || privateKey === null ? null : createAppInspection({ ...options, appId, privateKey });
}
