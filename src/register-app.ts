/** `mayfly setup github` and `mayfly dev-proxy`: wiring between the registration, GitHub and the terminal. */
import { readFile } from 'node:fs/promises';
import type { CommandContext } from './command-line.ts';
import type { Config } from './config.ts';
import { FixError } from './errors.ts';
import { convertManifest } from './github/app-manifest.ts';
import { forwardDeliveries, openChannel, readChannelUrl } from './registration/channel.ts';
import { maxNameLength, parseAppFile } from './registration/manifest.ts';
import { registerApp } from './registration/register.ts';
import type { Registration } from './registration/register.ts';
import { readWebhookAddress } from './registration/webhook-address.ts';
import type { WebhookAddress } from './registration/webhook-address.ts';
import { createFetch } from './run-tools.ts';

export interface RegisterOptions {
  readonly name?: string;
  readonly organization?: string;
  readonly webhookUrl?: string;
  readonly out: string;
  readonly port: number;
  /** A server or a channel of smee.io's kind; true for smee.io. */
  readonly devProxy?: string | true;
  readonly json?: boolean;
}

/** GitHub's code is good for an hour; a page that can make an App should not stay open that long. */
const timeoutMs = 10 * 60_000;

/** Throws what `registerApp`, `openChannel` and `convertManifest` throw, and `usage`. */
export async function registerGitHubApp(options: RegisterOptions, context: CommandContext): Promise<void> {
  const { config, log, secrets, signal } = context;
  const app = parseAppFile(await readFile(new URL('../app.yml', import.meta.url), 'utf8'));
  const { name = app.name, organization = null } = options;
  if (name.trim() === '' || name.length > maxNameLength) throw wrong(`--name takes up to ${maxNameLength} characters`);
  if (organization !== null && !/^[a-z\d](?:[\w-]{0,38})$/i.test(organization)) throw wrong('--organization takes the name in the address of the organization');
  const webUrl = readWebUrl(config);
  const webhook = await chooseWebhook(options, context, new URL(webUrl).hostname === 'github.com');
  const registration = await registerApp({
    app,
    name,
    organization,
    webhook: webhook && { url: webhook.url, path: webhook.path },
    webUrl,
    directory: options.out,
    settings: settingsOf(config),
    port: options.port,
    timeoutMs,
    exchange: async (code) => await convertManifest(code, { apiUrl: config.apiUrl, userAgent: 'mayfly', log, fetch: createFetch(config), secrets, signal }),
    onOpen: ({ address, port }) => sayOpen(address, port),
    onStranger: () => console.error('A request with a wrong state came in and was refused; the page still waits.'),
    signal,
  });
  if (options.json) console.log(JSON.stringify({ ...registration, channel: webhook?.channel ?? null }));
  else sayNext(registration, config, webhook?.channel ?? null);
}

/** Hands on what a channel receives to the web role of this machine, until it is stopped. */
export async function forwardFromChannel(channel: string, { config, signal }: CommandContext): Promise<void> {
  const { href, pathname } = readChannelUrl(channel);
  if (pathname === '/') throw wrong('the address of a channel has a path, as `mayfly setup github --dev-proxy` printed it');
  const target = `http://${config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST}:${config.PORT}${config.WEBHOOK_PATH}`;
  sayThirdParty(href);
  console.error(`Forwarding to ${target}; Ctrl-C ends it.`);
  await forwardDeliveries({ channel: href, target, fetch: createFetch(config), say: (line) => console.error(line), signal });
}

/** Null: the operator has no address yet. */
async function chooseWebhook(
  options: RegisterOptions,
  context: CommandContext,
  isPublicGitHub: boolean,
): Promise<(WebhookAddress & { channel: string | null }) | null> {
  const { config, signal } = context;
  const { webhookUrl, devProxy } = options;
  if (webhookUrl !== undefined && devProxy !== undefined) throw wrong('give --webhook-url or --dev-proxy, not both');
  if (webhookUrl !== undefined) return { ...readWebhookAddress(webhookUrl, { defaultPath: config.WEBHOOK_PATH, isPublicGitHub }), channel: null };
  if (devProxy === undefined) {
    console.error('No --webhook-url was given, so the webhook of the App will be off.');
    console.error('It is the address at which GitHub reaches the web role, for example https://mayfly.example.com; you can set it later at GitHub.');
    return null;
  }
  const channel = await openChannel(devProxy === true ? 'https://smee.io' : devProxy, { fetch: createFetch(config), signal });
  sayThirdParty(channel);
  return { url: channel, path: config.WEBHOOK_PATH, channel };
}

function readWebUrl({ webUrl }: Config): string {
  const url = URL.parse(webUrl);
  if (url && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.username === '') return url.origin;
  throw new FixError('config_invalid', { details: { problems: ['GHE_HOST takes a host such as github.example.com, without https:// and without a path'] } });
}

/** Where GitHub is, when it is not where everybody's is. */
function settingsOf(config: Config): Record<string, string> {
  const { WEBHOOK_PATH, GHE_HOST, GITHUB_API_URL, GITHUB_SERVER_URL } = config;
  const given = Object.entries({ WEBHOOK_PATH, GHE_HOST, GITHUB_API_URL, GITHUB_SERVER_URL });
  return Object.fromEntries(given.filter((entry): entry is [string, string] => entry[1] !== null));
}

function sayThirdParty(channel: string): void {
  console.error(`For development only: everything that GitHub sends passes ${new URL(channel).host}, and whoever knows ${channel} can read it.`);
}

function sayOpen(address: string, port: number): void {
  console.error(`\nOpen this address in your browser. It works for ${timeoutMs / 60_000} minutes, and for one App:\n\n  ${address}\n`);
  console.error(`Is your browser on another machine? Run there: ssh -L ${port}:127.0.0.1:${port} THIS-HOST, then open the same address.`);
}

function sayNext(made: Registration, config: Config, channel: string | null): void {
  const { slug, appId, keyFile, environmentFile, webhookUrl, settingsUrl, installUrl } = made;
  const secret = made.secretIsOurs ? `WEBHOOK_SECRET of ${environmentFile}` : 'as it is';
  const webhook = webhookUrl ?? `https://YOUR-HOST${config.WEBHOOK_PATH}`;
  const steps = [
    ...(webhookUrl === null || made.secretIsOurs ? [`Set the webhook in ${settingsUrl}: address ${webhook}, secret ${secret}, and tick Active.`] : []),
    `Install the App on a repository: ${installUrl}`,
    `Add REDIS_URL, MAYFLY_MODEL and the key of its vendor to ${environmentFile}.`,
    `Start Mayfly: set -a; . ${environmentFile}; set +a; npx mayfly start`,
    ...(channel === null ? [] : [`Beside it, in the same environment: npx mayfly dev-proxy ${channel}`]),
  ];
  console.log(`\nThe GitHub App ${slug} is registered; its id is ${appId}.\n`);
  console.log(`  private key  ${keyFile}`);
  console.log(`  environment  ${environmentFile}`);
  console.log(`  webhook      ${webhookUrl ?? 'off'}\n\nWhat comes next:`);
  for (const [index, step] of steps.entries()) console.log(`  ${index + 1}. ${step}`);
}

function wrong(reason: string): FixError {
  return new FixError('usage', { details: { reason } });
}
