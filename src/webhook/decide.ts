/**
 * The decision about one delivery, from its payload and the operator's policy alone. Pure: it asks nobody, so whether
 * the sender may write to the repository is asked later, in the worker role.
 */
import { z } from 'zod';
import { findCommand } from './command.ts';
import { describe, mayTrigger, whyNotHeard } from './decide-origin.ts';
import { judgeChecks, judgePullClosed, judgeReview, judgeReviewComment } from './decide-pull.ts';
import type { IntakeEvent } from './event.ts';
import {
  CheckSuiteCompleted,
  IssueClosed,
  IssueComment,
  IssueLabeled,
  PullChanged,
  PullRequestClosed,
  Push,
  ReviewCommentCreated,
  ReviewSubmitted,
} from './payload.ts';
import type { Issue, Origin } from './payload.ts';

/** What the operator decided about triggers. Which label starts a run is for the settings of a repository to say. */
export interface TriggerPolicy {
  /** Logins of bots that may trigger; everyone else whose account is not a person's may not. */
  readonly allowBots: readonly string[];
  /** What our own App writes never triggers, whoever is allowed. */
  readonly appId: number | null;
}

/** One delivery whose signature is right. The payload is still unknown data. */
export interface Delivery {
  readonly event: string;
  readonly deliveryId: string;
  /** SHA-256 of the raw body: the only thing that tells two labelings apart, because the payload has no id of its own. */
  readonly bodySha256: string;
  readonly receivedAt: string;
  readonly payload: unknown;
}

export type Decision = { readonly intake: IntakeEvent } | { readonly ignore: string };

type Judge = (delivery: Delivery, policy: TriggerPolicy) => Decision;

/** A judge that gets the payload in its shape. */
function of<T>(shape: z.ZodType<T>, judge: (payload: T, delivery: Delivery, policy: TriggerPolicy) => Decision): Judge {
  return (delivery, policy) => {
    const parsed = shape.safeParse(delivery.payload);
    if (!parsed.success) return { ignore: `payload lacks ${parsed.error.issues[0]?.path.join('.') || 'everything'}` };
    return judge(parsed.data, delivery, policy);
  };
}

const judges = {
  'issues.labeled': of(IssueLabeled, judgeLabeled),
  'issues.unlabeled': of(IssueLabeled, judgeUnlabeled),
  'issues.closed': of(IssueClosed, judgeClosed),
  'issues.deleted': of(IssueClosed, judgeClosed),
  'issues.transferred': of(IssueClosed, judgeClosed),
  'issue_comment.created': of(IssueComment, judgeComment),
  'pull_request_review.submitted': of(ReviewSubmitted, judgeReview),
  'pull_request_review_comment.created': of(ReviewCommentCreated, judgeReviewComment),
  'pull_request.closed': of(PullRequestClosed, judgePullClosed),
  'check_suite.completed': of(CheckSuiteCompleted, judgeChecks),
  push: of(Push, judgePush),
  'pull_request.opened': of(PullChanged, judgePullChanged),
  'pull_request.reopened': of(PullChanged, judgePullChanged),
  'pull_request.synchronize': of(PullChanged, judgePullChanged),
} as const satisfies Record<string, Judge>;

/** The names that Probot listens to. */
export const eventNames = Object.keys(judges) as (keyof typeof judges)[];
const judgeOf = new Map<string, Judge>(Object.entries(judges));

/** What to do with a delivery. The reason of an ignored one is for the log and holds no outside text. */
export function decide(delivery: Delivery, policy: TriggerPolicy): Decision {
  const action = z.object({ action: z.string() }).safeParse(delivery.payload);
  const judge = judgeOf.get(action.success ? `${delivery.event}.${action.data.action}` : delivery.event);
  return judge ? judge(delivery, policy) : { ignore: 'not an event of ours' };
}

const settingsPath = '.github/mayfly.yml';
/** GitHub lists no more commits of a push than these; beyond, and where history was rewritten, the file may have changed unseen. */
const maxListedCommits = 2048;

/** Who pushed does not matter: what stands on the default branch does. A branch may come back to a commit that it had before, so the key is no commit. */
function judgePush(payload: z.infer<typeof Push>, delivery: Delivery): Decision {
  const { ref, forced, commits, repository } = payload;
  if (ref !== `refs/heads/${repository.default_branch}`) return { ignore: 'another branch' };
  const isTouched = commits.some(({ added, modified, removed }) => [...added, ...modified, ...removed].includes(settingsPath));
  const settings = isTouched || forced || commits.length >= maxListedCommits;
  return { intake: { ...describe(payload, delivery), key: `push-${repository.id}-${delivery.bodySha256}`, kind: 'pushed', settings, look: 0 } };
}

function judgePullChanged(payload: z.infer<typeof PullChanged>, delivery: Delivery): Decision {
  const { number, head, base } = payload.pull_request;
  const key = `settings-${payload.repository.id}-${number}-${head.sha}`;
  const fork = head.repo?.id !== payload.repository.id;
  return { intake: { ...describe(payload, delivery), key, kind: 'settings_proposed', pull: { number, headSha: head.sha, base: base?.ref, fork } } };
}

function judgeLabeled(payload: z.infer<typeof IssueLabeled>, delivery: Delivery, policy: TriggerPolicy): Decision {
  if (payload.issue.pull_request) return { ignore: 'a pull request' };
  if (payload.issue.state !== 'open') return { ignore: 'the issue is closed' };
  if (!mayTrigger(payload, policy)) return { ignore: 'sent by a bot' };
  return { intake: { ...describe(payload, delivery), ...describeIssue(payload, delivery, 'label'), kind: 'labeled', label: payload.label.name } };
}

function judgeUnlabeled(payload: z.infer<typeof IssueLabeled>, delivery: Delivery, policy: TriggerPolicy): Decision {
  // A run takes its label off itself when it starts; that must not cancel it.
  if (!mayTrigger(payload, policy)) return { ignore: 'sent by a bot' };
  return { intake: { ...describe(payload, delivery), ...describeIssue(payload, delivery, 'unlabel'), kind: 'unlabeled', label: payload.label.name } };
}

/** Who closed it does not matter: ending work is not a trigger. */
function judgeClosed(payload: z.infer<typeof IssueClosed>, delivery: Delivery): Decision {
  return { intake: { ...describe(payload, delivery), ...describeIssue(payload, delivery, 'closed'), kind: 'closed' } };
}

function judgeComment(payload: z.infer<typeof IssueComment>, delivery: Delivery, policy: TriggerPolicy): Decision {
  const { comment, issue } = payload;
  const why = whyNotHeard(payload, comment, policy);
  if (why !== null) return { ignore: why };
  const found = findCommand(comment.body);
  if (!found) return { ignore: 'no command' };
  const key = `comment-${comment.id}`;
  return {
    intake: {
      ...describe(payload, delivery),
      key,
      issue: issueOf(issue),
      kind: 'command',
      commentId: comment.id,
      on: 'issue',
      saidAt: comment.created_at,
      ...found,
    },
  };
}

/** The issue, and the key of an event whose payload has no id of its own. */
function describeIssue({ repository, issue }: Origin & { issue: Issue }, { bodySha256 }: Delivery, trigger: string) {
  return { key: `${trigger}-${repository.id}-${issue.number}-${bodySha256}`, issue: issueOf(issue) };
}

const issueOf = ({ number, title, body, pull_request: pull }: Issue) => ({ number, title, body: body ?? '', isPullRequest: Boolean(pull) });
