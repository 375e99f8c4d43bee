/** What the kinds of work on a pull request share: its state before, one more commit on its branch after. */
import { FixError, asFixError } from '../errors.ts';
import { createTimer } from '../fix/report.ts';
import type { CommitState, GitHubRepository, PullState } from '../github/github.ts';
import type { FixJob, FixOutcome, PatchFile, PinnedPull, PullRequest } from '../job.ts';
import { followMessage, readTrailers, withLatest } from './follow-texts.ts';
import type { CommitFacts } from './follow-texts.ts';
import { runMarker } from './pull-texts.ts';
import type { JobContext, TalkContext } from './work.ts';

/** Throws `job_invalid` for a job without one. */
export function pullOf({ pull }: Pick<FixJob, 'pull'>): PinnedPull {
  if (pull === null) throw new FixError('job_invalid', { details: { reason: 'no pull request' } });
  return pull;
}

/** Of the pull request whose branch gets the commit. */
const numberOf = (job: FixJob): number => job.pull?.number ?? job.issue.number;

/** The whole name: a tag may be called like a branch. */
export const branchRef = (branch: string): string => `refs/heads/${branch}`;

/** Numbers only, behind what the settings name. */
export const besideBranch = ({ job, settings }: JobContext): string => `${settings.values.branchPrefix}/pull-${job.issue.number}`;
export const heldBeside = (context: JobContext): string => `${besideBranch(context)}-held`;

/** What can be known before any VM, and what an earlier attempt of this run has done. */
export async function checkPull({ job, github }: JobContext): Promise<FixOutcome | null> {
  const pinned = pullOf(job);
  const pull = await github.pulls.read(numberOf(job));
  if (!pull?.open) return { kind: 'refused', reason: 'pull_request_closed' };
  if (pull.fork) return { kind: 'refused', reason: 'pull_request_fork' };
  if (pull.headSha === pinned.headSha && pull.branch === pinned.branch) return null;
  // Also where somebody has pushed on it since.
  const since = await commitsSince(github, pull.headSha, pinned.headSha);
  const own = since?.find(({ ours, message }) => ours && readTrailers(message).runId === job.runId);
  if (own === undefined) return { kind: 'refused', reason: 'stale_base' };
  return { kind: 'pushed', pullRequest: asPullRequest(pull, own.sha), held: readTrailers(own.message).held };
}

const maxCommits = 10;

/** By first parents, the newest first; null when they do not lead there. */
async function commitsSince(github: GitHubRepository, headSha: string, sinceSha: string): Promise<readonly CommitState[] | null> {
  const found: CommitState[] = [];
  for (let sha: string | undefined = headSha; sha !== sinceSha; sha = found.at(-1)?.parents[0]) {
    if (sha === undefined || found.length === maxCommits) return null;
    found.push(await github.pulls.commit(sha));
  }
  return found;
}

/**
 * A run that waited while another one of ours put a commit on the branch goes on from there: nobody else has touched it.
 * The base is the one that the pull request has now: it may have got another since.
 * The checks that a repair is for are those of one commit.
 */
export async function followOwn({ job, github }: Pick<TalkContext, 'job' | 'github'>): Promise<FixJob> {
  if (job.pull === null) return job;
  const pull = await github.pulls.read(job.issue.number);
  const pinned = { ...job.pull, base: pull?.base ?? job.pull.base };
  if (job.work.kind === 'repair' || !pull?.ours || !pull.open || pull.branch !== pinned.branch) return { ...job, pull: pinned };
  const since = (await commitsSince(github, pull.headSha, pinned.headSha)) ?? [];
  // An earlier attempt of this run may have put its own there: then it began below that.
  const before = since.slice(since.findIndex(({ ours, message }) => ours && readTrailers(message).runId === job.runId) + 1);
  const headSha = before[0]?.sha ?? pinned.headSha;
  return { ...job, pull: before.every(({ ours }) => ours) ? { ...pinned, headSha } : pinned };
}

/**
 * Where the settings do not allow to push onto somebody's branch: the pull request against it that an earlier run opened,
 * when that is still open. The work goes on there. Null when there is none, or this run itself has opened it.
 */
export async function findBeside(context: JobContext): Promise<PinnedPull | null> {
  const { job, github } = context;
  const open = await github.openPullRequest(besideBranch(context));
  if (open === null || open.ours(runMarker(job.runId))) return null;
  const pull = await github.pulls.read(open.pullRequest.number);
  if (!pull?.open || pull.base !== pullOf(job).branch) return null;
  return { number: pull.number, branch: pull.branch, base: pull.base, ours: true, headSha: await findStart(github, pull.headSha, job.runId) };
}

/** The newest commit, or the one below that of an earlier attempt of this run. */
async function findStart(github: GitHubRepository, headSha: string, runId: string): Promise<string> {
  let sha: string | undefined = headSha;
  for (let looked = 0; sha !== undefined && looked < maxCommits; looked++) {
    const { ours, message, parents }: CommitState = await github.pulls.commit(sha);
    if (ours && readTrailers(message).runId === runId) return parents[0] ?? headSha;
    sha = parents[0];
  }
  return headSha;
}

export interface PullCommit extends CommitFacts {
  readonly files: readonly PatchFile[];
  /** The tip of the base, when that is merged. */
  readonly mergedSha: string | null;
}

/** On the head that was pinned, or nowhere. */
export async function pushToPull(context: JobContext, commit: PullCommit): Promise<FixOutcome> {
  const { job, github, attempt, report, tools } = context;
  const { branch, headSha, ours } = pullOf(job);
  const { files, mergedSha } = commit;
  const { signal, ownsRun } = attempt;
  const before = await github.pulls.read(numberOf(job));
  if (before === null) return { kind: 'refused', reason: 'pull_request_closed' };
  if (mergedSha !== null && before.base !== pullOf(job).base) return { kind: 'refused', reason: 'base_changed' };
  const timed = createTimer({ report, onEvent: (event) => tools.onEvent(job.runId, event) });
  const request = { branch, headSha, mergedSha, files, commitMessage: followMessage(job, commit), signal, ownsRun };
  const pushed = await timed('publish', () => github.pulls.push(request));
  if (pushed === null) return { kind: 'refused', reason: 'stale_base' };
  // The commit is there: whatever fails from now on, or stops the run, does not take it back.
  const pull = (await github.pulls.read(numberOf(job)).catch((thrown: unknown) => noteUnread(attempt, thrown))) ?? before;
  if (ours) await tellInBody(context, pull, pushed.headSha);
  return { kind: 'pushed', pullRequest: asPullRequest(pull, pushed.headSha), held: commit.ci === 'hold' };
}

function noteUnread({ log }: JobContext['attempt'], thrown: unknown): null {
  log.warn({ err: asFixError(thrown) }, 'the pull request could not be read after the push');
  return null;
}

/** The commit stands whatever becomes of the text. */
async function tellInBody({ job, github, report, attempt }: JobContext, pull: PullState, headSha: string): Promise<void> {
  const body = withLatest(pull.body, { job, report, headSha });
  if (body === null) return;
  await github.pulls.rewrite(pull.number, body).catch((thrown: unknown) => {
    attempt.log.error({ err: asFixError(thrown) }, 'the text of the pull request could not be changed');
  });
}

function asPullRequest({ number, url, title, draft, branch }: PullState, headSha: string): PullRequest {
  return { number, url, title, draft, branch, headSha };
}
