/** Decisions about what happens around pull requests: reviews, comments at lines, checks. */
import type { z } from 'zod';
import { findCommand } from './command.ts';
import { describe, whyNotHeard } from './decide-origin.ts';
import type { Decision, Delivery, TriggerPolicy } from './decide.ts';
import type { CheckSuiteCompleted, PullRequestClosed, ReviewCommentCreated, ReviewSubmitted } from './payload.ts';

type Pull = z.infer<typeof ReviewSubmitted>['pull_request'];

/** As an issue, which GitHub numbers together with pull requests. */
const asIssue = ({ number, title, body }: Pull) => ({ number, title, body: body ?? '', isPullRequest: true });

/** A review of a person's pull request is no business of ours, unless it asks for us. */
const isBots = (pull: Pull): boolean => pull.user?.type === 'Bot';

export function judgeReview(payload: z.infer<typeof ReviewSubmitted>, delivery: Delivery, policy: TriggerPolicy): Decision {
  const { review, pull_request: pull } = payload;
  const body = review.body ?? '';
  const why = whyNotHeard(payload, { ...review, body }, policy);
  if (why !== null) return { ignore: why };
  const found = findCommand(body);
  if (found === null && !isBots(pull)) return { ignore: "a review of a person's pull request" };
  const state = review.state === 'approved' || review.state === 'changes_requested' ? review.state : 'commented';
  const key = `review-${payload.repository.id}-${review.id}`;
  // Its comments at lines come by themselves, too, and are collected.
  if (found !== null && found.command !== 'fix') {
    return {
      intake: {
        ...describe(payload, delivery),
        key,
        issue: asIssue(pull),
        kind: 'command',
        commentId: review.id,
        on: 'review',
        saidAt: review.submitted_at ?? undefined,
        ...found,
      },
    };
  }
  const instruction = found === null ? null : found.instruction;
  return { intake: { ...describe(payload, delivery), key, kind: 'review', number: pull.number, reviewId: review.id, state, body, instruction } };
}

export function judgeReviewComment(payload: z.infer<typeof ReviewCommentCreated>, delivery: Delivery, policy: TriggerPolicy): Decision {
  const { comment, pull_request: pull } = payload;
  const why = whyNotHeard(payload, comment, policy);
  if (why !== null) return { ignore: why };
  const key = `review-comment-${comment.id}`;
  const common = { ...describe(payload, delivery), key };
  const found = findCommand(comment.body);
  if (found) return { intake: { ...common, issue: asIssue(pull), kind: 'command', commentId: comment.id, on: 'diff', saidAt: comment.created_at, ...found } };
  if (!isBots(pull)) return { ignore: "a comment on a person's pull request" };
  const reviewId = comment.pull_request_review_id ?? comment.id;
  return { intake: { ...common, kind: 'remark', number: pull.number, reviewId, state: 'commented', body: '', instruction: null } };
}

/** Who closed it does not matter: ending work is not a trigger. */
export function judgePullClosed(payload: z.infer<typeof PullRequestClosed>, delivery: Delivery): Decision {
  const key = `closed-${payload.repository.id}-${payload.pull_request.number}-${delivery.bodySha256}`;
  return { intake: { ...describe(payload, delivery), key, issue: asIssue(payload.pull_request), kind: 'closed' } };
}

const failed = new Set(['failure', 'timed_out', 'cancelled', 'startup_failure']);

/** Whoever made the checks run does not matter: the work is done for who asked for the commit. */
export function judgeChecks(payload: z.infer<typeof CheckSuiteCompleted>, delivery: Delivery, { appId }: TriggerPolicy): Decision {
  const { check_suite: suite, repository } = payload;
  if (suite.app.id === appId) return { ignore: 'our own checks' };
  if (!failed.has(suite.conclusion ?? '')) return { ignore: 'the checks did not fail' };
  const pull = suite.pull_requests.find(({ head, base }) => head.sha === suite.head_sha && base.repo.id === repository.id && head.repo.id === repository.id);
  if (pull === undefined) return { ignore: 'the checks of no pull request of this repository' };
  const key = `checks-${repository.id}-${suite.id}-${delivery.bodySha256}`;
  return { intake: { ...describe(payload, delivery), key, kind: 'checks', number: pull.number, headSha: suite.head_sha } };
}
