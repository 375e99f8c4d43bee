/** From a wish to a queued run, or one sentence that says why not: before any VM. */
import { countVisible } from '../fix/enough.ts';
import type { IssueState } from '../github/github.ts';
import type { FixJob, Work } from '../job.ts';
import type { Values } from '../settings/values.ts';
import { noStartReply } from './command-texts.ts';
import type { NoStart } from './command-texts.ts';
import { branchName } from './fix-work.ts';
import type { Intake, Scene } from './scene.ts';
import { recallStop, subjectOf } from './memory.ts';
import { queueJob } from './queue-job.ts';
import { keepSettingsIssue } from './repository-settings.ts';
import { brokenSettingsReply, disabledReply } from './settings-texts.ts';

/** Less than this says nothing that could be worked on. */
const leastVisibleCharacters = 40;

/** `done` when there is nothing to start any more, and nothing to say. */
export async function start(scene: Scene, wanted: Work): Promise<'started' | 'refused' | 'done'> {
  const { event, github, tools, log } = scene;
  // Taken in before: the run that is there would be the reason against it.
  if (await tools.queue.hasRun(event.key)) {
    log.info('run was queued before');
    return 'started';
  }
  const stoppedAt = await recallStop(tools.memory, subjectOf(event));
  if (stoppedAt !== null && event.receivedAt < stoppedAt) return await refuse(scene, null);
  const issue = await github.issue(event.issue.number);
  if (event.kind === 'labeled' && !hasLabel(issue, event.label ?? '')) {
    log.info('the label was taken away before it was seen');
    return 'done';
  }
  const values = await readValues(scene);
  if ('refusal' in values) return await refuse(scene, values.refusal);
  const reason = await findReason(scene, { work: wanted, issue, branch: branchName(values, event.issue.number) });
  if (reason !== null) return await refuse(scene, noStartReply(event.actor.login, reason));
  const work = planFirst(wanted, values.plan === 'always');
  await queueJob(event, { issue: event.issue, pull: null, work, trigger: triggerOf(event) }, { ...tools, github, values, log });
  return 'started';
}

/** Nothing runs by settings that are broken, and the issue about them is kept up to date. */
export async function readValues({
  event,
  github,
  settings,
  tools,
}: Pick<Scene, 'github' | 'settings'> & {
  readonly event: Pick<Intake, 'actor' | 'repository'>;
  readonly tools: Pick<Scene['tools'], 'inTurn' | 'signal'>;
}): Promise<Values | { readonly refusal: string | null }> {
  const { login } = event.actor;
  const place = { ...tools, github, repositoryId: event.repository.id };
  if ('problems' in settings) {
    const issue = await keepSettingsIssue(place, settings.problems);
    return { refusal: issue === null ? null : brokenSettingsReply(login, issue) };
  }
  await keepSettingsIssue(place, []);
  const { values } = settings.effective;
  return values.enabled ? values : { refusal: disabledReply(login) };
}

async function refuse({ event, github, log }: Scene, text: string | null): Promise<'refused'> {
  log.info('no run is started');
  // A label is a command: whatever comes of it, the next one starts with labelling again.
  if (event.kind === 'labeled') await github.removeLabel(event.issue.number, event.label ?? '');
  if (text !== null) await github.reply(event.issue.number, text);
  return 'refused';
}

const hasLabel = ({ labels }: IssueState, wanted: string): boolean => labels.some((label) => label.toLowerCase() === wanted.toLowerCase());

/** What can be known before any VM. Asked again when the run starts, as far as it may have changed by then. */
async function findReason(
  { event, github, tools }: Scene,
  { work, issue, branch }: { work: Work; issue: IssueState; branch: string },
): Promise<NoStart | null> {
  if (!issue.open) return { why: 'closed' };
  if (issue.locked) return { why: 'locked' };
  const { title, body } = event.issue;
  const instruction = 'instruction' in work ? (work.instruction ?? '') : '';
  if (countVisible(title, body, instruction) < leastVisibleCharacters) return { why: 'too_short' };
  const [first] = await tools.queue.find(subjectOf(event));
  if (first !== undefined) return { why: first.state };
  const open = await github.openPullRequest(branch);
  return open === null ? null : { why: 'pull_request_open', number: open.pullRequest.number };
}

/** Where a person has to approve a plan before anything is changed, a fix begins with one. */
function planFirst(work: Work, required: boolean): Work {
  // What goes on with held work was approved when it began.
  if (!required || work.kind !== 'fix' || work.plan !== null || work.resume !== null) return work;
  return { kind: 'plan', instruction: work.instruction };
}

export function triggerOf(event: Intake): FixJob['trigger'] {
  const { commentId, on = 'issue', label = '' } = event;
  if (commentId === undefined) return { kind: 'label', label };
  return on === 'review' ? { kind: 'review', reviewId: commentId } : { kind: 'comment', commentId, on };
}
