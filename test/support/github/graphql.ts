/**
 * The one question that is asked by GraphQL: the threads of a pull request. Strict: it answers this query by its shape,
 * and refuses every other. Field names are those of https://docs.github.com/en/graphql/reference/objects#pullrequestreviewthread
 */
import { isOutdated } from './reviews.ts';
import { actorLogin, notAccessible, Refusal, type Call, type Json, type Reply, type StoredReviewComment } from './world.ts';
import { granted } from './access.ts';

const known =
  /^query \(\$owner: String!, \$repo: String!, \$pull: Int!, \$after: String\) \{ repository\(owner: \$owner, name: \$repo\) \{ pullRequest\(number: \$pull\) \{ reviewThreads\(first: 50, after: \$after\) \{ pageInfo \{ hasNextPage endCursor \} nodes \{ isResolved isOutdated path line first: comments\(first: 1\) \{ nodes \{ \.\.\.said \} \} last: comments\(last: 50\) \{ nodes \{ \.\.\.said \} \} \} \} \} \} \} fragment said on PullRequestReviewComment \{ fullDatabaseId body diffHunk createdAt lastEditedAt state pullRequestReview \{ fullDatabaseId \} author \{ __typename login \} reactionGroups \{ content viewerHasReacted \} \}$/;
const pageSize = 50;

/** What is wrong with the request, in words; empty when it fits. */
export function graphqlProblems(body: Json): string[] {
  if (typeof body?.query !== 'string' || !known.test(body.query.replace(/\s+/g, ' ').trim())) return ['the stand-in knows no such query'];
  const { owner, repo, pull, after } = body.variables ?? {};
  const right = typeof owner === 'string' && typeof repo === 'string' && Number.isInteger(pull) && (after === null || typeof after === 'string');
  return right ? [] : ['the variables do not fit their types'];
}

export async function answerThreads(call: Call): Promise<Reply> {
  if (!granted(call.caller, 'pull_requests', 'read')) throw notAccessible();
  const { pull, after } = call.body.variables;
  if (!call.repository.pulls.has(pull)) throw new Refusal(200, 'NOT_FOUND');
  const all = [...call.repository.reviewComments.values()].filter((comment) => comment.pull === pull);
  const roots = all.filter(({ inReplyTo }) => inReplyTo === null);
  const start = after === null ? 0 : Number(after);
  const nodes = roots.slice(start, start + pageSize).map((root) => threadNode(call, root, all));
  const end = start + nodes.length;
  const pageInfo = { hasNextPage: end < roots.length, endCursor: nodes.length === 0 ? null : String(end) };
  return { status: 200, body: { data: { repository: { pullRequest: { reviewThreads: { pageInfo, nodes } } } } } };
}

function threadNode(call: Call, root: StoredReviewComment, all: readonly StoredReviewComment[]): Json {
  const comments = all.filter(({ id, inReplyTo }) => id === root.id || inReplyTo === root.id).map((comment) => commentNode(call, comment));
  const outdated = isOutdated(call, root);
  return {
    isResolved: call.repository.resolved.has(root.id),
    isOutdated: outdated,
    path: root.path,
    line: outdated ? null : root.line,
    first: { nodes: comments.slice(0, 1) },
    last: { nodes: comments.slice(-50) },
  };
}

const contents: Readonly<Record<string, string>> = { eyes: 'EYES', rocket: 'ROCKET', confused: 'CONFUSED', '+1': 'THUMBS_UP' };

function commentNode({ repository, world, caller }: Call, comment: StoredReviewComment): Json {
  const reactions = repository.reactions.get(`review-comment/${comment.id}`) ?? [];
  const viewer = actorLogin(world, caller);
  const bot = comment.login.endsWith('[bot]');
  return {
    // A BigInt goes over the wire as a string.
    fullDatabaseId: String(comment.id),
    body: comment.body,
    diffHunk: comment.hunk,
    createdAt: comment.at,
    lastEditedAt: comment.editedAt,
    state: 'SUBMITTED',
    pullRequestReview: { fullDatabaseId: String(comment.reviewId) },
    author: { __typename: bot ? 'Bot' : 'User', login: comment.login.replace('[bot]', '') },
    reactionGroups: Object.entries(contents).map(([content, name]) => {
      return { content: name, viewerHasReacted: reactions.some((reaction) => reaction.content === content && reaction.user.login === viewer) };
    }),
  };
}
