/**
 * Reviews and comments at lines, which the emulator keeps without threads. GitHub makes a review of every single comment,
 * and tells of both.
 */
import { hasRole } from './access.ts';
import { mergeBase } from './git-files.ts';
import {
  actorLogin,
  invalid,
  iso,
  notFound,
  paginate,
  type Call,
  type Json,
  type PullState,
  type Reply,
  type StoredReview,
  type StoredReviewComment,
} from './world.ts';

const stateOf: Readonly<Record<string, StoredReview['state']>> = { APPROVE: 'APPROVED', REQUEST_CHANGES: 'CHANGES_REQUESTED', COMMENT: 'COMMENTED' };

function pullOf(call: Call): PullState {
  const pull = call.repository.pulls.get(Number(call.params['pull_number']));
  if (!pull) throw notFound();
  return pull;
}

export async function createReview(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const { event, body = '', comments = [], commit_id: commitId = pull.headSha } = call.body;
  const state = stateOf[event];
  if (state === undefined) throw invalid('PullRequestReview', { code: 'custom', message: 'the stand-in keeps no pending reviews' });
  if (state !== 'APPROVED' && body === '' && comments.length === 0) throw invalid('PullRequestReview', { code: 'missing_field', field: 'body' });
  const review = addReview(call, pull, { state, body, commitId });
  for (const wish of comments) await addComment(call, pull, { ...wish, review });
  return { status: 200, body: await reviewBody(call, review), events: await eventsOf(call, pull, review) };
}

export async function createSingleComment(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const review = addReview(call, pull, { state: 'COMMENTED', body: '', commitId: call.body.commit_id });
  const comment = await addComment(call, pull, { ...call.body, review });
  return { status: 201, body: await commentBody(call, comment), events: await eventsOf(call, pull, review) };
}

/** GitHub takes a reply to the first comment of a thread only. */
export async function replyToComment(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const first = call.repository.reviewComments.get(Number(call.params['comment_id']));
  if (first?.pull !== pull.number || first.inReplyTo !== null) throw notFound();
  const review = addReview(call, pull, { state: 'COMMENTED', body: '', commitId: pull.headSha });
  const { path, line, side } = first;
  const comment = await addComment(call, pull, { path, line, side, body: call.body.body, review, inReplyTo: first.id });
  return { status: 201, body: await commentBody(call, comment), events: await eventsOf(call, pull, review) };
}

function addReview(call: Call, pull: PullState, { state, body, commitId }: Pick<StoredReview, 'state' | 'body' | 'commitId'>): StoredReview {
  const { repository, world } = call;
  const review = { id: world.nextId(), pull: pull.number, login: actorLogin(world, call.caller), state, body, commitId, at: iso(world.now()) };
  repository.reviews.set(review.id, review);
  return review;
}

async function addComment(call: Call, pull: PullState, wish: Json): Promise<StoredReviewComment> {
  const { repository, world } = call;
  const { path, line, side = 'RIGHT', body, review, inReplyTo = null } = wish;
  if (typeof path !== 'string' || typeof line !== 'number') throw invalid('PullRequestReviewComment', { code: 'missing_field', field: 'line' });
  const hunk = await hunkAt(call, pull, { path, line });
  if (hunk === null)
    throw invalid('PullRequestReviewComment', { code: 'invalid', field: 'line', message: 'pull_request_review_thread.line must be part of the diff' });
  const at = iso(world.now());
  const comment = {
    id: world.nextId(),
    pull: pull.number,
    reviewId: review.id,
    login: review.login,
    path,
    line,
    side,
    body,
    hunk,
    inReplyTo,
    commitId: review.commitId,
    at,
    editedAt: null,
  };
  repository.reviewComments.set(comment.id, comment);
  return comment;
}

/** The hunk of the diff that a line is in, up to that line; null when it is in none. */
async function hunkAt({ repository }: Call, pull: PullState, { path, line }: { path: string; line: number }): Promise<string | null> {
  const fork = await mergeBase(repository, pull.baseSha, pull.headSha);
  const diff = (await repository.git.read('diff', fork, pull.headSha, '--', path)) ?? '';
  for (const hunk of diff.split(/^(?=@@ )/m).slice(1)) {
    const [head = '', ...lines] = hunk.trimEnd().split('\n');
    let at = Number(/\+(\d+)/.exec(head)?.[1] ?? 0) - 1;
    for (const [index, text] of lines.entries()) {
      if (!text.startsWith('-')) at += 1;
      if (at === line && !text.startsWith('-')) return [head, ...lines.slice(0, index + 1)].join('\n');
    }
  }
  return null;
}

async function eventsOf(call: Call, pull: PullState, review: StoredReview): Promise<NonNullable<Reply['events']>> {
  const shown = (await userless(call, `pulls/${pull.number}`)).body;
  const comments = [...call.repository.reviewComments.values()].filter(({ reviewId }) => reviewId === review.id);
  const body = await reviewBody(call, review);
  return [
    // In a webhook the state is in small letters.
    {
      event: 'pull_request_review',
      payload: { action: 'submitted', review: { ...body, body: review.body || null, state: review.state.toLowerCase() }, pull_request: shown },
    },
    ...(await Promise.all(
      comments.map(async (comment) => ({
        event: 'pull_request_review_comment',
        payload: { action: 'created', comment: await commentBody(call, comment), pull_request: shown },
      })),
    )),
  ];
}

const userless = ({ world, repository }: Call, path: string): Promise<Reply> =>
  world.emulator.call('GET', `/repos/${repository.fullName}/${path}`, { as: world.emulator.ownerOf(repository.owner) });

async function userBody({ world, repository }: Call, login: string): Promise<Json> {
  return (await world.emulator.call('GET', `/users/${encodeURIComponent(login)}`, { as: world.emulator.ownerOf(repository.owner) })).body;
}

async function reviewBody(call: Call, review: StoredReview): Promise<Json> {
  const { world, repository } = call;
  const html = `${world.url}/${repository.fullName}/pull/${review.pull}#pullrequestreview-${review.id}`;
  const pull = `${world.url}/repos/${repository.fullName}/pulls/${review.pull}`;
  return {
    id: review.id,
    node_id: `PRR_${review.id}`,
    user: await userBody(call, review.login),
    body: review.body,
    state: review.state,
    html_url: html,
    pull_request_url: pull,
    author_association: associationOf(call, review.login),
    _links: { html: { href: html }, pull_request: { href: pull } },
    submitted_at: review.at,
    commit_id: review.commitId,
  };
}

async function commentBody(call: Call, comment: StoredReviewComment): Promise<Json> {
  const { world, repository } = call;
  const self = `${world.url}/repos/${repository.fullName}/pulls/comments/${comment.id}`;
  const html = `${world.url}/${repository.fullName}/pull/${comment.pull}#discussion_r${comment.id}`;
  const pull = `${world.url}/repos/${repository.fullName}/pulls/${comment.pull}`;
  const { path, line, side, hunk, body, at } = comment;
  const outdated = isOutdated(call, comment);
  return {
    url: self,
    pull_request_review_id: comment.reviewId,
    id: comment.id,
    node_id: `PRRC_${comment.id}`,
    diff_hunk: hunk,
    path,
    commit_id: comment.commitId,
    original_commit_id: comment.commitId,
    user: await userBody(call, comment.login),
    body,
    created_at: at,
    updated_at: comment.editedAt ?? at,
    html_url: html,
    pull_request_url: pull,
    author_association: associationOf(call, comment.login),
    _links: { self: { href: self }, html: { href: html }, pull_request: { href: pull } },
    line: outdated ? null : line,
    original_line: line,
    side,
    start_line: null,
    start_side: null,
    subject_type: 'line',
    ...(comment.inReplyTo === null ? {} : { in_reply_to_id: comment.inReplyTo }),
  };
}

function associationOf({ repository }: Call, login: string): string {
  if (login === repository.owner) return 'OWNER';
  return hasRole(repository, login, 'write') || repository.roles.has(login) ? 'COLLABORATOR' : 'NONE';
}

/** A coarse rule: the file's hunk at that line is not what it was. */
export function isOutdated({ repository }: Call, comment: StoredReviewComment): boolean {
  return repository.outdated.has(comment.inReplyTo ?? comment.id);
}

export async function listReviews(call: Call): Promise<Reply> {
  const { number } = pullOf(call);
  const page = paginate(
    [...call.repository.reviews.values()].filter(({ pull }) => pull === number),
    call,
  );
  return { ...page, body: await Promise.all(page.body.map((review: StoredReview) => reviewBody(call, review))) };
}

export async function listReviewComments(call: Call): Promise<Reply> {
  const { number } = pullOf(call);
  const all = [...call.repository.reviewComments.values()].filter(({ pull }) => pull === number);
  const page = paginate(call.query.get('direction') === 'desc' ? all.toReversed() : all, call);
  return { ...page, body: await Promise.all(page.body.map((comment: StoredReviewComment) => commentBody(call, comment))) };
}
