/** Issues, labels, comments and reactions: the emulator keeps them, this says who may and fills in what it lacks. */
import { hasRole } from './access.ts';
import { actorLogin, invalid, iso, notFound, paginate, Refusal, type Call, type Json, type Reply } from './world.ts';

/** The same request to the emulator, in the name of whoever called. */
export async function forward(call: Call, body: Json = call.body): Promise<Reply> {
  const { world, caller, repository } = call;
  const as = caller.kind === 'anonymous' ? world.emulator.ownerOf(repository.owner) : actorLogin(world, caller);
  // The emulator cannot do without a body where GitHub can.
  const sent = body ?? (call.method === 'PUT' || call.method === 'PATCH' ? {} : undefined);
  const reply = await world.emulator.call(call.method, call.target, { as, ...(sent === undefined ? {} : { body: sent }) });
  if (reply.status < 400) return reply;
  return { ...reply, body: { message: reply.body?.message ?? 'Error', documentation_url: 'https://docs.github.com/rest', status: String(reply.status) } };
}

const maxBodyCharacters = 65_536;

/** GitHub's limit on what people and Apps write. */
function refuseLongBody(resource: string, body: Json): void {
  if ([...(body?.body ?? '')].length <= maxBodyCharacters) return;
  throw invalid(resource, { code: 'unprocessable', field: 'data', message: `Body is too long (maximum is ${maxBodyCharacters} characters)` });
}

function mayTriage(call: Call): boolean {
  return call.caller.kind === 'installation' || (call.caller.kind === 'user' && hasRole(call.repository, call.caller.login, 'triage'));
}

/** Who may only report gets the issue, without the labels: GitHub drops them in silence. */
export async function createIssue(call: Call): Promise<Reply> {
  refuseLongBody('Issue', call.body);
  const { title, body } = call.body;
  return forward(call, mayTriage(call) ? call.body : { title, ...(body === undefined ? {} : { body }) });
}

/** An issue or, as GitHub has it, a pull request by the same number. Null when there is neither. */
export async function issueBody(call: Pick<Call, 'world' | 'repository'>, number: number | string): Promise<Json> {
  const { world, repository } = call;
  const as = world.emulator.ownerOf(repository.owner);
  const issue = await world.emulator.call('GET', `/repos/${repository.fullName}/issues/${number}`, { as });
  if (issue.status === 200) return issue.body;
  const pull = await world.emulator.call('GET', `/repos/${repository.fullName}/pulls/${number}`, { as });
  return pull.status === 200 ? pullAsIssue(pull.body) : null;
}

const sharedKeys = [
  'id',
  'node_id',
  'number',
  'title',
  'user',
  'labels',
  'state',
  'locked',
  'assignee',
  'assignees',
  'milestone',
  'comments',
  'body',
  'author_association',
];
const laterKeys = ['created_at', 'updated_at', 'closed_at', 'html_url', 'draft'];

function pullAsIssue(pull: Json): Json {
  const url = pull.issue_url;
  return {
    ...Object.fromEntries([...sharedKeys, ...laterKeys].map((key) => [key, pull[key]])),
    closed_by: null,
    active_lock_reason: null,
    state_reason: null,
    url,
    repository_url: url.replace(/\/issues\/\d+$/, ''),
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    timeline_url: `${url}/timeline`,
    pull_request: { url: pull.url, html_url: pull.html_url, diff_url: pull.diff_url, patch_url: pull.patch_url, merged_at: pull.merged_at },
    reactions: { url: `${url}/reactions`, total_count: 0, '+1': 0, '-1': 0, laugh: 0, hooray: 0, confused: 0, heart: 0, rocket: 0, eyes: 0 },
    performed_via_github_app: null,
  };
}

export async function readIssue(call: Call): Promise<Reply> {
  const body = await issueBody(call, call.params['issue_number'] ?? '');
  if (!body) throw notFound();
  return { status: 200, body };
}

/** GitHub's list of issues has the pull requests in it; the emulator's has not. */
export async function listIssues(call: Call): Promise<Reply> {
  const { query } = call;
  const filters = new URLSearchParams([...query].filter(([name]) => !['page', 'per_page'].includes(name)));
  const issues = await everything(call, `issues?${filters.toString()}`);
  const pulls = (await everything(call, `pulls?state=${query.get('state') ?? 'open'}`)).map(pullAsIssue);
  const labels = (query.get('labels') ?? '').split(',').filter(Boolean);
  const fits = (item: Json): boolean =>
    labels.every((name) => item.labels.some((label: Json) => label.name === name)) && [null, item.user?.login].includes(query.get('creator'));
  const key = `${query.get('sort') ?? 'created'}_at`;
  const direction = query.get('direction') === 'asc' ? 1 : -1;
  const order = (one: Json, other: Json): number => direction * (String(one[key]).localeCompare(String(other[key])) || one.number - other.number);
  return paginate([...issues, ...pulls.filter(fits)].toSorted(order), call);
}

async function everything({ world, repository }: Call, list: string): Promise<Json[]> {
  const found: Json[] = [];
  for (let page = 1; ; page += 1) {
    const target = `/repos/${repository.fullName}/${list}&per_page=100&page=${page}`;
    const reply = await world.emulator.call('GET', target, { as: world.emulator.ownerOf(repository.owner) });
    found.push(...reply.body);
    if (reply.body.length < 100) return found;
  }
}

export async function updateIssue(call: Call): Promise<Reply> {
  refuseLongBody('Issue', call.body);
  const issue = await issueBody(call, call.params['issue_number'] ?? '');
  if (!issue) throw notFound();
  if (!mayTriage(call) && issue.user?.login !== actorLogin(call.world, call.caller)) throw new Refusal(403, 'Must have admin rights to Repository.');
  const { title, body, state, state_reason } = call.body;
  const own = Object.fromEntries(Object.entries({ title, body, state, state_reason }).filter(([, value]) => value !== undefined));
  if (!issue.pull_request) return forward(call, mayTriage(call) ? call.body : own);
  const reply = await forward({ ...call, target: call.target.replace('/issues/', '/pulls/') }, own);
  const pull = call.repository.pulls.get(issue.number);
  if (pull && reply.status === 200) pull.open = reply.body.state === 'open';
  return reply.status === 200 ? { ...reply, body: pullAsIssue(reply.body) } : reply;
}

export async function createComment(call: Call): Promise<Reply> {
  refuseLongBody('IssueComment', call.body);
  const issue = await issueBody(call, call.params['issue_number'] ?? '');
  if (!issue) throw notFound();
  const writer = call.caller.kind === 'installation' || (call.caller.kind === 'user' && hasRole(call.repository, call.caller.login, 'write'));
  if (issue.locked && !writer) throw new Refusal(403, 'Unable to create comment because issue is locked.');
  return forward(call);
}

/** PATCH and DELETE of a comment: the author, or someone with write access. An App with the permission may edit any. */
export async function changeComment(call: Call): Promise<Reply> {
  refuseLongBody('IssueComment', call.body);
  const { world, repository, caller } = call;
  const found = await world.emulator.call('GET', `/repos/${repository.fullName}/issues/comments/${call.params['comment_id']}`, {
    as: world.emulator.ownerOf(repository.owner),
  });
  if (found.status !== 200) throw notFound();
  const writer = caller.kind === 'installation' || (caller.kind === 'user' && hasRole(repository, caller.login, 'write'));
  if (!writer && found.body.user.login !== actorLogin(world, caller)) throw new Refusal(403, 'Must have admin rights to Repository.');
  return forward(call);
}

/** DELETE of one label: GitHub's own words when the issue does not carry it. */
export async function removeLabel(call: Call): Promise<Reply> {
  const reply = await forward(call);
  if (reply.status === 404 && (await issueBody(call, call.params['issue_number'] ?? ''))) throw new Refusal(404, 'Label does not exist');
  return reply;
}

async function reactionKey(call: Call): Promise<string> {
  const { world, repository, params } = call;
  if (params['issue_number'] !== undefined) {
    if (!(await issueBody(call, params['issue_number']))) throw notFound();
    return `issue/${params['issue_number']}`;
  }
  if (call.target.includes('/pulls/comments/')) {
    if (!repository.reviewComments.has(Number(params['comment_id']))) throw notFound();
    return `review-comment/${params['comment_id']}`;
  }
  const found = await world.emulator.call('GET', `/repos/${repository.fullName}/issues/comments/${params['comment_id']}`, {
    as: world.emulator.ownerOf(repository.owner),
  });
  if (found.status !== 200) throw notFound();
  return `comment/${params['comment_id']}`;
}

/** 201 the first time, 200 with the same reaction after that. */
export async function createReaction(call: Call): Promise<Reply> {
  const { world, repository } = call;
  const key = await reactionKey(call);
  const login = actorLogin(world, call.caller);
  const list = repository.reactions.get(key) ?? [];
  const existing = list.find((reaction) => reaction.content === call.body.content && reaction.user.login === login);
  if (existing) return { status: 200, body: existing };
  const user = await world.emulator.call('GET', `/users/${encodeURIComponent(login)}`, { as: world.emulator.ownerOf(repository.owner) });
  const id = world.nextId();
  const reaction = {
    id,
    node_id: Buffer.from(`Reaction:${id}`).toString('base64url'),
    user: user.body,
    content: call.body.content,
    created_at: iso(world.now()),
  };
  repository.reactions.set(key, [...list, reaction]);
  return { status: 201, body: reaction };
}

export async function listReactions(call: Call): Promise<Reply> {
  const wanted = call.query.get('content');
  const list = call.repository.reactions.get(await reactionKey(call)) ?? [];
  return paginate(
    list.filter((reaction) => wanted === null || reaction.content === wanted),
    call,
  );
}

export async function deleteReaction(call: Call): Promise<Reply> {
  const key = await reactionKey(call);
  const list = call.repository.reactions.get(key) ?? [];
  const found = list.find((reaction) => reaction.id === Number(call.params['reaction_id']));
  if (!found) throw notFound();
  if (found.user.login !== actorLogin(call.world, call.caller)) throw new Refusal(403, 'Must have admin rights to Repository.');
  call.repository.reactions.set(
    key,
    list.filter((reaction) => reaction !== found),
  );
  return { status: 204 };
}
