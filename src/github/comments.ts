/** Comments that are found again: by a hidden marker, in comments of this App only. */
import { createHash } from 'node:crypto';
import { hasStatus } from './failure.ts';
import type { CommentEdit } from './github.ts';
import { makeOnce } from './session.ts';
import type { Authored, Session } from './session.ts';

interface Comment extends Authored {
  readonly id: number;
  readonly body?: string | undefined;
}

/** 3,000 comments; on a longer issue the marker is not looked for any further. */
const maxPages = 30;

/** The comment with this marker says what `edit` makes of it afterwards, and there is one of it. */
export async function writeLivingComment(session: Session, comment: { issue: number; marker: string; edit: CommentEdit }): Promise<void> {
  const { octokit, at } = session;
  const bodyAfter = (before: string): string | null => {
    const body = comment.edit(before);
    return body === null ? null : withMarker(body, comment.marker);
  };
  const fresh = bodyAfter('');
  const find = async (): Promise<Comment | null> => (await findComments(session, comment))[0] ?? null;
  const create = async (body: string): Promise<Comment> => (await octokit.rest.issues.createComment({ ...at, issue_number: comment.issue, body })).data;
  const written = fresh === null ? await find() : await makeOnce(session, find, async () => await dropTwins(session, comment, await create(fresh)));
  if (written === null || written.body === fresh) return;
  const body = bodyAfter(written.body ?? '');
  if (body === null || written.body === body) return;
  try {
    await octokit.rest.issues.updateComment({ ...at, comment_id: written.id, body });
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
    // Somebody deleted it between the two requests.
    await create(body);
  }
}

/** Says something once: the same text in the same run is found again after a crash, and not said twice. */
export async function writeReply(session: Session, reply: { issue: number; body: string; runKey: string }): Promise<{ readonly id: number }> {
  const digest = createHash('sha256').update(`${reply.runKey}\n${reply.issue}\n${reply.body}`).digest('hex').slice(0, 16);
  const marker = `<!-- mayfly:reply ${digest} -->`;
  const { octokit, at } = session;
  const create = async (): Promise<Comment> =>
    (await octokit.rest.issues.createComment({ ...at, issue_number: reply.issue, body: withMarker(reply.body, marker) })).data;
  const { id } = await makeOnce(session, async () => (await findComments(session, { issue: reply.issue, marker }))[0] ?? null, create);
  return { id };
}

/** The text with the marker in it, at its end when the caller did not place it. */
export function withMarker(body: string, marker: string): string {
  return body.includes(marker) ? body : `${body}\n\n${marker}`;
}

/** Ours with this marker, the oldest first. */
async function findComments({ octokit, at, isOurs }: Session, wanted: { issue: number; marker: string }): Promise<readonly Comment[]> {
  const found: Comment[] = [];
  let pages = 0;
  for await (const { data } of octokit.paginate.iterator(octokit.rest.issues.listComments, { ...at, issue_number: wanted.issue, per_page: 100 })) {
    found.push(...data.filter((comment) => isOurs(comment) && (comment.body ?? '').includes(wanted.marker)));
    if (found.length > 0 || ++pages === maxPages) break;
  }
  return found.toSorted((a, b) => a.id - b.id);
}

/** Two workers may have created one each at the same moment; both keep the older. */
async function dropTwins(session: Session, wanted: { issue: number; marker: string }, created: Comment): Promise<Comment> {
  const [first = created, ...twins] = await findComments(session, wanted);
  for (const twin of twins) {
    await session.octokit.rest.issues.deleteComment({ ...session.at, comment_id: twin.id }).catch((error: unknown) => {
      if (!hasStatus(error, 404)) throw error;
    });
  }
  return first;
}
