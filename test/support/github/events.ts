/**
 * Which webhooks a change causes, found by comparing what was with what is.
 * The emulator's own payloads have the wrong shape and miss `changes`; these are built from the same objects the API shows.
 */
import { issueBody } from './issues.ts';
import { correct } from './shapes.ts';
import { actorLogin, type Caller, type Json, type StoredRepository, type World } from './world.ts';

/** An issue or pull request and a comment at one moment; null for what does not exist. */
export interface Moment {
  readonly issue: Json;
  readonly pull: Json;
  readonly comment: Json;
}

export interface Subject {
  readonly number: number | null;
  readonly commentId: number | null;
}

export interface Change {
  readonly event: string;
  readonly payload: Json;
}

const nothing: Moment = { issue: null, pull: null, comment: null };

export async function look(world: World, repository: StoredRepository, subject: Subject): Promise<Moment> {
  const as = world.emulator.ownerOf(repository.owner);
  const get = async (path: string): Promise<Json> => {
    const reply = await world.emulator.call('GET', `/repos/${repository.fullName}/${path}`, { as });
    return reply.status === 200 ? correct(world, null, reply.body) : null;
  };
  const comment = subject.commentId === null ? null : await get(`issues/comments/${subject.commentId}`);
  const number = subject.number ?? (comment ? Number(/\d+$/.exec(comment.issue_url)?.[0]) : null);
  if (number === null) return { ...nothing, comment };
  const issue = await correct(world, null, await issueBody({ world, repository }, number));
  return { issue, comment, pull: issue?.pull_request ? await get(`pulls/${number}`) : null };
}

/** The events between two moments, in the order GitHub sends them. */
export function changesBetween(before: Moment, after: Moment): Change[] {
  if (before.comment || after.comment) return commentChanges(before, after);
  if (after.pull) return pullChanges(before.pull, after.pull);
  return issueChanges(before.issue, after.issue);
}

function commentChanges(before: Moment, after: Moment): Change[] {
  const issue = after.issue ?? before.issue;
  const comment = after.comment ?? before.comment;
  const change = (action: string, more: Json = {}): Change[] => [{ event: 'issue_comment', payload: { action, ...more, issue, comment } }];
  if (!before.comment) return change('created');
  if (!after.comment) return change('deleted');
  if (before.comment.body === after.comment.body) return [];
  return change('edited', { changes: { body: { from: before.comment.body } } });
}

function issueChanges(before: Json, after: Json): Change[] {
  if (!after) return [];
  const change = (action: string, more: Json = {}): Change => ({ event: 'issues', payload: { action, issue: after, ...more } });
  const opened = before ? stateChange(before, after) : ['opened'];
  return [...opened.map((action) => change(action)), ...sharedChanges(before, after).map(({ action, ...more }) => change(action, more))];
}

function pullChanges(before: Json, after: Json): Change[] {
  const change = (action: string, more: Json = {}): Change => ({
    event: 'pull_request',
    payload: { action, number: after.number, pull_request: after, ...more },
  });
  const opened = before ? stateChange(before, after) : ['opened'];
  const asked = new Set((before?.requested_reviewers ?? []).map((user: Json) => user.login));
  const reviewers = after.requested_reviewers.filter((user: Json) => !asked.has(user.login));
  return [
    ...opened.map((action) => change(action)),
    ...sharedChanges(before, after).map(({ action, ...more }) => change(action, more)),
    ...reviewers.map((user: Json) => change('review_requested', { requested_reviewer: user })),
  ];
}

function stateChange(before: Json, after: Json): string[] {
  if (before.state === after.state) return [];
  return [after.state === 'closed' ? 'closed' : 'reopened'];
}

/** What issues and pull requests have in common: text, labels, assignees, the lock. */
function sharedChanges(before: Json, after: Json): Json[] {
  const edited = before ? ['title', 'body'].filter((field) => before[field] !== after[field]).map((field) => [field, { from: before[field] ?? '' }]) : [];
  return [
    ...(edited.length > 0 ? [{ action: 'edited', changes: Object.fromEntries(edited) }] : []),
    ...added(before?.labels, after.labels, 'name').map((label) => ({ action: 'labeled', label })),
    ...added(after.labels, before?.labels, 'name').map((label) => ({ action: 'unlabeled', label })),
    ...added(before?.assignees, after.assignees, 'login').map((assignee) => ({ action: 'assigned', assignee })),
    ...added(after.assignees, before?.assignees, 'login').map((assignee) => ({ action: 'unassigned', assignee })),
    ...(before && before.locked !== after.locked ? [{ action: after.locked ? 'locked' : 'unlocked' }] : []),
  ];
}

function added(before: Json[] | undefined, after: Json[] | undefined, key: string): Json[] {
  const had = new Set((before ?? []).map((item) => item[key]));
  return (after ?? []).filter((item) => !had.has(item[key]));
}

/** A change as the whole payload that is sent: with repository, sender, installation and, where there is one, organization. */
export async function completePayload(world: World, repository: StoredRepository, caller: Caller, change: Change): Promise<Json> {
  const as = world.emulator.ownerOf(repository.owner);
  const get = async (target: string): Promise<Json> => correct(world, null, (await world.emulator.call('GET', target, { as })).body);
  const organization = world.emulator.isOrganization(repository.owner) ? await get(`/orgs/${repository.owner}`) : null;
  return {
    ...change.payload,
    repository: await get(`/repos/${repository.fullName}`),
    ...(organization ? { organization: shortOrganization(organization) } : {}),
    sender: await get(`/users/${encodeURIComponent(actorLogin(world, caller))}`).then(shortUser),
    installation: { id: world.app.installationId, node_id: Buffer.from(`Installation:${world.app.installationId}`).toString('base64url') },
  };
}

const organizationKeys = [
  'login',
  'id',
  'node_id',
  'url',
  'repos_url',
  'events_url',
  'hooks_url',
  'issues_url',
  'members_url',
  'public_members_url',
  'avatar_url',
  'description',
];
const userKeys = /^(?:login|id|node_id|gravatar_id|type|site_admin|user_view_type|url|\w+_url)$/;

function shortOrganization(organization: Json): Json {
  return Object.fromEntries(organizationKeys.map((key) => [key, organization[key] ?? null]));
}

function shortUser(user: Json): Json {
  return Object.fromEntries(Object.entries(user).filter(([key]) => userKeys.test(key)));
}
