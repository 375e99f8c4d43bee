/** What the parts of the stand-in share: its repositories, who is calling, and what an answer is. */
import type { Emulator } from './emulator.ts';
import type { GitStore } from './git-store.ts';
import type { TokenRow, TokenTable } from './tokens.ts';

/** GitHub's JSON. Its shape is the business of GitHub's OpenAPI description, so it is not typed a second time here. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export type Role = 'admin' | 'maintain' | 'write' | 'triage' | 'read';
export const roles: readonly Role[] = ['read', 'triage', 'write', 'maintain', 'admin'];

export interface Reaction {
  readonly id: number;
  readonly content: string;
  readonly user: Json;
  readonly created_at: string;
}

/** What git knows of a pull request; title, body, labels and state live in the emulator. */
export interface PullState {
  readonly number: number;
  readonly headRef: string;
  headSha: string;
  readonly baseRef: string;
  readonly baseSha: string;
  open: boolean;
  /** Whose fork its branch lies in; undefined for a branch of the repository itself. */
  fork?: string;
}

export interface StoredReview {
  readonly id: number;
  readonly pull: number;
  readonly login: string;
  readonly state: 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED';
  readonly body: string;
  readonly commitId: string;
  readonly at: string;
}

export interface StoredReviewComment {
  readonly id: number;
  readonly pull: number;
  readonly reviewId: number;
  readonly login: string;
  readonly path: string;
  readonly line: number;
  readonly side: string;
  body: string;
  /** The lines that it stands at. */
  readonly hunk: string;
  /** The first comment of its thread; null for that one. */
  readonly inReplyTo: number | null;
  readonly commitId: string;
  readonly at: string;
  editedAt: string | null;
}

/** What workflows said of a commit; null while they are under way. */
export interface StoredSuite {
  readonly id: number;
  readonly sha: string;
  readonly conclusion: string | null;
  readonly runs: readonly { readonly id: number; readonly name: string; readonly conclusion: string | null; readonly log: string | null }[];
}

export interface StoredRepository {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
  readonly fullName: string;
  readonly private: boolean;
  readonly git: GitStore;
  /** Direct collaborators; the owner is `admin`. Nobody else has a role. */
  readonly roles: Map<string, Role>;
  readonly protectedBranches: Set<string>;
  /** Whether the App's installation covers it. */
  readonly installed: boolean;
  readonly pulls: Map<number, PullState>;
  readonly suites: StoredSuite[];
  readonly reviews: Map<number, StoredReview>;
  readonly reviewComments: Map<number, StoredReviewComment>;
  /** First comments of threads that somebody resolved, or whose lines are not there any more. */
  readonly resolved: Set<number>;
  readonly outdated: Set<number>;
  /** By `issue/<number>`, `comment/<id>` or `review-comment/<id>`. */
  readonly reactions: Map<string, Reaction[]>;
  readonly statuses: Map<string, Json[]>;
  /** Ids of check runs by commit: the emulator lists them only for commits that it knows. */
  readonly checks: Map<string, number[]>;
  /** Commits that GitHub itself would have signed. */
  readonly verified: Set<string>;
  /** Heads of branches as events have told of them; `last` ends when nobody looks at them any more. */
  readonly told: { heads: ReadonlyMap<string, string>; last: Promise<unknown> };
}

/** The App as a consumer is configured with it. */
export interface StandInApp {
  readonly appId: number;
  readonly privateKey: string;
  readonly webhookSecret: string;
  readonly installationId: number;
  readonly slug: string;
  /** The account that it is installed on. */
  readonly account: string;
  readonly permissions: Readonly<Record<string, string>>;
  readonly events: readonly string[];
}

export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'app' }
  | { readonly kind: 'user'; readonly login: string; readonly token: TokenRow }
  | { readonly kind: 'installation'; readonly token: TokenRow };

export interface World {
  readonly app: StandInApp;
  readonly url: string;
  readonly emulator: Emulator;
  readonly tokens: TokenTable;
  readonly repositories: Map<string, StoredRepository>;
  readonly drafts: boolean;
  readonly archives: Map<string, { readonly repository: StoredRepository; readonly sha: string; readonly format: string }>;
  /** Logs that somebody was sent to. */
  readonly logs: Map<string, string>;
  suspended: boolean;
  readonly now: () => number;
  readonly nextId: () => number;
}

/** One API request after authentication, validation and the access check. */
export interface Call {
  readonly method: string;
  /** Path and query as they came, for forwarding. */
  readonly target: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly body: Json;
  readonly caller: Caller;
  /** Present for every path below /repos/{owner}/{repo}. */
  readonly repository: StoredRepository;
  readonly world: World;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON; a Buffer is sent as it is. */
  readonly body?: Json;
  /** What GitHub tells about it, when that cannot be seen by comparing. */
  readonly events?: readonly { readonly event: string; readonly payload: Json }[];
}

/** An answer that is not a success, thrown from any depth of a handler. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reply: Reply;

  constructor(status: number, message: string, more: Json = {}) {
    super(message);
    this.reply = { status, body: { message, ...more, documentation_url: 'https://docs.github.com/rest', status: String(status) } };
  }
}

export const notFound = (): Refusal => new Refusal(404, 'Not Found');
export const notAccessible = (): Refusal => new Refusal(403, 'Resource not accessible by integration');

/** GitHub's 422 with one entry in `errors`. */
export function invalid(resource: string, error: { code: string; field?: string; message?: string }): Refusal {
  return new Refusal(422, 'Validation Failed', { errors: [{ resource, ...error }] });
}

/** The login that GitHub shows for what a caller does. */
export function actorLogin(world: World, caller: Caller): string {
  if (caller.kind === 'user') return caller.login;
  return `${world.app.slug}[bot]`;
}

/** Who called, without the token's value: its id, `app` for an App JWT, null for nobody. */
export function callerId(caller: Caller): string | null {
  if (caller.kind === 'app') return 'app';
  return caller.kind === 'anonymous' ? null : caller.token.id;
}

/** A time as GitHub writes it: whole seconds. */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** One page of a list, with the Link header that Octokit's paginate follows. */
export function paginate(items: readonly Json[], call: Call): Reply {
  const size = Math.min(Number(call.query.get('per_page') ?? 30), 100);
  const page = Number(call.query.get('page') ?? 1);
  const last = Math.max(1, Math.ceil(items.length / size));
  const link = (to: number, relation: string): string => {
    const url = new URL(call.target, call.world.url);
    url.searchParams.set('page', String(to));
    return `<${url.href}>; rel="${relation}"`;
  };
  const links = [...(page > 1 ? [link(page - 1, 'prev'), link(1, 'first')] : []), ...(page < last ? [link(page + 1, 'next'), link(last, 'last')] : [])];
  return { status: 200, headers: links.length > 0 ? { link: links.join(', ') } : {}, body: items.slice((page - 1) * size, page * size) };
}
