/** `/agent ci`: lets workflows run on what is held. One more commit with the same tree, without the trailer that holds them. */
import type { GitHubRepository } from '../github/github.ts';
import type { FixJob } from '../job.ts';
import { closedPullReply, followMessage, forkPullReply, readTrailers } from './follow-texts.ts';

/** The sentence to answer with. The actor may write here, which was asked before. Told twice, it releases once. */
export async function releaseCi(
  github: GitHubRepository,
  { number, actor, saidAt, signal }: { readonly number: number; readonly actor: FixJob['actor']; readonly saidAt: string; readonly signal: AbortSignal },
): Promise<string> {
  const pull = await github.pulls.read(number);
  if (pull === null) return 'Workflows are held on pull requests only. Comment `/agent ci` on the pull request.';
  if (!pull.open) return closedPullReply;
  if (pull.fork) return forkPullReply;
  if (!pull.ours) return 'Mayfly did not open this pull request, so it holds nothing back here.';
  const head = await github.pulls.commit(pull.headSha);
  const { held, repair } = readTrailers(head.message);
  if (!held) return `Workflows are not held on ${pull.headSha.slice(0, 7)}.`;
  // Nobody has read yet what came after the words.
  if (Date.parse(head.at) > Date.parse(saidAt))
    return `${pull.headSha.slice(0, 7)} came after you asked, so nothing was released. Read it, and comment \`/agent ci\` again.`;
  const facts = { subject: `Start the workflows of pull request ${number}`, ci: 'run' as const, ...(repair > 0 && { repair }) };
  const commitMessage = followMessage({ actor, runId: null }, facts);
  const pushed = await github.pulls.push({ branch: pull.branch, headSha: pull.headSha, mergedSha: null, files: [], commitMessage, signal });
  if (pushed === null) return 'Somebody has just moved the branch, so nothing was released. Look at what is there now, and comment `/agent ci` again.';
  return `Workflows may run now: ${pushed.headSha.slice(0, 7)} has the same files as ${pull.headSha.slice(0, 7)}, and holds nothing back.`;
}
