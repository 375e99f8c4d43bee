/**
 * The decision about one delivery, from its payload and the operator's policy alone. Pure: it asks nobody, so whether
 * the sender may write to the repository is asked later, in the worker role.
 */
import { z } from 'zod';
import { findCommand } from './command.ts';
import type { IntakeEvent } from './event.ts';

/** What the operator decided about triggers. */
export interface TriggerPolicy {
  readonly label: string;
  readonly commandPrefix: string;
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

/** Text of at most so many UTF-16 units, never ending in half a character. */
const clipped = (max: number) => z.string().transform((text) => (text.length > max ? text.slice(0, max).replace(/[\uD800-\uDBFF]$/, '') : text));
const Account = z.object({ id: z.number().int(), login: z.string().min(1).max(100), type: z.string() });

/** The fields that we use, of every event that we know. The rest of a payload is dropped here. */
const Payload = z.object({
  installation: z.object({ id: z.number().int() }),
  repository: z.object({
    id: z.number().int(),
    name: z.string().min(1).max(100),
    private: z.boolean(),
    default_branch: z.string().min(1).max(255),
    owner: z.object({ login: z.string().min(1).max(100) }),
  }),
  sender: Account,
  issue: z.object({
    number: z.number().int().positive(),
    title: clipped(1024),
    body: clipped(65_536).nullish(),
    state: z.string().optional(),
    pull_request: z.unknown().optional(),
  }),
  label: z.object({ name: z.string().max(100) }).optional(),
  comment: z
    .object({
      id: z.number().int().positive(),
      body: clipped(65_536),
      user: Account.nullable(),
      performed_via_github_app: z.object({ id: z.number().int() }).nullish(),
    })
    .optional(),
});
type Payload = z.infer<typeof Payload>;

type Judge = (payload: Payload, delivery: Delivery, policy: TriggerPolicy) => Decision;

const judges = {
  'issues.labeled': judgeLabeled,
  'issues.unlabeled': judgeUnlabeled,
  'issues.closed': judgeClosed,
  'issues.deleted': judgeClosed,
  'issue_comment.created': judgeComment,
} as const satisfies Record<string, Judge>;

/** The names that Probot listens to. */
export const eventNames = Object.keys(judges) as (keyof typeof judges)[];
const judgeOf = new Map<string, Judge>(Object.entries(judges));

/** What to do with a delivery. The reason of an ignored one is for the log and holds no outside text. */
export function decide(delivery: Delivery, policy: TriggerPolicy): Decision {
  const action = z.object({ action: z.string() }).safeParse(delivery.payload);
  const judge = judgeOf.get(`${delivery.event}.${action.success ? action.data.action : ''}`);
  if (!judge) return { ignore: 'not an event of ours' };
  const parsed = Payload.safeParse(delivery.payload);
  if (!parsed.success) return { ignore: `payload lacks ${parsed.error.issues[0]?.path.join('.') || 'everything'}` };
  return judge(parsed.data, delivery, policy);
}

function judgeLabeled(payload: Payload, delivery: Delivery, policy: TriggerPolicy): Decision {
  if (!isTriggerLabel(payload, policy)) return { ignore: 'another label' };
  if (payload.issue.pull_request) return { ignore: 'a pull request' };
  if (payload.issue.state !== 'open') return { ignore: 'the issue is closed' };
  if (!mayTrigger(payload, policy)) return { ignore: 'sent by a bot' };
  return { intake: { ...describe(payload, delivery, 'label'), kind: 'labeled', label: payload.label?.name ?? '' } };
}

function judgeUnlabeled(payload: Payload, delivery: Delivery, policy: TriggerPolicy): Decision {
  if (!isTriggerLabel(payload, policy)) return { ignore: 'another label' };
  // A run takes its label off itself when it starts; that must not cancel it.
  if (!mayTrigger(payload, policy)) return { ignore: 'sent by a bot' };
  return { intake: { ...describe(payload, delivery, 'unlabel'), kind: 'unlabeled', label: payload.label?.name ?? '' } };
}

/** Who closed it does not matter: ending work is not a trigger. */
function judgeClosed(payload: Payload, delivery: Delivery): Decision {
  return { intake: { ...describe(payload, delivery, 'closed'), kind: 'closed' } };
}

function judgeComment(payload: Payload, delivery: Delivery, policy: TriggerPolicy): Decision {
  const { comment, sender } = payload;
  if (!comment) return { ignore: 'payload lacks comment' };
  if (!mayTrigger(payload, policy)) return { ignore: 'sent by a bot' };
  if (comment.user?.id !== sender.id) return { ignore: 'the sender did not write the comment' };
  if (isOurs(comment, policy)) return { ignore: 'our own comment' };
  const found = findCommand(comment.body, policy.commandPrefix);
  if (!found) return { ignore: 'no command' };
  return { intake: { ...describe(payload, delivery, 'comment'), kind: 'command', commentId: comment.id, ...found } };
}

/** GitHub ignores case in label names. */
const isTriggerLabel = (payload: Payload, policy: TriggerPolicy): boolean => payload.label?.name.toLowerCase() === policy.label.toLowerCase();

function mayTrigger({ sender }: Payload, { allowBots }: TriggerPolicy): boolean {
  const login = sender.login.toLowerCase();
  const isPerson = sender.type === 'User' && !login.endsWith('[bot]');
  return isPerson || allowBots.some((bot) => bot.toLowerCase() === login);
}

/** By the App that wrote it, or by the hidden marker that every text of ours carries. */
function isOurs(comment: NonNullable<Payload['comment']>, { appId }: TriggerPolicy): boolean {
  return (appId !== null && comment.performed_via_github_app?.id === appId) || comment.body.includes('<!-- mayfly:');
}

function describe({ installation, repository, sender, issue, comment }: Payload, delivery: Delivery, trigger: string) {
  return {
    version: 1 as const,
    key: comment ? `${trigger}-${comment.id}` : `${trigger}-${repository.id}-${issue.number}-${delivery.bodySha256}`,
    deliveryId: delivery.deliveryId,
    installationId: installation.id,
    repository: {
      id: repository.id,
      owner: repository.owner.login,
      name: repository.name,
      private: repository.private,
      defaultBranch: repository.default_branch,
    },
    issue: { number: issue.number, title: issue.title, body: issue.body ?? '', isPullRequest: Boolean(issue.pull_request) },
    actor: { id: sender.id, login: sender.login },
    receivedAt: delivery.receivedAt,
  };
}
