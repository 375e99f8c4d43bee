/** The port of GitHub: what a run may ask and say. Everything is scoped to one repository and one installation. */
import type { PatchFile, PullRequest, Repository } from '../job.ts';

export interface RepositoryRef {
  readonly installationId: number;
  readonly repository: Pick<Repository, 'id' | 'owner' | 'name'>;
}

/** What was minted, for the report: the value itself is not in it. */
export interface TokenRecord {
  readonly use: 'read' | 'talk' | 'publish' | 'check' | 'look';
  readonly repositories: readonly string[];
  readonly permissions: Readonly<Record<string, string>>;
  revoked: boolean;
}

export type Permission = 'admin' | 'maintain' | 'write' | 'read' | 'none';

/** A live token; disposing it revokes it at GitHub. */
export interface Token extends AsyncDisposable {
  readonly value: string;
}

export interface IssueState {
  readonly open: boolean;
  readonly locked: boolean;
  readonly isPullRequest: boolean;
  /** Names. */
  readonly labels: readonly string[];
  /** As they are now. */
  readonly title: string;
  readonly body: string;
}

export interface IssueComment {
  readonly login: string;
  readonly body: string;
  /** When it was written. */
  readonly at: string;
}

/** Comments of people with write access, oldest first. Text that people wrote. */
export interface Conversation {
  readonly comments: readonly IssueComment[];
  /** How many were not taken, and why. */
  readonly leftOut: { readonly editedSince: number; readonly withoutWriteAccess: number; readonly forLength: number };
}

/** A commit on a branch of our own. */
export interface CommitRequest {
  readonly baseSha: string;
  /** `mayfly/issue-7`; a suffix is added when somebody else has that branch. */
  readonly branch: string;
  readonly files: readonly PatchFile[];
  readonly commitMessage: string;
  readonly signal: AbortSignal;
  /** Asked before every write, when given; false ends publishing with `lock_lost`. */
  readonly ownsRun?: () => Promise<boolean>;
}

export interface PublishRequest extends CommitRequest {
  readonly baseBranch: string;
  readonly title: string;
  readonly body: string;
  readonly draft: boolean;
  readonly labels: readonly string[];
  /** Logins, or `organization/team`; the first one asked for the work. */
  readonly reviewers: readonly string[];
  /** Found again by it after a crash: the run's id, hidden in the body. */
  readonly marker: string;
}

/** https://docs.github.com/en/rest/checks/runs#create-a-check-run */
export interface CheckRequest {
  readonly headSha: string;
  readonly name: string;
  /** The run's id: a check of the same run is found again by it, and not made twice. */
  readonly externalId: string;
  /** Null while the run works: the check is in progress, and completed by a later call. */
  readonly conclusion: 'success' | 'neutral' | 'failure' | 'cancelled' | null;
  readonly title: string;
  /** Markdown, at most 65,535 characters. */
  readonly summary: string;
}

/** What a comment shall say, made from what it says now (`''` when there is none); null leaves it. May be asked twice. */
export type CommentEdit = (before: string) => string | null;

/** A pull request as it is now. */
export interface PullState {
  readonly number: number;
  readonly url: string;
  readonly title: string;
  readonly body: string;
  readonly open: boolean;
  readonly draft: boolean;
  /** Whether this App opened it. */
  readonly ours: boolean;
  /** Its branch lies in another repository, where this App writes nothing. */
  readonly fork: boolean;
  readonly branch: string;
  readonly headSha: string;
  /** The branch that it is to be merged into. */
  readonly base: string;
  /** Null while GitHub works it out, and in lists. */
  readonly mergeable: boolean | null;
}

export interface CommitState {
  readonly sha: string;
  readonly parents: readonly string[];
  readonly message: string;
  /** When it was committed; of a commit of ours, by GitHub's clock. */
  readonly at: string;
  /** Whether this App is its author, as far as GitHub can tell. */
  readonly ours: boolean;
}

/** What a pull request changes, from where its branch left the base. Texts are hostile. */
export interface Comparison {
  readonly mergeBaseSha: string;
  /** Commits of the base that the head does not have. */
  readonly behindBy: number;
  readonly files: readonly { readonly path: string; readonly previousPath: string | null; readonly status: string; readonly patch: string | null }[];
  /** False when GitHub lists no more files than this. */
  readonly complete: boolean;
}

export interface ThreadComment {
  readonly id: number;
  /** GitHub makes a review of every single comment, too. */
  readonly reviewId: number | null;
  readonly login: string;
  /** Written by this App. */
  readonly ours: boolean;
  readonly person: boolean;
  readonly body: string;
  readonly at: string;
  readonly editedAt: string | null;
  /** This App has looked at it, which its reaction shows. */
  readonly seen: boolean;
}

/** The comments at one place of a diff. */
export interface ReviewThread {
  readonly resolved: boolean;
  readonly outdated: boolean;
  readonly path: string;
  /** Null when the lines are not there any more. */
  readonly line: number | null;
  readonly hunk: string;
  /** At least one, oldest first. */
  readonly comments: readonly ThreadComment[];
}

/** One more commit on a branch that has not moved. */
export interface BranchCommitRequest {
  readonly branch: string;
  /** The tip that it goes on. */
  readonly headSha: string;
  /** A second parent, on whose tree the files go then. */
  readonly mergedSha: string | null;
  /** None: the tree stays as it is. */
  readonly files: readonly PatchFile[];
  readonly commitMessage: string;
  readonly signal: AbortSignal;
  readonly ownsRun?: () => Promise<boolean>;
}

export interface CheckRun {
  readonly id: number;
  readonly name: string;
  /** Null while it is under way. */
  readonly conclusion: string | null;
  /** Of GitHub Actions, whose logs can be read. */
  readonly actions: boolean;
}

/** All checks of a commit but our own. */
export interface Checks {
  /** Every suite has come to its end. */
  readonly complete: boolean;
  readonly runs: readonly CheckRun[];
}

/** Pull requests beyond opening one. */
export interface PullRequests {
  /** Null where there is none. */
  read(pull: number): Promise<PullState | null>;
  /** Open ones of this App that are to be merged into a branch: the newest, as many as are worth a look. */
  ours(base: string): Promise<readonly number[]>;
  commit(sha: string): Promise<CommitState>;
  compare(base: string, head: string): Promise<Comparison>;
  /** Null when the branch is not where the request says: somebody moved or deleted it. Never forced; found again after a crash. */
  push(request: BranchCommitRequest): Promise<{ readonly headSha: string } | null>;
  threads(pull: number): Promise<readonly ReviewThread[]>;
  /**
   * In the threads that begin with the comments, once for a delivery: an attempt that is made again has less to say. Throws
   * at the end, when all that can be answered are.
   */
  answer(pull: number, answers: readonly { readonly commentId: number; readonly body: string }[]): Promise<void>;
  rewrite(pull: number, body: string): Promise<void>;
  checks(sha: string): Promise<Checks>;
  /** The end of a job's log, at most `maxBytes`; null when there is none. Hostile text. */
  jobLog(jobId: number, maxBytes: number): Promise<string | null>;
}

export interface LivingIssue {
  readonly marker: string;
  readonly title: string;
  readonly body: string;
  /**
   * True: there is something to do. An issue is made where there is none, and a closed one is opened again, but for one
   * that somebody closed while it said just this. False: there is nothing to do, so the issue that is there says this and is closed.
   */
  readonly open: boolean;
  /** Of what is to be closed: only an open one, which is found by one request, or also one that somebody has closed. */
  readonly among?: 'open' | 'all';
}

export interface GitHubRepository {
  readonly pulls: PullRequests;
  readonly cloneUrl: string;
  /** Whether this GitHub signs what an App commits. */
  readonly signs: boolean;
  /** GET collaborators/{login}/permission; a 404 is `none`; any other error throws. A role of one's own is what it is based on. */
  permission(login: string): Promise<Permission>;
  issue(number: number): Promise<IssueState>;
  /** A file of a branch or commit, of the default branch without one. Null when there is no plain file; `too_large` is not read further. */
  file(path: string, options: { readonly maxBytes: number; readonly ref?: string }): Promise<Buffer | 'too_large' | null>;
  /** The same of the repository `.github` of the same owner, where this App may read it; else there is none. */
  organizationFile(path: string, options: { readonly maxBytes: number }): Promise<Buffer | 'too_large' | null>;
  /** The one issue of ours with a hidden marker says this afterwards. Returns its address where there is something to do. */
  livingIssue(wanted: LivingIssue): Promise<{ readonly number: number; readonly url: string } | null>;
  /** What was said before a run was asked for: by people, not edited since, bounded. */
  conversation(issue: number, before: { readonly at: string; readonly commentId: number | null }): Promise<Conversation>;
  /** The open pull request of a branch that this App made for the issue, if there is one. */
  openPullRequest(branchPrefix: string): Promise<{ readonly pullRequest: PullRequest; readonly ours: (marker: string) => boolean } | null>;
  /** Idempotent: GitHub answers 200 for a reaction that is already there. */
  react(target: { kind: 'issue' | 'issue_comment' | 'review_comment'; id: number }, content: 'eyes' | 'rocket' | 'confused'): Promise<void>;
  removeLabel(issue: number, label: string): Promise<void>;
  /** Creates the one living comment of an issue, or edits it when the hidden marker is found. */
  livingComment(issue: number, marker: string, body: string | CommentEdit): Promise<void>;
  /** Once for a delivery; `issue`: the same words once for ever. */
  reply(issue: number, body: string, once?: 'issue'): Promise<{ readonly id: number }>;
  cloneToken(): Promise<Token>;
  /** Git Data API, then a pull request. Idempotent by branch and marker. Throws `github_*`. */
  publish(request: PublishRequest): Promise<PullRequest>;
  /** The same without a pull request: work that is kept, and claims nothing. Idempotent by its tree. What was held there before goes. */
  hold(request: CommitRequest): Promise<{ readonly branch: string; readonly headSha: string }>;
  /** What was held is in a pull request now: gone, unless somebody went on from there. Best effort. */
  dropHeld(held: { readonly branch: string; readonly headSha: string }): Promise<void>;
  /** A check run on a commit: made, or the one with this name and external id brought up to date. */
  check(request: CheckRequest): Promise<void>;
}

/** As a person names it. */
export interface NamedRepository {
  readonly owner: string;
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly ref?: string;
}

/** `not_in_installation`: its owner has the App, but not for this one, or there is none of that name, which GitHub does not tell apart. */
export type FoundRepository =
  | (RepositoryRef & { /** Of `ref`. */ readonly sha?: string })
  | { readonly problem: 'not_installed' | 'not_in_installation' | 'no_such_ref' };

export interface GitHub {
  /** Where the App may read that repository. */
  find(wanted: NamedRepository, signal: AbortSignal): Promise<FoundRepository>;
  /** `records` collects every token minted through the returned object. */
  repository(ref: RepositoryRef, options: { deliveryId: string; signal: AbortSignal; records: TokenRecord[] }): GitHubRepository;
  /** Whether the App's credentials work; throws `github_credentials`. Asked once at the start of a worker. */
  whoAmI(signal: AbortSignal): Promise<{ slug: string; appId: number }>;
  /** Failed deliveries of the last hours, each asked for again once. Returns how many. */
  redeliverFailed(since: Date, signal: AbortSignal): Promise<number>;
}
