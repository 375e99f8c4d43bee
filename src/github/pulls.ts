/** Pull requests beyond opening one: what they are, what people said at their lines, one more commit, their checks. */
import { z } from 'zod';
import { pushCommit } from './branch-commit.ts';
import { readChecks, readJobLog } from './check-results.ts';
import { hasStatus } from './failure.ts';
import type { CommitState, Comparison, PullRequests, PullState } from './github.ts';
import { isHere } from './pull-requests.ts';
import type { PullRequestData } from './pull-requests.ts';
import { answerThreads, readThreads } from './review-threads.ts';
import type { Session } from './session.ts';
import type { Mint, TokenUse } from './tokens.ts';

/** Opens one token for one use. */
export type Opener = <T>(use: TokenUse, work: (session: Session) => Promise<T>, during?: AbortSignal) => Promise<T>;

export function createPulls(as: Opener, { mint, runKey }: { readonly mint: Mint; readonly runKey: string }): PullRequests {
  const ourAppId = mint.credentials.appId;
  return {
    read: async (pull) => await as('talk', async (session) => await readPull(session, pull)),
    ours: async (base) => await as('talk', async (session) => await listOurs(session, base)),
    commit: async (sha) => await as('read', async (session) => await readCommit(session, sha, { signs: signsForApps(mint.client.apiUrl) })),
    compare: async (base, head) => await as('read', async (session) => await compare(session, base, head)),
    push: async (request) => await as('publish', async (session) => await pushCommit(session, request), request.signal),
    threads: async (pull) => await as('talk', async (session) => await readThreads(session, pull)),
    answer: async (pull, answers) => await as('talk', async (session) => await answerThreads(session, { pull, answers, runKey })),
    rewrite: async (pull, body) => await as('talk', async ({ octokit, at }) => void (await octokit.rest.pulls.update({ ...at, pull_number: pull, body }))),
    checks: async (sha) => await as('look', async (session) => await readChecks(session, { sha, ourAppId })),
    jobLog: async (jobId, maxBytes) => await as('look', async (session) => await readJobLog(session, { jobId, maxBytes, fetch: mint.client.fetch ?? fetch })),
  };
}

/** GitHub knows no account for many an author. */
const Account = z.object({ login: z.string(), type: z.string() });
const Pull = z.object({
  number: z.number().int(),
  html_url: z.string(),
  title: z.string(),
  body: z.string().nullable(),
  state: z.string(),
  draft: z.boolean().optional(),
  head: z.object({ ref: z.string(), sha: z.string(), repo: z.object({ id: z.number() }).nullable() }),
  base: z.object({ ref: z.string() }),
  mergeable: z.boolean().nullish(),
});

/** A pull request whose fork was deleted has no repository at its head. */
function asState(session: Session, data: PullRequestData): PullState {
  const { number, html_url: url, title, body, state, draft = false, head, base, mergeable = null } = Pull.parse(data);
  return {
    number,
    url,
    title,
    body: body ?? '',
    open: state === 'open',
    draft,
    ours: session.isOurs(data),
    fork: !isHere(session, data),
    branch: head.ref,
    headSha: head.sha,
    base: base.ref,
    mergeable,
  };
}

async function readPull(session: Session, number: number): Promise<PullState | null> {
  try {
    const { data } = await session.octokit.rest.pulls.get({ ...session.at, pull_number: number });
    return asState(session, data);
  } catch (error) {
    if (hasStatus(error, 404)) return null;
    throw error;
  }
}

async function listOurs(session: Session, base: string): Promise<readonly number[]> {
  const { data } = await session.octokit.rest.pulls.list({ ...session.at, base, state: 'open', per_page: 100 });
  return data.filter((pull) => session.isOurs(pull) && isHere(session, pull)).map(({ number }) => number);
}

/** GitHub Enterprise Server signs what an App commits only where its operator set that up: https://docs.github.com/en/enterprise-server/admin/configuring-settings/configuring-user-applications-for-your-enterprise/configuring-web-commit-signing */
export const signsForApps = (apiUrl: string): boolean => /^https:\/\/api\.(?:github\.com|[\w-]+\.ghe\.com)(?:\/|$)/.test(apiUrl);

/** Anybody who may push can name us as the author, by our address; but GitHub signs for us alone what we make over its API. */
export async function readCommit({ octokit, at, isOurs }: Session, sha: string, { signs }: { readonly signs: boolean }): Promise<CommitState> {
  const { data } = await octokit.rest.repos.getCommit({ ...at, ref: sha });
  return {
    sha: data.sha,
    parents: data.parents.map((parent) => parent.sha),
    message: data.commit.message,
    at: data.commit.committer?.date ?? '',
    ours: isOurs({ user: Account.nullable().catch(null).parse(data.author) }) && (!signs || data.commit.verification?.verified === true),
  };
}

/** GitHub lists at most 300 files of a comparison, on its first page: https://docs.github.com/en/rest/commits/commits#compare-two-commits */
const maxFiles = 300;

async function compare({ octokit, at }: Session, base: string, head: string): Promise<Comparison> {
  const { data } = await octokit.rest.repos.compareCommitsWithBasehead({ ...at, basehead: `${base}...${head}`, per_page: 1 });
  const files = (data.files ?? []).map(({ filename, previous_filename: previous, status, patch }) => {
    return { path: filename, previousPath: previous ?? null, status, patch: patch ?? null };
  });
  return { mergeBaseSha: data.merge_base_commit.sha, behindBy: data.behind_by, files, complete: files.length < maxFiles };
}
