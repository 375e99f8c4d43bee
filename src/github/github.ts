/** The port of GitHub: what a run may ask and say. Everything is scoped to one repository and one installation. */
import type { PatchFile, PullRequest, Repository } from '../job.ts';

export interface RepositoryRef {
  readonly installationId: number;
  readonly repository: Pick<Repository, 'id' | 'owner' | 'name'>;
}

/** What was minted, for the report: the value itself is not in it. */
export interface TokenRecord {
  readonly use: 'read' | 'talk' | 'publish';
  readonly repositories: readonly string[];
  readonly permissions: Readonly<Record<string, string>>;
  revoked: boolean;
}

/** A live token; disposing it revokes it at GitHub. */
export interface Token extends AsyncDisposable {
  readonly value: string;
}

export interface IssueState {
  readonly open: boolean;
  readonly locked: boolean;
  readonly isPullRequest: boolean;
}

export interface PublishRequest {
  readonly baseSha: string;
  readonly baseBranch: string;
  /** `mayfly/issue-7`; a suffix is added when somebody else has that branch. */
  readonly branch: string;
  readonly files: readonly PatchFile[];
  readonly commitMessage: string;
  readonly title: string;
  readonly body: string;
  readonly draft: boolean;
  readonly reviewer: string | null;
  /** Found again by it after a crash: the run's id, hidden in the body. */
  readonly marker: string;
  readonly signal: AbortSignal;
  /** Asked before every write, when given; false ends publishing with `lock_lost`. */
  readonly ownsRun?: () => Promise<boolean>;
}

export interface GitHubRepository {
  readonly cloneUrl: string;
  /** GET collaborators/{login}/permission; a 404 is `none`; any other error throws. */
  permission(login: string): Promise<'admin' | 'write' | 'read' | 'none'>;
  issue(number: number): Promise<IssueState>;
  /** The open pull request of a branch that this App made for the issue, if there is one. */
  openPullRequest(branchPrefix: string): Promise<{ readonly pullRequest: PullRequest; readonly ours: (marker: string) => boolean } | null>;
  /** Idempotent: GitHub answers 200 for a reaction that is already there. */
  react(target: { kind: 'issue' | 'issue_comment'; id: number }, content: 'eyes' | 'rocket' | 'confused'): Promise<void>;
  removeLabel(issue: number, label: string): Promise<void>;
  /** Creates the one living comment of an issue, or edits it when the hidden marker is found. */
  livingComment(issue: number, marker: string, body: string): Promise<void>;
  reply(issue: number, body: string): Promise<void>;
  cloneToken(): Promise<Token>;
  /** Git Data API, then a pull request. Idempotent by branch and marker. Throws `github_*`. */
  publish(request: PublishRequest): Promise<PullRequest>;
}

export interface GitHub {
  /** `records` collects every token minted through the returned object. */
  repository(ref: RepositoryRef, options: { deliveryId: string; signal: AbortSignal; records: TokenRecord[] }): GitHubRepository;
  /** Whether the App's credentials work; throws `github_credentials`. Asked once at the start of a worker. */
  whoAmI(signal: AbortSignal): Promise<{ slug: string; appId: number }>;
  /** Failed deliveries of the last hours, each asked for again once. Returns how many. */
  redeliverFailed(since: Date, signal: AbortSignal): Promise<number>;
}
