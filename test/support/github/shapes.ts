/** What the emulator leaves out of an answer or gets wrong, put right on the way out. */
import { granted, hasRole } from './access.ts';
import { changedFiles, commitsBetween, mergeBase } from './git-files.ts';
import type { Caller, Json, PullState, StoredRepository, World } from './world.ts';

/** Corrects every GitHub object in an answer, whatever the depth: pulls by git, reactions by our table, authorship by the App. */
export async function correct(world: World, caller: Caller | null, value: Json): Promise<Json> {
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return Promise.all(value.map((item) => correct(world, caller, item)));
  const entries = await Promise.all(
    Object.entries<Json>(value).map(
      async ([key, child]) =>
        [
          key,
          (key === 'owner' || key === 'user') && child?.type === 'Organization' ? simpleAccount(world, child) : await correct(world, caller, child),
        ] as const,
    ),
  );
  const copy: Json = Object.fromEntries(entries);
  if (typeof copy.full_name === 'string' && copy.clone_url) return correctRepository(world, caller, copy);
  if (copy.head?.sha && copy.base?.sha && copy.diff_url) return correctPull(world, copy);
  if (copy.reactions && copy.url) correctAuthored(world, copy);
  return copy;
}

const accountPaths: Readonly<Record<string, string>> = {
  followers_url: '/followers',
  following_url: '/following{/other_user}',
  gists_url: '/gists{/gist_id}',
  starred_url: '/starred{/owner}{/repo}',
  subscriptions_url: '/subscriptions',
  organizations_url: '/orgs',
  repos_url: '/repos',
  events_url: '/events{/privacy}',
  received_events_url: '/received_events',
};

/** As an owner an organization has a user's fields, not an organization's. */
function simpleAccount(world: World, { login, id, node_id, avatar_url, html_url }: Json): Json {
  const url = `${world.url}/users/${login}`;
  const urls = Object.fromEntries(Object.entries(accountPaths).map(([key, path]) => [key, `${url}${path}`]));
  return { login, id, node_id, avatar_url, gravatar_id: '', url, html_url, ...urls, type: 'Organization', site_admin: false, user_view_type: 'public' };
}

function correctRepository(world: World, caller: Caller | null, body: Json): Json {
  const { permissions: _permissions, ...repository } = body;
  const stored = world.repositories.get(body.full_name);
  const more = { custom_properties: {}, web_commit_signoff_required: false };
  if (!stored || !caller || caller.kind === 'app' || caller.kind === 'anonymous') return { ...repository, ...more };
  const may = (role: 'admin' | 'maintain' | 'write' | 'triage'): boolean => (caller.kind === 'user' ? hasRole(stored, caller.login, role) : false);
  const push = may('write') || (caller.kind === 'installation' && granted(caller, 'contents', 'write'));
  return { ...repository, ...more, permissions: { admin: may('admin'), maintain: may('maintain'), push, triage: push || may('triage'), pull: true } };
}

function correctAuthored(world: World, body: Json): void {
  const repository = repositoryOfUrl(world, body.url);
  const comment = /\/issues\/comments\/(\d+)$/.exec(body.url)?.[1];
  const key = comment === undefined ? `issue/${body.number}` : `comment/${comment}`;
  for (const { content } of repository?.reactions.get(key) ?? []) {
    body.reactions[content] += 1;
    body.reactions.total_count += 1;
  }
  body.performed_via_github_app = body.user?.login === `${world.app.slug}[bot]` ? appBody(world) : null;
}

function repositoryOfUrl(world: World, url: string): StoredRepository | undefined {
  const [, owner, name] = /\/repos\/([^/]+)\/([^/]+)\//.exec(url) ?? [];
  return world.repositories.get(`${owner}/${name}`);
}

async function correctPull(world: World, body: Json): Promise<Json> {
  const repository = repositoryOfUrl(world, `${body.url}/`);
  const pull = repository?.pulls.get(body.number);
  if (!repository || !pull) return body;
  const { head, base, _links, ...rest } = body;
  const fits = await mergesCleanly(repository, pull);
  const statuses = `${world.url}/repos/${repository.fullName}/statuses/${pull.headSha}`;
  return {
    ...rest,
    ...(await pullNumbers(world, repository, pull)),
    statuses_url: statuses,
    head: { ...head, sha: pull.headSha, ...(pull.fork !== undefined && inFork(head, pull.fork)) },
    base: { ...base, sha: pull.baseSha },
    _links: { ..._links, statuses: { href: statuses } },
    merge_commit_sha: null,
    mergeable: fits,
    mergeable_state: fits ? (body.draft ? 'draft' : 'clean') : 'dirty',
  };
}

/** A fork is a repository of its own, with an id, an owner and the same name. */
function inFork(head: Json, login: string): Json {
  const { repo, user } = head;
  const owner = { ...user, login, id: 900_001 };
  return { label: `${login}:${head.ref}`, user: owner, repo: { ...repo, id: repo.id + 1_000_000, full_name: `${login}/${repo.name}`, owner, fork: true } };
}

/** With the base as it is now, not as it was when the pull request was opened. */
async function mergesCleanly(repository: StoredRepository, { baseRef, headSha }: PullState): Promise<boolean> {
  const tip = await repository.git.resolve(`refs/heads/${baseRef}`);
  return tip !== null && (await repository.git.read('merge-tree', '--write-tree', tip, headSha)) !== null;
}

async function pullNumbers(world: World, repository: StoredRepository, pull: PullState): Promise<Json> {
  const fork = await mergeBase(repository, pull.baseSha, pull.headSha);
  const files = await changedFiles(repository, fork, pull.headSha, world.url);
  const sum = (key: string): number => files.reduce((total, file) => total + file[key], 0);
  const commits = await commitsBetween(repository, fork, pull.headSha);
  return { commits: commits.length, additions: sum('additions'), deletions: sum('deletions'), changed_files: files.length };
}

/** GitHub tells these of one pull request, not in a list of them. */
const onlyAlone = [
  'merged',
  'mergeable',
  'rebaseable',
  'mergeable_state',
  'merged_by',
  'comments',
  'review_comments',
  'maintainer_can_modify',
  'commits',
  'additions',
  'deletions',
  'changed_files',
];

export function listedPull(pull: Json): Json {
  return Object.fromEntries(Object.entries(pull).filter(([key]) => !onlyAlone.includes(key)));
}

/** The App as GitHub shows it. */
export function appBody(world: World): Json {
  const { app, url } = world;
  return {
    id: app.appId,
    slug: app.slug,
    node_id: Buffer.from(`App:${app.appId}`).toString('base64url'),
    client_id: `Iv23${String(app.appId).padStart(16, '0')}`,
    owner: accountBody(world),
    name: app.slug,
    description: null,
    external_url: url,
    html_url: `${url}/apps/${app.slug}`,
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    permissions: app.permissions,
    events: app.events,
  };
}

/** The account that the App is installed on, in short. */
export function accountBody({ app, url, emulator }: World): Json {
  const organization = emulator.isOrganization(app.account);
  return {
    login: app.account,
    id: 1,
    node_id: Buffer.from(`Account:${app.account}`).toString('base64url'),
    url: `${url}/${organization ? 'orgs' : 'users'}/${app.account}`,
    html_url: `${url}/${app.account}`,
    type: organization ? 'Organization' : 'User',
    site_admin: false,
  };
}
