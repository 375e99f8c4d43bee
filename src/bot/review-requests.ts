/** Which comments of a pull request wait for an answer of ours. Truth lies at GitHub: nothing is remembered here. */
import type { ReviewThread, ThreadComment } from '../github/github.ts';
import type { ReviewRequest } from '../job.ts';

/** That one run takes. */
export const maxRequests = 50;
const maxBodyCharacters = 65_536;
const maxHunkCharacters = 16_384;

export interface Waiting {
  readonly request: ReviewRequest;
  /** Ids of the comments in it. */
  readonly comments: readonly ThreadComment[];
}

/**
 * One for each thread that nobody resolved and in which people with write access said something that no run has taken
 * up: also before our last answer, because a run does not see what is said while it works. Words that were changed after
 * `before` count as not said: somebody else may have changed them.
 */
export async function findWaiting(
  threads: readonly ReviewThread[],
  { before, mayWrite }: { before: string; mayWrite: (login: string) => Promise<boolean> },
): Promise<readonly Waiting[]> {
  const found: Waiting[] = [];
  const known = new Map<string, boolean>();
  const isTrusted = async ({ person, login, editedAt }: ThreadComment): Promise<boolean> => {
    if (!person || (editedAt !== null && editedAt > before)) return false;
    if (!known.has(login)) known.set(login, await mayWrite(login));
    return known.get(login) ?? false;
  };
  for (const thread of threads) {
    if (thread.resolved) continue;
    const comments: ThreadComment[] = [];
    for (const comment of thread.comments) if (!comment.seen && (await isTrusted(comment))) comments.push(comment);
    const [first] = thread.comments;
    // What a thread began with is shown as the words of somebody with write access, too.
    const opening = first !== undefined && comments.length > 0 && comments[0] !== first && (await isTrusted(first)) ? first : null;
    const request = asRequest(thread, comments, opening);
    if (request !== null) found.push({ request, comments });
  }
  return found;
}

/** Threads in which one review says something; what was said there beside it is no request. */
export function ofReview(threads: readonly ReviewThread[], reviewId: number): readonly ReviewThread[] {
  return threads.map((thread) => ({ ...thread, comments: thread.comments.map((said) => (said.reviewId === reviewId ? said : { ...said, seen: true })) }));
}

/** An instruction at a line: the words are those of the event, the place is the thread's. Null where GitHub has no such thread. */
export function requestAt(
  threads: readonly ReviewThread[],
  said: { readonly commentId: number; readonly login: string; readonly text: string },
): ReviewRequest | null {
  const thread = threads.find(({ comments }) => comments.some(({ id }) => id === said.commentId));
  const comment = thread?.comments.find(({ id }) => id === said.commentId);
  return thread === undefined || comment === undefined ? null : asRequest(thread, [{ ...comment, login: said.login, body: said.text }], null);
}

function asRequest(
  { comments: all, path, line, hunk, outdated }: ReviewThread,
  comments: readonly ThreadComment[],
  opening: ThreadComment | null,
): ReviewRequest | null {
  const [first, latest] = [all[0], comments.at(-1)];
  if (first === undefined || latest === undefined) return null;
  const isAnswer = first.id !== comments[0]?.id;
  const said = comments.map(({ login, body }) => (comments.length > 1 || isAnswer ? `${login}: ${body}` : body));
  const earlier = opening === null ? [] : [`(earlier, ${opening.login}: ${opening.body.slice(0, 2000)})`];
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
