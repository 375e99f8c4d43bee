/** From an issue to a new draft pull request. */
import { FixError } from '../errors.ts';
import type { AskedIssue } from '../fix/agent-task.ts';
import { createTimer } from '../fix/report.ts';
import type { FixOutcome, PullRequest, Work } from '../job.ts';
import type { Values } from '../settings/values.ts';
import { commitMessage, pullRequestBody, pullRequestTitle, runMarker } from './pull-texts.ts';
import type { JobContext, Ready, WorkKind } from './work.ts';

export const fixWork: WorkKind = {
  check,
  base({ repository, work }) {
    const resume = resumeOf(work);
    return resume === null ? { ref: repository.defaultBranch, sha: null } : { ref: resume.branch, sha: resume.headSha };
  },
  ask: askIssue,
  async deliver(context, ready) {
    const { report, tools, job } = context;
    const timed = createTimer({ report, onEvent: (event) => tools.onEvent(job.runId, event) });
    return { kind: 'published', pullRequest: await timed('publish', () => publish(context, ready)) };
  },
  heldBranch: (context) => `${branchFor(context)}-held`,
};

/** Numbers only, behind what the settings name: a branch name never holds text of an issue. */
const branchFor = ({ job, settings }: JobContext): string => branchName(settings.values, job.issue.number);

export const branchName = ({ branchPrefix }: Pick<Values, 'branchPrefix'>, issue: number): string => `${branchPrefix}/issue-${issue}`;

/** The held branch that a fix begins with. */
export const resumeOf = (work: Work): Extract<Work, { kind: 'fix' }>['resume'] => (work.kind === 'fix' ? work.resume : null);

async function check(context: JobContext): Promise<FixOutcome | null> {
  const { job, github } = context;
  const issue = await github.issue(job.issue.number);
  if (!issue.open || issue.locked) return { kind: 'refused', reason: 'issue_closed' };
  const existing = await github.openPullRequest(branchFor(context));
  if (!existing) return null;
  // Our own: an earlier attempt ended between publishing and telling. Its work is not done twice.
  if (existing.ours(runMarker(job.runId))) return { kind: 'published', pullRequest: existing.pullRequest };
  return { kind: 'refused', reason: 'pull_request_open', detail: `#${existing.pullRequest.number}` };
}

async function askIssue({ job, github }: JobContext): Promise<AskedIssue> {
  const { issue, trigger, work, requestedAt } = job;
  const conversation = await github.conversation(issue.number, { at: requestedAt, commentId: trigger.kind === 'comment' ? trigger.commentId : null });
  const instruction = 'instruction' in work ? work.instruction : null;
  return { title: issue.title, body: issue.body, instruction, plan: work.kind === 'fix' ? work.plan : null, conversation };
}

async function publish(context: JobContext, ready: Ready): Promise<PullRequest> {
  const { job, github, report, attempt } = context;
  const { draft, labels, reviewers } = context.settings.values;
  if (!(await attempt.ownsRun())) throw new FixError('lock_lost');
  const { ci, manners } = ready.plan;
  return await github.publish({
    baseSha: ready.patch.baseSha,
    baseBranch: job.repository.defaultBranch,
    branch: branchFor(context),
    files: ready.patch.files,
    commitMessage: commitMessage(job, ci, { style: manners.title, report }),
    title: pullRequestTitle(job, report, manners.title),
    body: pullRequestBody(job, report, { ci, template: manners.template, signs: github.signs }),
    draft,
    labels,
    reviewers: [...new Set([job.actor.login, ...reviewers])],
    marker: runMarker(job.runId),
    ownsRun: attempt.ownsRun,
    signal: attempt.signal,
  });
}
