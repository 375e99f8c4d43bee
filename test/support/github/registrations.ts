/**
 * GitHub's manifest flow: the page that takes a manifest, the way back with a code, and the code for the credentials.
 * What is refused is from GitHub's documentation, and where it is silent from what people report:
 * https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
 * https://github.com/vikasprogrammer/agentric/pull/317 (a hook without an address), https://github.com/quickfeed/quickfeed/pull/964
 * (events without a hook), https://github.com/tuist/tuist/pull/10709 (events that cannot be asked for).
 */
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import type { BareCall } from './app-routes.ts';
import { appBody } from './shapes.ts';
import type { Webhooks } from './webhooks.ts';
import { notFound, type Json, type Reply, type World } from './world.ts';

export interface PostedManifest {
  /** Null: the person's own account. */
  readonly organization: string | null;
  readonly state: string | null;
  readonly manifest: Json;
  readonly problems: readonly string[];
}

export interface Registrations {
  readonly posted: readonly PostedManifest[];
  /** Makes the codes that were given out so far old: GitHub keeps them for an hour. */
  expireCodes(): void;
  /** False: the App has no webhook secret of GitHub's making. */
  withSecret: boolean;
  /** Answers a browser; returns the status. */
  serve(request: WebRequest, response: ServerResponse): number;
  convert(call: BareCall): Promise<Reply>;
}

interface WebRequest {
  readonly method: string;
  readonly url: URL;
  readonly type: string | undefined;
  readonly body: Buffer;
}

const codeLifeMs = 60 * 60_000;
const newPath = /^(?:\/organizations\/([^/]+))?\/settings\/apps\/new$/;
const createPath = '/settings/apps';

export const isRegistrationPath = (path: string): boolean => newPath.test(path) || path === createPath;

export function createRegistrations(parts: { world: World; webhooks: Webhooks; permissionNames: ReadonlySet<string> }): Registrations {
  const { world } = parts;
  const posted: PostedManifest[] = [];
  const codes = new Map<string, number>();
  const registrations: Registrations = {
    posted,
    withSecret: true,
    expireCodes() {
      for (const [code, madeAt] of codes) codes.set(code, madeAt - codeLifeMs);
    },
    serve({ method, url, type, body }, response) {
      if (method !== 'POST' || !type?.startsWith('application/x-www-form-urlencoded')) return show(response, 404, 'Not Found');
      const form = new URLSearchParams(body.toString());
      if (url.pathname === createPath) return create(Number(form.get('registration')), response);
      const one = read(form.get('manifest') ?? '', url, parts.permissionNames);
      posted.push(one);
      if (one.problems.length > 0) return show(response, 422, `<h1>Invalid GitHub App configuration</h1><p>${one.problems.join('<br>')}</p>`);
      const field = `<input type="hidden" name="registration" value="${posted.length - 1}">`;
      return show(
        response,
        200,
        `<h1>Create GitHub App for ${one.organization ?? 'you'}</h1><form method="post" action="${createPath}">${field}<button>Create</button></form>`,
      );
    },
    async convert({ params }) {
      const madeAt = codes.get(params['code'] ?? '');
      codes.delete(params['code'] ?? '');
      if (madeAt === undefined || world.now() - madeAt >= codeLifeMs) throw notFound();
      const { privateKey: pem, webhookSecret } = world.app;
      const secrets = { client_secret: randomBytes(20).toString('hex'), webhook_secret: registrations.withSecret ? webhookSecret : null, pem };
      return { status: 201, body: { ...appBody(world), ...secrets } };
    },
  };

  function create(index: number, response: ServerResponse): number {
    const one = posted[index];
    if (!one || one.problems.length > 0) return show(response, 404, 'Not Found');
    const { url, active } = one.manifest.hook_attributes;
    if (active !== false) parts.webhooks.url = url;
    const code = randomBytes(20).toString('hex');
    codes.set(code, world.now());
    const back = new URL(one.manifest.redirect_url);
    back.searchParams.set('code', code);
    if (one.state !== null) back.searchParams.set('state', one.state);
    response.writeHead(302, { location: back.href }).end();
    return 302;
  }
  return registrations;
}

const isUrl = (text: string): boolean => /^https?:$/.test(URL.parse(text)?.protocol ?? '');
const Address = z.string().refine(isUrl, 'is not an address');
const isPublic = (text: string): boolean => !/^(?:localhost|127\.|10\.|192\.168\.|\[)/.test(URL.parse(text)?.hostname ?? '');

/** Stricter than GitHub: it takes no key that it does not document. */
const Manifest = z.strictObject({
  name: z.string().min(1).max(34).optional(),
  url: Address,
  hook_attributes: z
    .strictObject({
      url: Address.refine(isPublic, 'Hook url is not supported because it is not reachable over the public Internet'),
      active: z.boolean().optional(),
    })
    .optional(),
  redirect_url: Address,
  callback_urls: z.array(Address).max(10).optional(),
  setup_url: Address.optional(),
  description: z.string().optional(),
  public: z.boolean().optional(),
  default_events: z.array(z.string()).optional(),
  default_permissions: z.record(z.string(), z.enum(['read', 'write', 'admin'])).optional(),
  request_oauth_on_install: z.boolean().optional(),
  setup_on_update: z.boolean().optional(),
});

/** The permission without which GitHub sends none of them, for the events that Mayfly could ask for. */
const permissionOf: Readonly<Record<string, string>> = {
  issues: 'issues',
  issue_comment: 'issues',
  pull_request: 'pull_requests',
  pull_request_review: 'pull_requests',
  pull_request_review_comment: 'pull_requests',
  check_suite: 'checks',
  check_run: 'checks',
  push: 'contents',
};

function read(text: string, url: URL, permissionNames: ReadonlySet<string>): PostedManifest {
  const organization = newPath.exec(url.pathname)?.[1] ?? null;
  const manifest = parseJson(text);
  return { organization, state: url.searchParams.get('state'), manifest, problems: problemsOf(manifest, permissionNames) };
}

function problemsOf(manifest: Json, permissionNames: ReadonlySet<string>): string[] {
  const parsed = Manifest.safeParse(manifest);
  if (!parsed.success) return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  const { default_permissions: permissions = {}, default_events: events = [], hook_attributes: hook } = parsed.data;
  return [
    ...(events.length > 0 && !hook ? ['hook_attributes: "url" wasn’t supplied'] : []),
    ...events.filter((event) => !(event in permissionOf)).map((event) => `Default events unsupported: ${event}`),
    ...events.filter((event) => !((permissionOf[event] ?? '') in permissions)).map((event) => `Default events are not supported by permissions: ${event}`),
    ...Object.keys(permissions)
      .filter((name) => !permissionNames.has(name))
      .map((name) => `Default permission records resource is not included in the list: ${name}`),
  ];
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function show(response: ServerResponse, status: number, body: string): number {
  // As GitHub sends it: the way back has to be let through by its own policy, not by ours.
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end(`<!doctype html><title>GitHub</title>${body}`);
  return status;
}
