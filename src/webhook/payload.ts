/** The fields of GitHub's payloads that we use, one shape per event. The rest of a payload is dropped here. */
import { z } from 'zod';
import { Sha } from '../job.ts';

/** Text of at most so many UTF-16 units, never ending in half a character. */
const clipped = (max: number) => z.string().transform((text) => (text.length > max ? text.slice(0, max).replace(/[\uD800-\uDBFF]$/, '') : text));
const Account = z.object({ id: z.number().int(), login: z.string().min(1).max(100), type: z.string() });

/** In every event: https://docs.github.com/en/webhooks/webhook-events-and-payloads */
export const Origin = z.object({
  installation: z.object({ id: z.number().int() }),
  repository: z.object({
    id: z.number().int(),
    name: z.string().min(1).max(100),
    private: z.boolean(),
    default_branch: z.string().min(1).max(255),
    owner: z.object({ login: z.string().min(1).max(100) }),
  }),
  sender: Account,
});
export type Origin = z.infer<typeof Origin>;

const Issue = z.object({
  number: z.number().int().positive(),
  title: clipped(1024),
  body: clipped(65_536).nullish(),
  state: z.string().optional(),
  pull_request: z.unknown().optional(),
});
export type Issue = z.infer<typeof Issue>;

const Comment = z.object({
  id: z.number().int().positive(),
  body: clipped(65_536),
  user: Account.nullable(),
  performed_via_github_app: z.object({ id: z.number().int() }).nullish(),
  created_at: z.iso.datetime().optional().catch(undefined),
});
export type Comment = z.infer<typeof Comment>;

const Paths = z.array(z.string()).default([]);
/** https://docs.github.com/en/webhooks/webhook-events-and-payloads#push */
export const Push = Origin.extend({
  ref: z.string().max(1024),
  forced: z.boolean().default(false),
  commits: z.array(z.object({ added: Paths, modified: Paths, removed: Paths })).default([]),
});
export const PullChanged = Origin.extend({
  pull_request: z.object({
    number: z.number().int().positive(),
    /** A fork that was deleted has no repository. */
    head: z.object({ sha: Sha, repo: z.object({ id: z.number().int() }).nullish() }),
    base: z.object({ ref: z.string().min(1).max(255) }).optional(),
  }),
});
export const IssueLabeled = Origin.extend({ issue: Issue, label: z.object({ name: z.string().max(100) }) });
export const IssueClosed = Origin.extend({ issue: Issue });
export const IssueComment = Origin.extend({ issue: Issue, comment: Comment });

const PullRequest = Issue.extend({ user: Account.nullish() });
export const PullRequestClosed = Origin.extend({ pull_request: PullRequest });
export const ReviewSubmitted = Origin.extend({
  pull_request: PullRequest,
  review: Comment.extend({ body: clipped(65_536).nullish(), state: z.string(), submitted_at: z.iso.datetime().nullish().catch(null) }),
});
export const ReviewCommentCreated = Origin.extend({
  pull_request: PullRequest,
  comment: Comment.extend({ pull_request_review_id: z.number().int().nullish() }),
});

const Commit = z.object({ sha: z.string(), repo: z.object({ id: z.number().int() }) });
export const CheckSuiteCompleted = Origin.extend({
  check_suite: z.object({
    id: z.number().int(),
    head_sha: Sha,
    conclusion: z.string().nullable(),
    app: z.object({ id: z.number().int() }),
    /** Those of this repository; none for a fork. */
    pull_requests: z.array(z.object({ number: z.number().int().positive(), head: Commit, base: Commit })),
  }),
});
