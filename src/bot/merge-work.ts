/**
 * The base merged into a pull request of ours: a commit with two parents, whose tree is the tip of the base with the
 * changes of the pull request on it. So the patch, and what the policy judges, are our own files only.
 */
import { FixError } from '../errors.ts';
import type { AskedIssue } from '../fix/agent-task.ts';
import { hasMarkers, mergeOntoBase } from '../fix/merge-base.ts';
import type { Merged } from '../fix/merge-base.ts';
import { shown } from '../fix/policy.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome, PatchFile } from '../job.ts';
import { branchRef, checkPull, heldBeside, pullOf, pushToPull } from './pull-commit.ts';
import { showDiff } from './revise-work.ts';
import type { JobContext, Ready, WorkKind } from './work.ts';

export const mergeWork: WorkKind = {
  check,
  base: (job) => ({ ref: branchRef(pullOf(job).base), sha: null }),
  ask,
  prepare,
  deliver,
  heldBranch: heldBeside,
};

async function check(context: JobContext): Promise<FixOutcome | null> {
  const found = await checkPull(context);
  if (found !== null) return found;
  const { base, headSha } = pullOf(context.job);
  const { behindBy } = await context.github.pulls.compare(base, headSha);
  return behindBy === 0 ? { kind: 'refused', reason: 'nothing_to_merge' } : null;
}

const assignment = `This time the work is a merge. What is checked out is the newest commit of the base branch, and the changes of a pull request were put on it; nothing is committed. Where both sides changed the same lines, the files hold conflict markers. Bring every conflict to an end so that both sides keep what they meant, leave no marker, and see that the tests pass. Change nothing else. The host makes a merge commit of it on the pull request's branch. Submit with noChange only when the two cannot be brought together, and say why.`;

async function ask({ job, github }: JobContext): Promise<AskedIssue> {
  const { base, headSha } = pullOf(job);
  const diff = showDiff(await github.pulls.compare(base, headSha));
  return { title: job.issue.title, body: job.issue.body, instruction: null, conversation: null, assignment, texts: [diff] };
}

async function prepare(
  context: JobContext,
  ...[{ sandbox, timed }, base]: Parameters<NonNullable<WorkKind['prepare']>> extends [JobContext, ...infer Rest] ? Rest : never
) {
  const { job, github, tools, attempt } = context;
  const { headSha } = pullOf(job);
  const { mergeBaseSha } = await github.pulls.compare(base.sha, headSha);
  const [head, fork] = [await fetchCommit(context, headSha), await fetchCommit(context, mergeBaseSha)];
  const request = { base, head, fork, limits: tools.limits.patch, label: job.runId, signal: attempt.signal };
  const merged = await timed('patch', () => mergeOntoBase(sandbox, request));
  if (merged === null) throw new FixError('repository_too_large', { details: { reason: 'the pull request changes more than a patch may' } });
  attempt.log.info({ clean: merged.clean.length, marked: merged.marked.length, standing: merged.standing.length }, 'base merged');
  return [tellMerged(merged)];
}

async function fetchCommit({ github, tools, attempt }: JobContext, sha: string): Promise<Snapshot> {
  await using token = await github.cloneToken();
  return await tools.mirrors.fetch({ url: github.cloneUrl, token: token.value, ref: sha }, attempt.signal);
}

function tellMerged({ clean, marked, standing }: Merged): NonNullable<AskedIssue['texts']>[number] {
  const list = (head: string, paths: readonly string[]): string => (paths.length === 0 ? '' : [head, ...paths.map((path) => `- ${shown(path)}`)].join('\n'));
  const parts = [
    list('With conflict markers:', marked),
    list("Changed on both sides and not mergeable by lines, so the base's version stands; the diff above shows what the pull request did:", standing),
    list('Without a conflict:', clean),
  ];
  return {
    item: 'merged files',
    source: 'the host',
    trust: 'repository',
    name: 'merge',
    head: 'What the merge left in the workspace:',
    text: parts.filter(Boolean).join('\n\n'),
    markdown: false,
  };
}

async function deliver(context: JobContext, { patch, plan }: Ready): Promise<FixOutcome> {
  const { job } = context;
  const marked = patch.files.find((file) => isMarked(file, job.runId));
  if (marked !== undefined) return { kind: 'refused', reason: 'conflict_markers', detail: shown(marked.path) };
  const subject = `Merge the base into pull request ${job.issue.number}`;
  return await pushToPull(context, { files: patch.files, mergedSha: patch.baseSha, subject, ci: plan.ci });
}

function isMarked({ change }: PatchFile, label: string): boolean {
  return change.kind === 'write' && hasMarkers(Buffer.from(change.content).toString('latin1'), label);
}
