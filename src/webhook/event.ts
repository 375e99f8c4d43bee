/** What the web process learns from a payload alone, and puts on the intake queue. No GitHub call was made for it. */
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { Repository, Sha, isNewer } from '../job.ts';

/** What can be asked for. `fix` is also what has no word of its own; `unknown` is one single word that nobody knows. */
const commandNames = ['fix', 'plan', 'approve', 'stop', 'resume', 'retry', 'status', 'ci', 'merge', 'help', 'unknown'] as const;
export type CommandName = (typeof commandNames)[number];

const eventVersion = 2;

const envelope = {
  version: z.literal(eventVersion),
  /** Semantic key (design.md section 3): label = repository id, issue, SHA-256 of the raw body; comment = its id. */
  key: z.string().max(200),
  deliveryId: z.string().max(100),
  installationId: z.number().int(),
  repository: Repository,
  actor: z.object({ id: z.number().int(), login: z.string().max(100) }),
  receivedAt: z.iso.datetime(),
};
/** What people said of a pull request at its lines, or handing in a review. */
const said = {
  /** Of the pull request. */
  number: z.number().int(),
  reviewId: z.number().int(),
  state: z.enum(['approved', 'changes_requested', 'commented']),
  body: z.string().max(65_536),
  instruction: z.string().max(65_536).nullable(),
};
const ofIssue = {
  ...envelope,
  issue: z.object({ number: z.number().int(), title: z.string().max(1024), body: z.string().max(65_536), isPullRequest: z.boolean() }),
};

const Current = z.discriminatedUnion('kind', [
  z.object({ ...ofIssue, kind: z.literal('labeled'), label: z.string().max(100) }),
  /** A person took the label away: cancels what waits, as long as nothing works. */
  z.object({ ...ofIssue, kind: z.literal('unlabeled'), label: z.string().max(100) }),
  z.object({
    ...ofIssue,
    kind: z.literal('command'),
    commentId: z.number().int(),
    /** A comment on an issue or a pull request, at a line of a diff, or the words of a review: then the id is the review's. */
    on: z.enum(['issue', 'diff', 'review']),
    command: z.enum(commandNames),
    /** By GitHub's clock; a delivery may come much later. */
    saidAt: z.iso.datetime().optional(),
    instruction: z.string().max(65_536),
  }),
  /** The default branch moved. `settings`: their file changed, or may have. `look`: how often this was put off. */
  z.object({ ...envelope, kind: z.literal('pushed'), settings: z.boolean(), look: z.number().int() }),
  /** A pull request was opened or got commits; whether they touch the settings file, only GitHub can say. */
  z.object({
    ...envelope,
    kind: z.literal('settings_proposed'),
    pull: z.object({
      number: z.number().int(),
      headSha: Sha,
      base: z.string().max(255).optional(),
      /** Where an earlier version did not say it, it is one: outsiders are told less. */
      fork: z.boolean().default(true),
    }),
  }),
  /** The issue was closed or deleted: cancels what waits or runs. */
  z.object({ ...ofIssue, kind: z.literal('closed') }),
  z.object({ ...envelope, ...said, kind: z.literal('review') }),
  z.object({ ...envelope, ...said, kind: z.literal('remark') }),
  /** Of our own making: the time for single comments is over. */
  z.object({ ...envelope, ...said, kind: z.literal('quiet') }),
  /** Checks of the head of a pull request failed. */
  z.object({ ...envelope, kind: z.literal('checks'), number: z.number().int(), headSha: Sha }),
]);

const OfVersion1 = z.looseObject({ version: z.literal(1), kind: z.enum(['labeled', 'unlabeled', 'command', 'closed']) });

/** Web role and worker are not updated in the same moment, and what waits meanwhile must not be lost. */
function upgrade(event: unknown): unknown {
  const { data } = OfVersion1.safeParse(event);
  return data === undefined ? event : { ...data, version: eventVersion, ...(data.kind === 'command' && { on: 'issue' }) };
}

/** Reads those of the version before, too. */
export const IntakeEvent = z.preprocess(upgrade, Current);
export type IntakeEvent = z.infer<typeof IntakeEvent>;

/** What came through Redis. Throws `job_newer`, which a worker of that version may read, and `job_invalid`. */
export function readEvent(event: unknown): IntakeEvent {
  const { data, error } = IntakeEvent.safeParse(event);
  if (data === undefined) throw new FixError(isNewer(event, eventVersion) ? 'job_newer' : 'job_invalid', { cause: error });
  return data;
}
