/**
 * vercel-labs' emulator, which keeps users, issues, labels, comments, reviews, checks and the state of pull requests.
 * It listens on its own port that no client is told; calls go to it with tokens of its own, after the front has decided.
 */
import { randomUUID } from 'node:crypto';
import { createEmulator } from 'emulate';
import { Agent, request } from 'undici';
import githubAppJwt from 'universal-github-app-jwt';
import type { Json, Reply, StandInApp } from './world.ts';

export interface Emulator {
  call(method: string, target: string, options: { as: string; body?: Json }): Promise<Reply>;
  /** `as` for the owner of everything an account has. */
  ownerOf(account: string): string;
  isOrganization(account: string): boolean;
  knows(login: string): boolean;
  close(): Promise<void>;
}

export interface EmulatorOptions {
  readonly app: StandInApp;
  readonly users: readonly string[];
  readonly organizations: readonly string[];
  /** What the emulator's URLs are rewritten to. */
  readonly publicUrl: string;
}

export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { app, users, organizations, publicUrl } = options;
  const ownerOf = (account: string): string => (organizations.includes(account) ? `${account}-owner` : account);
  const logins = [...new Set([...users, ...organizations.map(ownerOf), 'stand-in'])];
  const tokens = new Map<string, string>(logins.map((login) => [login, randomUUID()]));
  const backend = await createEmulator({ service: 'github', port: 0, seed: seed(app, organizations, ownerOf, tokens) });
  const origin = `http://127.0.0.1:${new URL(backend.url).port}`;
  // An agent of our own: the global one may have been pointed at a corporate proxy.
  const agent = new Agent();

  const send = async (method: string, target: string, token: string, body?: Json): Promise<Reply> => {
    const response = await request(`${origin}${target}`, {
      method: method as 'GET',
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = (await response.body.text()).replaceAll(backend.url, publicUrl);
    const link = response.headers['link'];
    const headers = typeof link === 'string' ? { link: link.replaceAll(backend.url, publicUrl) } : {};
    return { status: response.statusCode, headers, ...(text === '' ? {} : { body: JSON.parse(text) }) };
  };
  const jwt = await githubAppJwt({ id: app.appId, privateKey: app.privateKey });
  const minted = await send('POST', `/app/installations/${app.installationId}/access_tokens`, jwt.token, {});
  tokens.set(`${app.slug}[bot]`, minted.body.token);
  await spreadIds(send, tokens.get('stand-in') ?? '');
  return {
    call: (method, target, { as, body }) => send(method, target, tokens.get(as) ?? '', body),
    ownerOf,
    isOrganization: (account) => organizations.includes(account),
    knows: (login) => tokens.has(login),
    async close() {
      await agent.close();
      await backend.close();
    },
  };
}

function seed(app: StandInApp, organizations: readonly string[], ownerOf: (account: string) => string, tokens: Map<string, string>): Json {
  return {
    tokens: Object.fromEntries([...tokens].map(([login, token]) => [token, { login }])),
    github: {
      users: [...tokens.keys()].map((login) => ({ login })),
      orgs: organizations.map((login) => ({ login, members: [{ login: ownerOf(login), role: 'admin' }] })),
      apps: [
        {
          app_id: app.appId,
          slug: app.slug,
          name: app.slug,
          private_key: app.privateKey,
          permissions: { ...app.permissions, administration: 'write', contents: 'write', issues: 'write', pull_requests: 'write', checks: 'write' },
          events: [],
          installations: [{ installation_id: app.installationId, account: app.account }],
        },
      ],
    },
  };
}

/** Uses up a few row ids, so that an issue's id never equals its number: whoever mixes them up must fail. */
async function spreadIds(send: (method: string, target: string, token: string, body?: Json) => Promise<Reply>, token: string): Promise<void> {
  await send('POST', '/user/repos', token, { name: 'ids' });
  for (let index = 0; index < 5; index += 1) {
    await send('POST', '/repos/stand-in/ids/issues', token, { title: 'takes an id' });
    for (let second = 0; second < 2; second += 1) await send('POST', '/repos/stand-in/ids/issues/1/comments', token, { body: 'takes an id' });
  }
}
