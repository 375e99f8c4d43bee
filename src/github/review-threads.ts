/** What people said at the lines of a pull request. Only GraphQL tells which threads are resolved. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { withMarker } from './comments.ts';
import type { ReviewThread, ThreadComment } from './github.ts';
import { makeOnce } from './session.ts';
import type { Session } from './session.ts';

/** 500 threads; of a longer review the beginning is read. */
const maxPages = 10;

/** 50 comments of a thread, the newest ones: what was answered long ago does not matter. */
const query = `query ($owner: String!, $repo: String!, $pull: Int!, $after: String) {
  repository(owner: $owner, name: $repo) {
    pullRequest(number: $pull) {
      reviewThreads(first: 50, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          isResolved
          isOutdated
          path
          line
          first: comments(first: 1) { nodes { ...said } }
          last: comments(last: 50) { nodes { ...said } }
        }
      }
    }
  }
}
fragment said on PullRequestReviewComment {
  fullDatabaseId
  body
  diffHunk
  createdAt
  lastEditedAt
  state
  pullRequestReview { fullDatabaseId }
  author { __typename login }
  reactionGroups { content viewerHasReacted }
}`;

const Said = z.object({
  /** A string, because `databaseId` ends at 31 bits. */
  fullDatabaseId: z.coerce.number().int(),
  body: z.string(),
  diffHunk: z.string(),
  createdAt: z.string(),
  lastEditedAt: z.string().nullable(),
  state: z.enum(['PENDING', 'SUBMITTED']),
  pullRequestReview: z.object({ fullDatabaseId: z.coerce.number().int() }).nullable(),
  /** Null for an account that was deleted. */
  author: z.object({ __typename: z.string(), login: z.string() }).nullable(),
  reactionGroups: z.array(z.object({ content: z.string(), viewerHasReacted: z.boolean() })).nullable(),
});
type Said = z.infer<typeof Said>;
const Thread = z.object({
  isResolved: z.boolean(),
  isOutdated: z.boolean(),
  path: z.string(),
  line: z.number().int().nullable(),
  first: z.object({ nodes: z.array(Said) }),
  last: z.object({ nodes: z.array(Said) }),
});
const Page = z.object({
  repository: z.object({
    pullRequest: z.object({
      reviewThreads: z.object({ pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullable() }), nodes: z.array(Thread) }),
    }),
  }),
});

export async function readThreads(session: Session, pull: number): Promise<readonly ReviewThread[]> {
  const found: ReviewThread[] = [];
  let after: string | null = null;
  for (let page = 1; page <= maxPages; page++) {
    const answer: unknown = await session.octokit.graphql(query, { ...session.at, pull, after });
    const read = Page.safeParse(answer);
    if (!read.success) throw new FixError('github_unavailable', { cause: read.error });
    const { pageInfo, nodes } = read.data.repository.pullRequest.reviewThreads;
    found.push(...nodes.flatMap((node) => asThread(session, node) ?? []));
    if (!pageInfo.hasNextPage) break;
    after = pageInfo.endCursor;
  }
  return found;
}

/** A comment of a review that was not handed in is its author's alone. */
function asThread(session: Session, { isResolved, isOutdated, path, line, first, last }: z.infer<typeof Thread>): ReviewThread | null {
  const all = new Map([...first.nodes, ...last.nodes].filter(({ state }) => state === 'SUBMITTED').map((said) => [said.fullDatabaseId, said]));
  const comments = [...all.values()].map((said) => asComment(session, said));
  const hunk = first.nodes[0]?.diffHunk ?? '';
  return comments.length === 0 ? null : { resolved: isResolved, outdated: isOutdated, path, line, hunk, comments };
}

function asComment(session: Session, { fullDatabaseId: id, body, createdAt, lastEditedAt, author, pullRequestReview, reactionGroups }: Said): ThreadComment {
  // REST says `mayfly[bot]` where GraphQL says `mayfly`.
  const user = author && { login: author.__typename === 'Bot' ? `${author.login}[bot]` : author.login, type: author.__typename };
  return {
    id,
    reviewId: pullRequestReview?.fullDatabaseId ?? null,
    login: user?.login ?? '',
    ours: session.isOurs({ user }),
    person: user?.type === 'User',
    body,
    at: createdAt,
    editedAt: lastEditedAt,
    seen: reactionGroups?.some(({ content, viewerHasReacted }) => content === 'EYES' && viewerHasReacted) ?? false,
  };
}

/** 1,000 comments. */
const maxCommentPages = 10;

export interface ThreadAnswer {
  /** That the thread begins with: GitHub takes no answer to an answer. */
  readonly commentId: number;
  readonly body: string;
}

/** Each once for a run, whatever it would say the next time. One comment that was deleted keeps no other without an answer; its failure is thrown at the end. */
export async function answerThreads(session: Session, said: { pull: number; answers: readonly ThreadAnswer[]; runKey: string }): Promise<void> {
  const { octokit, at } = session;
  const { pull, runKey } = said;
  let known = await readAnswers(session, pull);
  const failures: unknown[] = [];
  for (const { commentId, body } of said.answers) {
    const digest = createHash('sha256').update(`${runKey}\n${commentId}`).digest('hex').slice(0, 16);
    const marker = `${answerMark} ${digest} -->`;
    let isListed = true;
    const find = async (): Promise<number | null> => {
      // Looked for again only where GitHub's answer was lost.
      if (!isListed) known = await readAnswers(session, pull);
      isListed = false;
      return known.find((answer) => answer.to === commentId && answer.body.includes(marker))?.id ?? null;
    };
    const make = async (): Promise<number> => {
      const wish = { ...at, pull_number: pull, comment_id: commentId, body: withMarker(body, marker) };
      return (await octokit.rest.pulls.createReplyForReviewComment(wish)).data.id;
    };
    await makeOnce(session, find, make).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

const answerMark = '<!-- mayfly:answer';

interface OwnAnswer {
  readonly id: number;
  readonly to: number;
  readonly body: string;
}

/** What this App answered in threads. */
async function readAnswers({ octokit, at, isOurs }: Session, pull: number): Promise<readonly OwnAnswer[]> {
  const found: OwnAnswer[] = [];
  let pages = 0;
  const wish = { ...at, pull_number: pull, sort: 'created' as const, direction: 'desc' as const, per_page: 100 };
  for await (const { data } of octokit.paginate.iterator(octokit.rest.pulls.listReviewComments, wish)) {
    for (const comment of data) {
      const { id, body, in_reply_to_id: to } = comment;
      if (to !== undefined && isOurs(comment) && body.includes(answerMark)) found.push({ id, to, body });
    }
    if (++pages === maxCommentPages) break;
  }
  return found;
}
