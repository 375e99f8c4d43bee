/** Small operations that the emulator lacks, or answers from a git of its own. */
import { endOfOwnSuite, runsOf } from './actions.ts';
import type { BareCall } from './app-routes.ts';
import { granted } from './access.ts';
import { longCommit } from './git-files.ts';
import { forward } from './issues.ts';
import type { RateLimits } from './rate-limits.ts';
import { actorLogin, callerId, iso, notAccessible, notFound, paginate, Refusal, type Call, type Json, type Reply } from './world.ts';

export async function readMeta(): Promise<Reply> {
  return { status: 200, body: { verifiable_password_authentication: false, hooks: ['127.0.0.0/8'] } };
}

export async function readRateLimit({ caller }: BareCall, rateLimits: RateLimits): Promise<Reply> {
  const headers = rateLimits.headers(callerId(caller));
  const read = (name: string): number => Number(headers[`x-ratelimit-${name}`]);
  const core = { limit: read('limit'), remaining: read('remaining'), used: read('used'), reset: read('reset') };
  return { status: 200, body: { resources: { core, search: core }, rate: core } };
}

async function userReply(world: BareCall['world'], login: string): Promise<Reply> {
  const reply = await world.emulator.call('GET', `/users/${encodeURIComponent(login)}`, { as: world.emulator.ownerOf(world.app.account) });
  if (reply.status !== 200) throw notFound();
  return reply;
}

export async function readUser({ world, params }: BareCall): Promise<Reply> {
  return userReply(world, params['username'] ?? '');
}

export async function readSelf({ world, caller }: BareCall): Promise<Reply> {
  if (caller.kind !== 'user') throw notAccessible();
  return userReply(world, caller.login);
}

export async function readBranch(call: Call): Promise<Reply> {
  const { repository, world } = call;
  const name = call.params['branch'] ?? '';
  const sha = await repository.git.resolve(`refs/heads/${name}`);
  if (sha === null) throw new Refusal(404, 'Branch not found');
  const self = `${world.url}/repos/${repository.fullName}/branches/${name}`;
  const fixed = repository.protectedBranches.has(name);
  const protection = { enabled: fixed, required_status_checks: { enforcement_level: fixed ? 'everyone' : 'off', contexts: [], checks: [] } };
  const links = { self, html: `${world.url}/${repository.fullName}/tree/${name}` };
  return {
    status: 200,
    body: { name, commit: await longCommit(repository, sha, world.url), _links: links, protected: fixed, protection, protection_url: `${self}/protection` },
  };
}

/** Nobody here can define a ruleset, so there is none; protected branches are of the classic kind. */
export async function listRulesets(call: Call): Promise<Reply> {
  return paginate([], call);
}

export async function branchRules(call: Call): Promise<Reply> {
  return paginate([], call);
}

/** GitHub starts workflows from it; there are none here, so it is only counted by the recorder. */
export async function dispatch(): Promise<Reply> {
  return { status: 204 };
}

export async function createStatus(call: Call): Promise<Reply> {
  const { world, repository, body } = call;
  const sha = call.params['sha'] ?? '';
  if ((await repository.git.type(sha)) !== 'commit') throw new Refusal(422, `No commit found for SHA: ${sha}`);
  const creator = await userReply(world, actorLogin(world, call.caller));
  const at = iso(world.now());
  const { state, target_url = null, description = null, context = 'default' } = body;
  const id = world.nextId();
  const url = `${world.url}/repos/${repository.fullName}/statuses/${sha}`;
  const status = {
    url,
    avatar_url: null,
    id,
    node_id: `Status${id}`,
    state,
    description,
    target_url,
    context,
    created_at: at,
    updated_at: at,
    creator: creator.body,
  };
  repository.statuses.set(sha, [status, ...(repository.statuses.get(sha) ?? [])]);
  return { status: 201, body: status };
}

async function statusesOf(call: Call): Promise<{ sha: string; list: Json[] }> {
  const sha = await call.repository.git.resolve(call.params['ref'] ?? '');
  if (sha === null) throw notFound();
  return { sha, list: call.repository.statuses.get(sha) ?? [] };
}

export async function listStatuses(call: Call): Promise<Reply> {
  return paginate((await statusesOf(call)).list, call);
}

export async function combinedStatus(call: Call): Promise<Reply> {
  const { sha, list } = await statusesOf(call);
  const latest = list.filter((status, at) => list.findIndex((other) => other.context === status.context) === at);
  const states = new Set(latest.map(({ state }) => state));
  const state = states.has('failure') || states.has('error') ? 'failure' : states.has('pending') || latest.length === 0 ? 'pending' : 'success';
  const url = `${call.world.url}/repos/${call.repository.fullName}/commits/${sha}`;
  return { status: 200, body: { state, statuses: latest, sha, total_count: latest.length, repository: {}, commit_url: url, url: `${url}/status` } };
}

/** Only an App writes check runs, and only on a commit that exists. */
export async function createCheck(call: Call): Promise<Reply> {
  if (call.caller.kind !== 'installation' || !granted(call.caller, 'checks', 'write')) {
    throw new Refusal(403, 'You must authenticate via a GitHub App.');
  }
  const { git, checks } = call.repository;
  const sha = call.body.head_sha;
  if ((await git.type(sha)) !== 'commit') throw new Refusal(422, `No commit found for SHA: ${sha}`);
  const reply = await forward(call);
  if (reply.status !== 201) return reply;
  checks.set(sha, [...(checks.get(sha) ?? []), reply.body.id]);
  return { ...reply, events: endOfOwnSuite(call, reply.body) };
}

export async function updateCheck(call: Call): Promise<Reply> {
  const reply = await forward(call);
  return reply.status === 200 ? { ...reply, events: endOfOwnSuite(call, reply.body) } : reply;
}

export async function listChecks(call: Call): Promise<Reply> {
  const { repository, query } = call;
  const sha = await repository.git.resolve(call.params['ref'] ?? '');
  if (sha === null) throw notFound();
  const read = async (id: number): Promise<Json> => (await forward({ ...call, target: `/repos/${repository.fullName}/check-runs/${id}` })).body;
  const all = [...(await Promise.all((repository.checks.get(sha) ?? []).toReversed().map(read))), ...runsOf(call.world, repository, sha)];
  const name = query.get('check_name');
  const fits = all.filter(
    (check, at) => (name === null || check.name === name) && (query.get('filter') === 'all' || all.findIndex((other) => other.name === check.name) === at),
  );
  const page = paginate(fits, call);
  return { ...page, body: { total_count: fits.length, check_runs: page.body } };
}

export async function listReviewers(call: Call): Promise<Reply> {
  const pull = await forward({ ...call, target: call.target.replace('/requested_reviewers', '') });
  if (pull.status !== 200) return pull;
  return { status: 200, body: { users: pull.body.requested_reviewers, teams: pull.body.requested_teams } };
}
