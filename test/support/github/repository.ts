/** A seeded repository in the hands of a test or the demo: people act through the public API, the rest reads back. */
import { Agent, request } from 'undici';
import { addSuite, type SuiteWish } from './actions.ts';
import { announceBranches, emitChanges } from './pushes.ts';
import { writeFiles, type SeedFiles } from './seed.ts';
import type { Webhooks } from './webhooks.ts';
import { Refusal, type Caller, type Json, type Role, type StoredRepository, type World } from './world.ts';

export interface PullRequestView {
  /** As `GET /pulls/{n}` shows it. */
  readonly body: Json;
  readonly files: readonly Json[];
  readonly commits: readonly Json[];
  readonly diff: string;
}

export interface StandInRepository {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
  readonly fullName: string;
  readonly cloneUrl: string;
  /** Resolves with the issue's number. */
  createIssue(options: { as: string; title: string; body?: string; labels?: readonly string[] }): Promise<number>;
  label(options: { as: string; issue: number; label: string }): Promise<void>;
  unlabel(options: { as: string; issue: number; label: string }): Promise<void>;
  /** Resolves with the comment's id. */
  comment(options: { as: string; issue: number; body: string }): Promise<number>;
  closeIssue(options: { as: string; issue: number }): Promise<void>;
  /** A review with comments at lines. Resolves with the ids of the review and, in their order, of its comments. */
  review(options: {
    as: string;
    pull: number;
    event: 'APPROVE' | 'REQUEST_CHANGES' | 'COMMENT';
    body?: string;
    comments?: readonly { path: string; line: number; body: string }[];
  }): Promise<{ id: number; comments: readonly number[] }>;
  /** One comment at a line, or an answer in a thread. Resolves with its id. */
  remark(options: { as: string; pull: number; body: string } & ({ path: string; line: number } | { inReplyTo: number })): Promise<number>;
  /** Comments at lines, oldest first, with the reactions of `reviewReactions`. */
  reviewComments(pull: number): Promise<readonly Json[]>;
  reviewReactions(comment: number): readonly string[];
  /** What people do with a thread, named by its first comment. */
  resolveThread(comment: number): void;
  outdateThread(comment: number): void;
  /** What workflows say of a commit. */
  runWorkflows(wish: SuiteWish): Promise<void>;
  /** A push by somebody outside of the API: a commit on top of a branch. Null as content deletes. Resolves with the SHA. */
  commit(options: { branch?: string; message: string; files: SeedFiles; by?: string }): Promise<string>;
  /** From now on the branch of a pull request lies in the fork of somebody. */
  moveToFork(pull: number, login: string): void;
  /** Null takes the collaborator's access away. */
  setPermission(login: string, role: Role | null): Promise<void>;
  protect(branch: string): void;
  issue(number: number): Promise<Json>;
  comments(issue: number): Promise<readonly Json[]>;
  reactions(issue: number): readonly string[];
  commentReactions(comment: number): readonly string[];
  /** Pull requests among them, by number. */
  allIssues(): Promise<readonly Json[]>;
  branches(): Promise<Readonly<Record<string, string>>>;
  /** Commits of a branch by their first parents, oldest first; of main without its root, of other branches those that main has not. */
  history(branch: string): Promise<readonly { readonly sha: string; readonly subject: string }[]>;
  /** Check runs on a commit, the newest of each name. */
  checks(sha: string): Promise<readonly Json[]>;
  pullRequests(): Promise<readonly Json[]>;
  pullRequest(number: number): Promise<PullRequestView>;
  /** A file's text at a commit, branch or tag; null when there is none. */
  file(ref: string, path: string): Promise<string | null>;
}

export function createRepositoryHandle(world: World, stored: StoredRepository, webhooks: Pick<Webhooks, 'emit'>): StandInRepository {
  const json = 'application/vnd.github+json';
  const api = async (as: string, method: string, path: string, body?: Json): Promise<Json> =>
    callApi({ world, as, method, target: `/repos/${stored.fullName}${path}`, body, accept: json });
  const owner = world.emulator.ownerOf(stored.owner);
  const person = (login: string): Caller => ({ kind: 'user', login, token: world.tokens.user(login) });
  return {
    id: stored.id,
    owner: stored.owner,
    name: stored.name,
    fullName: stored.fullName,
    cloneUrl: `${world.url}/${stored.fullName}.git`,
    createIssue: async ({ as, ...issue }) => (await api(as, 'POST', '/issues', issue)).number,
    label: async ({ as, issue, label }) => void (await api(as, 'POST', `/issues/${issue}/labels`, { labels: [label] })),
    unlabel: async ({ as, issue, label }) => void (await api(as, 'DELETE', `/issues/${issue}/labels/${encodeURIComponent(label)}`)),
    comment: async ({ as, issue, body }) => (await api(as, 'POST', `/issues/${issue}/comments`, { body })).id,
    async review({ as, pull, ...wish }) {
      const { id } = await api(as, 'POST', `/pulls/${pull}/reviews`, wish);
      return { id, comments: [...stored.reviewComments.values()].filter(({ reviewId }) => reviewId === id).map((comment) => comment.id) };
    },
    async remark({ as, pull, body, ...at }) {
      const path = 'inReplyTo' in at ? `/pulls/${pull}/comments/${at.inReplyTo}/replies` : `/pulls/${pull}/comments`;
      const place = 'inReplyTo' in at ? {} : { ...at, commit_id: stored.pulls.get(pull)?.headSha };
      return (await api(as, 'POST', path, { body, ...place })).id;
    },
    reviewComments: (pull) => api(owner, 'GET', `/pulls/${pull}/comments?per_page=100`),
    reviewReactions: (comment) => (stored.reactions.get(`review-comment/${comment}`) ?? []).map(({ content }) => content),
    resolveThread: (comment) => void stored.resolved.add(comment),
    outdateThread: (comment) => void stored.outdated.add(comment),
    async runWorkflows(wish) {
      await emitChanges({ world, webhooks }, stored, person(owner), await addSuite(world, stored, wish));
    },
    closeIssue: async ({ as, issue }) => void (await api(as, 'PATCH', `/issues/${issue}`, { state: 'closed' })),
    async commit({ branch = 'main', message, files, by = owner }) {
      const sha = await writeFiles(stored.git, { branch, message, files, by, atMs: world.now() });
      await announceBranches({ world, webhooks }, stored, person(world.emulator.knows(by) ? by : owner));
      return sha;
    },
    moveToFork(pull, login) {
      const moved = stored.pulls.get(pull);
      if (!moved) throw new Error(`there is no pull request ${pull}`);
      moved.fork = login;
    },
    async setPermission(login, role) {
      const words: Readonly<Record<Role, string>> = { read: 'pull', triage: 'triage', write: 'push', maintain: 'maintain', admin: 'admin' };
      if (role === null) await api(owner, 'DELETE', `/collaborators/${login}`);
      else await api(owner, 'PUT', `/collaborators/${login}`, { permission: words[role] });
    },
    protect: (branch) => void stored.protectedBranches.add(branch),
    issue: (number) => api(owner, 'GET', `/issues/${number}`),
    comments: (issue) => api(owner, 'GET', `/issues/${issue}/comments?per_page=100`),
    reactions: (issue) => (stored.reactions.get(`issue/${issue}`) ?? []).map(({ content }) => content),
    commentReactions: (comment) => (stored.reactions.get(`comment/${comment}`) ?? []).map(({ content }) => content),
    allIssues: async () => await api(owner, 'GET', '/issues?state=all&sort=created&direction=asc&per_page=100'),
    async history(branch) {
      const from = branch === 'main' ? [] : ['^refs/heads/main'];
      const lines = (await stored.git.read('log', '--reverse', '--first-parent', '--format=%H %s', `refs/heads/${branch}`, ...from)) ?? '';
      const commits = lines.split('\n').flatMap((line) => (line === '' ? [] : [{ sha: line.slice(0, 40), subject: line.slice(41) }]));
      return branch === 'main' ? commits.slice(1) : commits;
    },
    async branches() {
      const refs = await stored.git.refs('refs/heads');
      return Object.fromEntries(refs.map(({ ref, sha }) => [ref.replace('refs/heads/', ''), sha]));
    },
    checks: async (sha) => (await api(owner, 'GET', `/commits/${sha}/check-runs`)).check_runs,
    pullRequests: () => api(owner, 'GET', '/pulls?state=all&per_page=100'),
    async pullRequest(number) {
      const path = `/pulls/${number}`;
      const body = await api(owner, 'GET', path);
      const files = await api(owner, 'GET', `${path}/files?per_page=100`);
      const commits = await api(owner, 'GET', `${path}/commits?per_page=100`);
      const diff = await callApi({
        world,
        as: owner,
        method: 'GET',
        target: `/repos/${stored.fullName}${path}`,
        body: undefined,
        accept: 'application/vnd.github.diff',
      });
      return { body, files, commits, diff };
    },
    file: (ref, path) => stored.git.read('show', '--end-of-options', `${ref}:${path}`),
  };
}

interface ApiCall {
  readonly world: World;
  readonly as: string;
  readonly method: string;
  readonly target: string;
  readonly body: Json;
  readonly accept: string;
}

/** One call to our own front with the person's own token, as their browser would make it. */
async function callApi({ world, as, method, target, body, accept }: ApiCall): Promise<Json> {
  if (!world.emulator.knows(as)) throw new Error(`nobody is called ${as} here: name them in the option \`users\``);
  await using agent = new DisposableAgent();
  const response = await request(`${world.url}${target}`, {
    method: method as 'GET',
    dispatcher: agent,
    headers: { authorization: `token ${world.tokens.user(as).value}`, accept, 'user-agent': `browser of ${as}`, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.body.text();
  if (response.statusCode >= 400) throw new Refusal(response.statusCode, `${method} ${target} as ${as}: ${response.statusCode} ${text}`);
  if (text === '') return null;
  return accept.endsWith('json') ? JSON.parse(text) : text;
}

/** A connection of its own for each call, so that no keep-alive socket outlives a test. */
class DisposableAgent extends Agent implements AsyncDisposable {
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
