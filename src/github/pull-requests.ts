/** Pull requests of branches that this App made: found by marker, opened once, never touched again. */
import type { PullRequest } from '../job.ts';
import { withMarker } from './comments.ts';
import { hasStatus } from './failure.ts';
import type { PublishRequest } from './github.ts';
import { makeOnce } from './session.ts';
import type { Authored, Session } from './session.ts';

/** What we read of a pull request in GitHub's words. */
export interface PullRequestData extends Authored {
  readonly number: number;
  readonly html_url: string;
  readonly title: string;
  readonly body: string | null;
  readonly state: string;
  readonly draft?: boolean | undefined;
  readonly head: { readonly ref: string; readonly sha: string; readonly repo: { readonly id: number } | null };
  readonly base: { readonly ref: string };
}

/** 1,000 open pull requests. */
const maxPages = 10;
const noDraftsNote = '> This repository has no draft pull requests, so this is a normal one. Please treat it as a draft: nobody has reviewed it yet.';

export function asPullRequest(data: PullRequestData): PullRequest {
  return { number: data.number, url: data.html_url, title: data.title, draft: data.draft ?? false, branch: data.head.ref, headSha: data.head.sha };
}

/** The newest open one whose branch is `prefix` or `prefix-<number>`, made by this App in this repository. */
export async function findOpenPullRequest(session: Session, prefix: string): Promise<PullRequestData | null> {
  const { octokit, at } = session;
  const isBranch = (ref: string): boolean => ref === prefix || (ref.startsWith(`${prefix}-`) && /^\d+$/.test(ref.slice(prefix.length + 1)));
  let pages = 0;
  for await (const { data } of octokit.paginate.iterator(octokit.rest.pulls.list, { ...at, state: 'open', per_page: 100 })) {
    const found = data.find((pull) => isBranch(pull.head.ref) && isHere(session, pull) && session.isOurs(pull));
    if (found) return found;
    if (++pages === maxPages) break;
  }
  return null;
}

/** Every pull request, open or closed, that came from this branch of this repository. */
export async function listPullRequests(session: Session, branch: string): Promise<readonly PullRequestData[]> {
  const { octokit, at } = session;
  const { data } = await octokit.rest.pulls.list({ ...at, head: `${at.owner}:${branch}`, state: 'all', per_page: 100 });
  return data.filter((pull) => pull.head.ref === branch && isHere(session, pull));
}

/** Opens it, or returns the one that is there. Where the plan has no drafts: a normal one that says so. */
export async function openPullRequest(session: Session, request: PublishRequest, branch: string): Promise<PullRequestData> {
  const { octokit, at } = session;
  const wish = { ...at, head: branch, base: request.baseBranch, title: request.title, body: withMarker(request.body, request.marker) };
  const find = async (): Promise<PullRequestData | null> =>
    (await listPullRequests(session, branch)).find((pull) => isOfRun(session, pull, request.marker)) ?? null;
  const open = async (fields: Partial<typeof wish> & { draft: boolean }) =>
    await makeOnce(session, find, async () => (await octokit.rest.pulls.create({ ...wish, ...fields })).data);
  try {
    return await open({ draft: request.draft });
  } catch (error) {
    if (!hasStatus(error, 422)) throw error;
    // GitHub answers 422 to a second pull request of a branch, and to a draft where there are none.
    const existing = (await listPullRequests(session, branch)).find((pull) => pull.state === 'open');
    if (existing) return existing;
    if (!request.draft) throw error;
  }
  return await open({ draft: false, title: `Draft: ${request.title}`, body: `${noDraftsNote}\n\n${wish.body}` });
}

/** Whether this run made it, told by the marker in its text. */
export function isOfRun(session: Session, pull: PullRequestData, marker: string): boolean {
  return session.isOurs(pull) && (pull.body ?? '').includes(marker);
}

/** A fork may have a branch of the same name; and a repository that was renamed answers to its old name, under its new one. */
export function isHere({ repositoryId }: Session, pull: PullRequestData): boolean {
  return pull.head.repo?.id === repositoryId;
}
