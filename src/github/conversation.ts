/** What people who may write here have said about an issue before a run was asked for. */
import type { Conversation, IssueComment } from './github.ts';
import type { Authored, Session } from './session.ts';

interface Comment extends Authored {
  readonly id: number;
  readonly body?: string | undefined;
  readonly created_at: string;
  readonly updated_at: string;
  readonly author_association?: string | undefined;
}

/** 1,000 comments; of a longer conversation the beginning is read. */
const maxPages = 10;
/** The latest ones, and their characters together. */
const maxComments = 50;
const maxCharacters = 65_536;
/** Each costs one request. */
const maxPeople = 20;

/** Whoever has write access is one of these: https://docs.github.com/en/graphql/reference/enums#commentauthorassociation */
const insiders = new Set(['OWNER', 'MEMBER', 'COLLABORATOR']);

export interface ConversationOptions {
  readonly issue: number;
  /** When the run was asked for; and by which comment, which is not part of the conversation. */
  readonly before: { readonly at: string; readonly commentId: number | null };
  readonly mayWrite: (login: string) => Promise<boolean>;
}

export async function readConversation(session: Session, { issue, before, mayWrite }: ConversationOptions): Promise<Conversation> {
  const all = (await listComments(session, issue)).filter((comment) => isEarlier(comment, before));
  const people = all.filter((comment) => comment.user?.type === 'User' && !comment.performed_via_github_app && !isCommand(comment.body ?? ''));
  // Whoever could write here could also have changed another's words since.
  const unchanged = people.filter((comment) => !isSince(comment.updated_at, before.at));
  const writers = await findWriters(unchanged, mayWrite);
  const theirs = unchanged.filter((comment) => writers.has(comment.user?.login ?? ''));
  const kept = takeLatest(theirs.map((comment) => ({ login: comment.user?.login ?? '', body: comment.body ?? '', at: comment.created_at })));
  return {
    comments: kept,
    leftOut: { editedSince: people.length - unchanged.length, withoutWriteAccess: unchanged.length - theirs.length, forLength: theirs.length - kept.length },
  };
}

async function listComments({ octokit, at }: Session, issue: number): Promise<readonly Comment[]> {
  const found: Comment[] = [];
  let pages = 0;
  for await (const { data } of octokit.paginate.iterator(octokit.rest.issues.listComments, { ...at, issue_number: issue, per_page: 100 })) {
    found.push(...data);
    if (++pages === maxPages) break;
  }
  return found;
}

/** GitHub's times have no fractions: what happened in the same second may have happened later. */
const isSince = (time: string, at: string): boolean => Math.floor(Date.parse(time) / 1000) >= Math.floor(Date.parse(at) / 1000);

/** The ids of comments grow, so they are better than a clock where there is one. */
function isEarlier(comment: Comment, { at, commentId }: ConversationOptions['before']): boolean {
  return commentId === null ? !isSince(comment.created_at, at) : comment.id < commentId;
}

/** Words to this App are no words about the issue. */
const isCommand = (body: string): boolean => /^\s*\/agent\b/.test(body);

async function findWriters(comments: readonly Comment[], mayWrite: (login: string) => Promise<boolean>): Promise<ReadonlySet<string>> {
  const logins = comments.toReversed().flatMap((comment) => (insiders.has(comment.author_association ?? '') ? [comment.user?.login ?? ''] : []));
  const writers = new Set<string>();
  for (const login of [...new Set(logins)].slice(0, maxPeople)) if (await mayWrite(login)) writers.add(login);
  return writers;
}

function takeLatest(comments: readonly IssueComment[]): readonly IssueComment[] {
  let characters = 0;
  const latest = comments.slice(-maxComments).toReversed();
  const end = latest.findIndex((comment) => (characters += comment.body.length) > maxCharacters);
  return latest.slice(0, end === -1 ? latest.length : end).toReversed();
}
