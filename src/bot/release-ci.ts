/** `/agent ci`: lets workflows run on what is held. One more commit with the same tree, without the trailer that holds them. */
import type { GitHubRepository } from '../github/github.ts';
import type { FixJob } from '../job.ts';
import { closedPullReply, followMessage, forkPullReply, readTrailers } from './follow-texts.ts';

export interface Release {
  /** Of the pull request. */
  readonly number: number;
  readonly actor: FixJob['actor'];
  readonly saidAt: string;
  /** When the run ended that ended last here; null when none is known. */
  readonly lastRunAt: string | null;
  /** Nothing of ours goes onto it, whoever asks. */
  readonly defaultBranch: string;
  readonly signal: AbortSignal;
}

/** The sentence to answer with. The actor may write here, which was asked before. Told twice, it releases once. */
export async function releaseCi(github: GitHubRepository, { number, actor, saidAt, lastRunAt, defaultBranch, signal }: Release): Promise<string> {
  const pull = await github.pulls.read(number);
  if (pull === null) return 'Workflows are held on pull requests only. Comment `/agent ci` on the pull request.';
  if (!pull.open) return closedPullReply;
  if (pull.fork) return forkPullReply;
  const head = await github.pulls.commit(pull.headSha);
  const { held, repair } = readTrailers(head.message);
  // On a person's branch, too, where the settings let us push: what holds workflows back is the commit.
  if (!head.ours || pull.branch === defaultBranch) return `Mayfly holds nothing back on ${pull.headSha.slice(0, 7)}: that commit is none of its own.`;
  if (!held) return `Workflows are not held on ${pull.headSha.slice(0, 7)}.`;
  if (isUnread([head.at, lastRunAt], saidAt))
    return `${pull.headSha.slice(0, 7)} came after you asked, so nothing was released. Read it, and comment \`/agent ci\` again.`;
  const facts = { subject: `Start the workflows of pull request ${number}`, ci: 'run' as const, ...(repair > 0 && { repair }) };
  const commitMessage = followMessage({ actor, runId: null }, facts);
  const pushed = await github.pulls.push({ branch: pull.branch, headSha: pull.headSha, mergedSha: null, files: [], commitMessage, signal });
  if (pushed === null) return 'Somebody has just moved the branch, so nothing was released. Look at what is there now, and comment `/agent ci` again.';
  return `Workflows may run now: ${pushed.headSha.slice(0, 7)} has the same files as ${pull.headSha.slice(0, 7)}, and holds nothing back.`;
}

/**
 * Nobody has read yet what came after the words. A commit is made some time before the branch moves to it, up to minutes
 * where GitHub asks for a pause, so its own time is too early; a run that pushed ends some seconds after that.
 */
function isUnread(at: readonly (string | null)[], saidAt: string): boolean {
  // GitHub's times have whole seconds.
  const second = (time: string): number => Math.floor(Date.parse(time) / 1000);
  return at.some((time) => time !== null && second(time) > second(saidAt));
}
