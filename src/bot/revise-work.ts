/** What people ask of a pull request: an instruction, or the comments of a review. One more commit on its branch. */
import { FixError } from '../errors.ts';
import type { AskedIssue } from '../fix/agent-task.ts';
import { createTimer } from '../fix/report.ts';
import type { Comparison } from '../github/github.ts';
import type { FixJob, FixOutcome, ReviewRequest } from '../job.ts';
import { besideBody, besideTitle, followMessage, threadAnswer } from './follow-texts.ts';
import { besideBranch, branchRef, checkPull, findBeside, heldBeside, pullOf, pushToPull } from './pull-commit.ts';
import { runMarker } from './pull-texts.ts';
import type { JobContext, Ready, TalkContext, WorkKind } from './work.ts';

type Text = NonNullable<AskedIssue['texts']>[number];

export const reviseWork: WorkKind = {
  place: async (context) => (mayPush(context) ? null : await findBeside(context)),
  check,
  base: (job) => ({ ref: branchRef(pullOf(job).branch), sha: pullOf(job).headSha }),
  ask,
  deliver,
  heldBranch: heldBeside,
  tell: answerThreads,
};

async function check(context: JobContext): Promise<FixOutcome | null> {
  const found = await checkPull(context);
  if (found !== null || pullOf(context.job).ours) return found;
  const beside = await context.github.openPullRequest(besideBranch(context));
  return beside?.ours(runMarker(context.job.runId)) ? { kind: 'published', pullRequest: beside.pullRequest } : null;
}

const assignment = `This time the work is a pull request that exists. What is checked out is the tip of its branch; its changes so far are in there, and are shown below. Do what is asked of it, and nothing else. Your work becomes one more commit on that branch: the host compares it with the tip, not with what the pull request set out from.`;
const answering = `People reviewed it. Each comment below has a number. Deal with every one of them: change what it asks for, or decide with a reason that it should stay. Hand in with one entry in replies for each comment; the text is posted under it.`;

async function ask({ job, github }: JobContext): Promise<AskedIssue> {
  const { issue, trigger, work, requestedAt } = job;
  const { base, headSha } = pullOf(job);
  if (work.kind !== 'revise') throw new FixError('job_invalid');
  const conversation = await github.conversation(issue.number, {
    at: requestedAt,
    commentId: trigger.kind === 'comment' && trigger.on === 'issue' ? trigger.commentId : null,
  });
  return {
    title: issue.title,
    body: issue.body,
    instruction: work.instruction,
    conversation,
    assignment: work.requests.length === 0 ? assignment : `${assignment}\n\n${answering}`,
    reviewed: work.requests.length > 0,
    texts: [showDiff(await github.pulls.compare(base, headSha)), ...work.requests.map(showRequest)],
  };
}

const maxDiffCharacters = 48_000;

/** The beginning of what the pull request changes; the agent has all of it in its files. */
export function showDiff({ files, complete }: Comparison): Text {
  let text = '';
  let shown = 0;
  for (const { path, previousPath, status, patch } of files) {
    const name = previousPath === null ? path : `${previousPath} -> ${path}`;
    const part = `${status}: ${name}\n${patch ?? '(no text)'}\n\n`;
    if (text.length + part.length > maxDiffCharacters) break;
    text += part;
    shown++;
  }
  const rest = complete && shown === files.length ? '' : `, the first ${shown} files of ${complete ? files.length : `more than ${files.length}`}`;
  return {
    item: 'diff',
    source: 'GitHub',
    trust: 'repository',
    name: 'diff',
    head: `What the pull request changes so far${rest}:`,
    text: text.trimEnd(),
    markdown: false,
  };
}

function showRequest({ commentId, login, path, line, body, hunk, outdated }: ReviewRequest, index: number): Text {
  const where = `${JSON.stringify(path.slice(0, 300))}${line === null ? '' : `, line ${line}`}`;
  const head = index === 0 ? 'The comments of the review:' : '';
  const text = [`Comment ${commentId} of ${login}, at ${where}${outdated ? ' (those lines have changed since)' : ''}:`, body, '', 'It stands at:', hunk].join(
    '\n',
  );
  return {
    item: `review comment of ${login.replace(/[^\w-]/g, '').slice(0, 40)}`,
    source: `comment ${commentId}`,
    trust: 'write access',
    name: 'review',
    head,
    text,
    markdown: false,
  };
}

async function deliver(context: JobContext, ready: Ready): Promise<FixOutcome> {
  const { job, tools, report } = context;
  if (!mayPush(context)) {
    const timed = createTimer({ report, onEvent: (event) => tools.onEvent(job.runId, event) });
    return await timed('publish', () => openBeside(context, ready));
  }
  return await pushToPull(context, { files: ready.patch.files, mergedSha: null, subject: subjectOf(job), ci: ready.plan.ci });
}

/** Anybody can open a pull request from the default branch into another one, so that branch is nobody's to allow. */
function mayPush({ job, settings }: JobContext): boolean {
  const { ours, branch } = pullOf(job);
  return ours || (settings.values['followUps.foreign'] === 'push' && branch !== job.repository.defaultBranch);
}

function subjectOf({ issue, trigger }: FixJob): string {
  return trigger.kind === 'review' ? `Follow the review of pull request ${issue.number}` : `Change pull request ${issue.number} as asked`;
}

/** Somebody else's branch gets a pull request, and no commit. */
async function openBeside(context: JobContext, { patch, plan }: Ready): Promise<FixOutcome> {
  const { job, github, report, attempt } = context;
  const { draft, labels, reviewers } = context.settings.values;
  const { ownsRun, signal } = attempt;
  if (!(await ownsRun())) throw new FixError('lock_lost');
  const pullRequest = await github.publish({
    baseSha: patch.baseSha,
    baseBranch: pullOf(job).branch,
    branch: besideBranch(context),
    files: patch.files,
    commitMessage: followMessage(job, { subject: subjectOf(job), ci: plan.ci }),
    title: besideTitle(job),
    body: besideBody(job, report, plan.ci),
    draft,
    labels,
    reviewers: [...new Set([job.actor.login, ...reviewers])],
    marker: runMarker(job.runId),
    ownsRun,
    signal,
  });
  return { kind: 'published', pullRequest };
}

/** For all threads of a review: GitHub wants seconds between two answers, and another run of the account may answer, too. */
const threadsTimeoutMs = 15 * 60_000;

/** Threads that people resolved in the meantime are theirs. */
async function answerThreads({ job, tools, report }: TalkContext, outcome: FixOutcome): Promise<void> {
  if (job.work.kind !== 'revise' || job.work.requests.length === 0) return;
  const { number } = job.issue;
  const signal = AbortSignal.timeout(threadsTimeoutMs);
  const github = tools.github.repository(job, { deliveryId: job.deliveryId, signal, records: report.tokens });
  const resolved = new Set((await github.pulls.threads(number)).filter((thread) => thread.resolved).map((thread) => thread.comments[0]?.id));
  const open = job.work.requests.filter(({ commentId }) => !resolved.has(commentId));
  const answers = open.map((request) => {
    const reply = report.replies.find(({ comment }) => comment === request.commentId);
    return { commentId: request.commentId, body: threadAnswer(request, { outcome, pull: number }, reply) };
  });
  const sign = outcome.kind === 'pushed' || outcome.kind === 'published' ? 'rocket' : 'confused';
  const ways = [
    () => github.pulls.answer(number, answers),
    ...open.map(
      ({ latestId }) =>
        () =>
          github.react({ kind: 'review_comment', id: latestId }, sign),
    ),
  ];
  const failures: unknown[] = [];
  for (const way of ways) await way().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
