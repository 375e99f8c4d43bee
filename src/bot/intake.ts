/**
 * Intake: from what a webhook said to a queued run. Runs in the worker role, because it asks GitHub. Outsiders get
 * silence, so that nobody can make the bot talk.
 */
import { asFixError } from '../errors.ts';
import type { GitHub, GitHubRepository, Permission } from '../github/github.ts';
import { newRunId } from '../job.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import type { Resolved } from '../settings/resolve.ts';
import { defaults } from '../settings/values.ts';
import { helpReply } from './comment-texts.ts';
import { sayQueued, sayStopped } from './living-comment.ts';
import { askPull } from './pull-intake.ts';
import type { PullRequestWish } from './pull-intake.ts';
import { keepSettingsIssue, maySteer, readRepositorySettings } from './repository-settings.ts';
import { brokenSettingsReply, disabledReply } from './settings-texts.ts';

/** The part of the web role's event that intake reads; parsed at the door of the worker. */
export interface Intake {
  readonly kind: 'labeled' | 'unlabeled' | 'command' | 'closed';
  readonly key: string;
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: FixJob['repository'];
  readonly issue: { readonly number: number; readonly title: string; readonly body: string; readonly isPullRequest: boolean };
  readonly actor: { readonly id: number; readonly login: string };
  readonly receivedAt: string;
  readonly label?: string | undefined;
  readonly commentId?: number | undefined;
  readonly on?: 'issue' | 'diff' | undefined;
  readonly command?: 'fix' | 'stop' | 'help' | undefined;
  readonly instruction?: string | undefined;
}

export interface IntakeTools {
  readonly github: GitHub;
  readonly operator: Operator;
  readonly queue: {
    addRun(job: FixJob): Promise<boolean>;
    hasRun(key: string): Promise<boolean>;
    cancelIssue(
      repositoryId: number,
      issue: number,
      reason: 'stop' | 'unlabeled' | 'closed',
      login: string,
    ): Promise<readonly { readonly runId: string; readonly waited: boolean }[]>;
  };
  readonly signal: AbortSignal;
}

/** Idempotent: told twice, it does once. Throws FixErrors of the GitHub port, which the queue tries again. */
export async function takeIn(event: Intake, tools: IntakeTools, log: Log): Promise<void> {
  const { issue } = event;
  const github = tools.github.repository(event, { deliveryId: event.deliveryId, signal: tools.signal, records: [] });
  if (event.kind === 'closed') return await stopRuns(event, 'closed', { github, tools, log });
  if (event.kind === 'unlabeled') {
    const read = await readRepositorySettings({ github, owner: event.repository.owner, operator: tools.operator });
    return isTriggerLabel(event, read, tools.operator) ? await stopRuns(event, 'unlabeled', { github, tools, log }) : log.debug('another label');
  }
  const permission = await github.permission(event.actor.login);
  if (!maySteer(permission)) return log.info({ permission }, 'trigger ignored: no write access');
  const settings = await readRepositorySettings({ github, owner: event.repository.owner, operator: tools.operator });
  const unheard = whyUnheard(event, permission, { settings, operator: tools.operator });
  if (unheard !== null) return log.info({ permission }, unheard);
  await react(github, event, log);
  if (event.kind === 'command' && event.command === 'help') return await github.reply(issue.number, helpReply);
  if (event.kind === 'command' && event.command === 'stop')
    return await stopRuns(event, 'stop', { github, tools, log, label: labelOf(settings, tools.operator) });
  if ('problems' in settings) {
    const issue = await keepSettingsIssue(github, settings.problems);
    return issue === null ? undefined : await github.reply(event.issue.number, brokenSettingsReply(event.actor.login, issue));
  }
  await keepSettingsIssue(github, []);
  if (!settings.effective.values.enabled) return await github.reply(issue.number, disabledReply(event.actor.login));
  if (issue.isPullRequest) return await askPull(toPullWish(event), { github, queue: tools.queue, log });
  await queueRun(event, github, tools, log);
}

/** The label that the settings name; while they are broken, the operator's. */
const labelOf = (settings: Resolved, operator: Operator): string =>
  'effective' in settings ? settings.effective.values.label : (operator.defaults.label?.value ?? defaults.label);

/** GitHub ignores case in label names. */
const isTriggerLabel = ({ label }: Intake, settings: Resolved, operator: Operator): boolean =>
  label?.toLowerCase() === labelOf(settings, operator).toLowerCase();

/** Why a trigger of somebody with write access gets silence; for the log. Null when it is heard. */
function whyUnheard(event: Intake, permission: Permission, { settings, operator }: { settings: Resolved; operator: Operator }): string | null {
  if (event.kind === 'labeled' && !isTriggerLabel(event, settings, operator)) return 'another label';
  if ('problems' in settings) return null;
  const { 'triggers.permission': least, 'triggers.bots': bots } = settings.effective.values;
  if (!maySteer(permission, least)) return 'trigger ignored: the settings ask for more than write access';
  const login = event.actor.login.toLowerCase();
  const isBot = login.endsWith('[bot]') || (operator.ceilings['triggers.bots']?.value ?? []).some((bot) => bot.toLowerCase() === login);
  return isBot && bots !== null && !bots.some((bot) => bot.toLowerCase() === login) ? 'trigger ignored: the settings do not name this bot' : null;
}

/** A run that still waits never gets to say that it was stopped, so that is said here; a running one says so itself. */
async function stopRuns(
  { repository, issue, actor }: Intake,
  reason: 'stop' | 'unlabeled' | 'closed',
  { github, tools, log, label = '' }: { github: GitHubRepository; tools: IntakeTools; log: Log; label?: string },
): Promise<void> {
  const stopped = await tools.queue.cancelIssue(repository.id, issue.number, reason, actor.login);
  log.info({ stopped, reason }, 'runs of the issue stopped');
  const waiting = stopped.filter((run) => run.waited).map((run) => run.runId);
  if (waiting.length > 0) {
    await sayStopped(github, issue.number, waiting);
    if (label !== '') await github.removeLabel(issue.number, label);
  }
  if (stopped.length === 0 && reason === 'stop') await github.reply(issue.number, 'No run of this issue waits or works.');
}

/** A sign and no more: what cannot be reacted to (the comment was deleted, the issue is locked) can still be worked on. */
async function react(github: GitHubRepository, event: Intake, log: Log): Promise<void> {
  const target =
    event.commentId === undefined
      ? { kind: 'issue' as const, id: event.issue.number }
      : { kind: event.on === 'diff' ? ('review_comment' as const) : ('issue_comment' as const), id: event.commentId };
  await github.react(target, 'eyes').catch((thrown: unknown) => {
    if (asFixError(thrown).code !== 'github_refused') throw thrown;
    log.info({ err: thrown }, 'GitHub takes no reaction');
  });
}

async function queueRun(event: Intake, github: GitHubRepository, tools: IntakeTools, log: Log): Promise<void> {
  const job = toJob(event);
  // This event was taken in before, up to here: the comment is the run's by now.
  if (await tools.queue.hasRun(job.key)) return log.info('run was queued before');
  // The comment comes first: written after the job is queued, it could overwrite what a fast worker has said by then.
  await sayQueued(github, job, null);
  const added = await tools.queue.addRun(job);
  log.info({ runId: job.runId, added }, added ? 'run queued' : 'run was queued before');
}

function toPullWish(event: Intake): PullRequestWish {
  const { key, deliveryId, installationId, repository, issue, actor, receivedAt } = event;
  const common = { key, deliveryId, installationId, repository, number: issue.number, actor, receivedAt, trigger: triggerOf(event) };
  return { ...common, work: { kind: 'revise', instruction: event.instruction || null, requests: [] } };
}

function triggerOf(event: Intake): FixJob['trigger'] {
  return event.commentId === undefined ? { kind: 'label', label: event.label ?? '' } : { kind: 'comment', commentId: event.commentId, on: event.on ?? 'issue' };
}

function toJob(event: Intake): FixJob {
  const { key, deliveryId, installationId, repository, issue, actor } = event;
  const { number, title, body } = issue;
  return {
    version: 2,
    runId: newRunId(),
    key,
    deliveryId,
    installationId,
    repository,
    issue: { number, title, body },
    pull: null,
    work: { kind: 'fix', instruction: event.instruction || null, resume: null, plan: null },
    actor,
    trigger: triggerOf(event),
    requestedAt: event.receivedAt,
  };
}
