/** Which comments of a pull request wait for an answer of ours. Truth lies at GitHub: nothing is remembered here. */
import type { ReviewThread, ThreadComment } from '../github/github.ts';
import type { ReviewRequest } from '../job.ts';

const maxRequests = 50;
const maxBodyCharacters = 65_536;
const maxHunkCharacters = 16_384;

export interface Waiting {
  readonly request: ReviewRequest;
  /** Ids of the comments in it. */
  readonly comments: readonly ThreadComment[];
}

/**
 * One for each thread that nobody resolved and in which people with write access said something after us, that no run
 * has taken up. Words that were changed after `before` count as not said: somebody else may have changed them.
 */
export async function findWaiting(
  threads: readonly ReviewThread[],
  { before, mayWrite }: { before: string; mayWrite: (login: string) => Promise<boolean> },
): Promise<readonly Waiting[]> {
  const found: Waiting[] = [];
  const known = new Map<string, boolean>();
  for (const thread of threads) {
    if (thread.resolved || found.length === maxRequests) continue;
    const comments: ThreadComment[] = [];
    for (const comment of sinceOurs(thread)) {
      if (!comment.person || comment.seen || (comment.editedAt !== null && comment.editedAt > before)) continue;
      if (!known.has(comment.login)) known.set(comment.login, await mayWrite(comment.login));
      if (known.get(comment.login)) comments.push(comment);
    }
    const request = asRequest(thread, comments);
    if (request !== null) found.push({ request, comments });
  }
  return found;
}

const sinceOurs = ({ comments }: ReviewThread): readonly ThreadComment[] => comments.slice(comments.findLastIndex(({ ours }) => ours) + 1);

function asRequest({ comments: all, path, line, hunk, outdated }: ReviewThread, comments: readonly ThreadComment[]): ReviewRequest | null {
  const [first, latest] = [all[0], comments.at(-1)];
  if (first === undefined || latest === undefined) return null;
  const isAnswer = first.id !== comments[0]?.id;
  const said = comments.map(({ login, body }) => (comments.length > 1 || isAnswer ? `${login}: ${body}` : body));
  const earlier = isAnswer ? [`(earlier, ${first.login}: ${first.body.slice(0, 2000)})`] : [];
  return {
    commentId: first.id,
    latestId: latest.id,
    login: latest.login,
    path,
    line,
    body: [...earlier, ...said].join('\n\n').slice(0, maxBodyCharacters),
    hunk: hunk.slice(-maxHunkCharacters),
    outdated,
  };
}
