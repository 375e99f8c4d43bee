/**
 * The HTTP face of the stand-in. Every API request passes, in this order: scripted faults, authentication, GitHub's
 * OpenAPI description, the route table, who may, rate limit, the work itself, webhooks, the answer. All of it is recorded.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { demand, identify } from './access.ts';
import { readLog } from './actions.ts';
import { changesBetween, look, type Moment, type Subject } from './events.ts';
import type { Fault, Faults } from './faults.ts';
import { isGitPath, serveGit } from './git-http.ts';
import { readArchive } from './git-files.ts';
import { answerThreads, graphqlProblems } from './graphql.ts';
import type { Description } from './openapi.ts';
import { announceBranches, emitChanges } from './pushes.ts';
import type { RateLimits } from './rate-limits.ts';
import { isRegistrationPath, type Registrations } from './registrations.ts';
import type { Route } from './routes.ts';
import { correct } from './shapes.ts';
import type { Webhooks } from './webhooks.ts';
import { callerId, notFound, Refusal, type Call, type Caller, type Json, type Reply, type World } from './world.ts';

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  /** The id of the token in `standIn.tokens`; `app` for an App JWT, null for nobody. Never the value. */
  readonly token: string | null;
  readonly status: number | null;
  readonly fault: boolean;
  readonly userAgent: string;
}

export interface FrontParts {
  readonly world: World;
  readonly description: Description;
  readonly routes: ReadonlyMap<string, Route>;
  readonly faults: Faults;
  readonly webhooks: Webhooks;
  readonly rateLimits: RateLimits;
  readonly registrations: Registrations;
  readonly requests: RecordedRequest[];
  readonly violations: string[];
}

const maxRequestBytes = 64 * 1024 * 1024;

/** A server that is listening already, so that its address can be put into everything that it will say. */
export function createFront(parts: () => FrontParts): Server {
  return createServer((request, response) => {
    handle(parts(), request, response).catch((error: unknown) => {
      parts().violations.push(
        `${request.method} ${request.url}: the stand-in failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'application/json' });
      response.end('{"message":"Server Error"}');
    });
  });
}

async function handle(parts: FrontParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', parts.world.url);
  const method = request.method ?? 'GET';
  const fault = parts.faults.take(method, url.pathname);
  const record = (token: string | null, status: number | null): void => {
    parts.requests.push({ method, path: url.pathname, token, status, fault: fault !== undefined, userAgent: request.headers['user-agent'] ?? '' });
  };
  if (fault && !fault.afterSuccess) {
    record(null, fault.status ?? null);
    return misbehave(fault, response);
  }
  if (isGitPath(url.pathname)) {
    const { status, token } = await serveGit(parts.world, request, response, url);
    await afterPush(parts, request, url, status);
    return record(token, status);
  }
  const body = await readBody(request);
  if (isRegistrationPath(url.pathname)) return record(null, parts.registrations.serve({ method, url, type: request.headers['content-type'], body }, response));
  const { reply, caller } = await answer(parts, { method, url, request, body });
  record(callerId(caller), fault?.status ?? reply.status);
  if (fault) return misbehave(fault, response);
  send(parts, caller, reply, response);
}

/** Hang: the connection stays open and silent until the client or `close()` ends it. */
function misbehave(fault: Fault, response: ServerResponse): void {
  if (fault.hang) return;
  if (fault.reset) return void response.destroy();
  const body = typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? { message: 'Scripted fault' });
  response.writeHead(fault.status ?? 502, { 'content-type': 'application/json; charset=utf-8', ...fault.headers }).end(body);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= maxRequestBytes) chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

interface Incoming {
  readonly method: string;
  readonly url: URL;
  readonly request: IncomingMessage;
  readonly body: Buffer;
}

async function answer(parts: FrontParts, incoming: Incoming): Promise<{ reply: Reply; caller: Caller }> {
  let caller: Caller = { kind: 'anonymous' };
  try {
    if (incoming.url.pathname.startsWith('/codeload/')) return { caller, reply: await readArchive(parts.world, incoming.url.pathname.split('/')[2] ?? '') };
    if (incoming.url.pathname.startsWith('/job-logs/')) {
      return { caller, reply: readLog(parts.world, incoming.url.pathname.split('/')[2] ?? '', incoming.request.headers.authorization) };
    }
    caller = identify(parts.world, incoming.request.headers.authorization);
    return { caller, reply: await route(parts, incoming, caller) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { caller, reply: error.reply };
  }
}

async function route(parts: FrontParts, incoming: Incoming, caller: Caller): Promise<Reply> {
  const { world, description, routes, violations } = parts;
  const { method, url } = incoming;
  const name = `${method} ${url.pathname}`;
  if (name === 'POST /graphql') return await askGraphql(parts, incoming, caller);
  // The root directory is the one path that GitHub takes and its description does not.
  const operation = description.match(method, url.pathname.replace(/\/contents\/?$/, '/contents/.'));
  if (!operation) {
    violations.push(`${name}: GitHub's description has no such operation`);
    throw notFound();
  }
  const body = parseBody(incoming.body);
  const problems = operation.problems(url.searchParams, body);
  if (problems.length > 0) {
    violations.push(...problems.map((problem) => `${name}: ${problem}`));
    throw new Refusal(422, 'Invalid request.\n\n' + problems.join('\n'), { errors: problems });
  }
  const found = routes.get(operation.key);
  if (!found) {
    violations.push(`${name}: the stand-in has no ${operation.key}`);
    throw new Refusal(501, `The stand-in has no ${operation.key}`);
  }
  parts.rateLimits.spend(callerId(caller));
  const accept = incoming.request.headers.accept ?? '';
  const call = { method, target: url.pathname + url.search, params: operation.params, query: url.searchParams, accept, body, caller, world };
  if (found.as === 'repository') return inRepository(parts, found, call);
  if (found.as === 'app' && caller.kind !== 'app') throw new Refusal(401, 'A JSON web token could not be decoded');
  if (found.as === 'token' && caller.kind === 'anonymous') throw new Refusal(401, 'Requires authentication');
  if (found.as === 'token' && caller.kind === 'app') throw new Refusal(401, 'A JSON web token could not be decoded');
  const reply = await found.answer(call);
  return { ...reply, body: await correct(world, caller, reply.body) };
}

async function askGraphql(parts: FrontParts, { url, body: bytes }: Incoming, caller: Caller): Promise<Reply> {
  const { world, violations } = parts;
  const body = parseBody(bytes);
  const problems = graphqlProblems(body);
  violations.push(...problems.map((problem) => `POST /graphql: ${problem}`));
  if (problems.length > 0) throw new Refusal(422, problems.join('\n'));
  parts.rateLimits.spend(callerId(caller));
  const repository = world.repositories.get(`${body.variables.owner}/${body.variables.repo}`);
  if (!repository) throw notFound();
  demand(world, caller, repository, { any: ['pull_requests'], level: 'read' });
  return await answerThreads({ method: 'POST', target: url.pathname, params: {}, query: url.searchParams, accept: '', body, caller, world, repository });
}

function parseBody(bytes: Buffer): Json {
  if (bytes.length === 0) return undefined;
  if (bytes.length > maxRequestBytes) throw new Refusal(413, 'Payload too large');
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new Refusal(400, 'Problems parsing JSON');
  }
}

async function inRepository(parts: FrontParts, found: Route & { as: 'repository' }, bare: Omit<Call, 'repository'>): Promise<Reply> {
  const { world } = parts;
  const repository = world.repositories.get(`${bare.params['owner']}/${bare.params['repo']}`);
  if (!repository) throw notFound();
  demand(world, bare.caller, repository, found.need);
  const call: Call = { ...bare, repository };
  if (/\/(?:git|commits)(?:\/|$)/.test(bare.target) && (await repository.git.refs('refs/heads')).length === 0)
    throw new Refusal(409, 'Git Repository is empty.');
  if (call.method === 'GET') return corrected(call, await found.answer(call));
  const before = await momentOf(call, null);
  const reply = await corrected(call, await found.answer(call));
  if (reply.status < 300) await announce(parts, call, before, reply);
  return reply;
}

async function corrected(call: Call, reply: Reply): Promise<Reply> {
  return { ...reply, body: await correct(call.world, call.caller, reply.body) };
}

/** What a write is about: from its path, and for a creation from its answer. */
function subjectOf({ params, target }: Call, reply: Reply | null): Subject {
  const comments = /\/issues\/(?:\d+\/)?comments/.test(target);
  const created = reply?.status === 201 ? reply.body : null;
  const number = params['issue_number'] ?? params['pull_number'] ?? created?.number;
  const commentId = params['comment_id'] ?? (comments ? created?.id : undefined);
  return { number: number === undefined ? null : Number(number), commentId: commentId === undefined ? null : Number(commentId) };
}

async function momentOf(call: Call, reply: Reply | null): Promise<Moment> {
  if (/\/reactions/.test(call.target) || !/\/(?:issues|pulls)/.test(call.target)) return { issue: null, pull: null, comment: null };
  return look(call.world, call.repository, subjectOf(call, reply));
}

async function announce(parts: FrontParts, call: Call, before: Moment, reply: Reply): Promise<void> {
  if (reply.events) return emitChanges(parts, call.repository, call.caller, await correct(call.world, null, reply.events));
  if (call.target.includes('/git/refs')) return announceBranches(parts, call.repository, call.caller);
  const after = await momentOf(call, reply);
  await emitChanges(parts, call.repository, call.caller, changesBetween(before, after));
}

async function afterPush(parts: FrontParts, request: IncomingMessage, url: URL, status: number): Promise<void> {
  if (!url.pathname.endsWith('/git-receive-pack') || status !== 200) return;
  const repository = parts.world.repositories.get(url.pathname.slice(1, url.pathname.lastIndexOf('.git/')));
  if (repository) await announceBranches(parts, repository, identify(parts.world, request.headers.authorization));
}

function send(parts: FrontParts, caller: Caller, reply: Reply, response: ServerResponse): void {
  const raw = Buffer.isBuffer(reply.body);
  const body = reply.body === undefined ? '' : raw ? reply.body : JSON.stringify(reply.body);
  const limits = parts.rateLimits.headers(callerId(caller));
  const type = reply.body === undefined || raw ? {} : { 'content-type': 'application/json; charset=utf-8' };
  const standard = {
    date: new Date(parts.world.now()).toUTCString(),
    'x-github-media-type': 'github.v3; format=json',
    'x-github-request-id': `STAND:IN:${parts.requests.length}`,
    ...limits,
  };
  response.writeHead(reply.status, { ...standard, ...type, ...reply.headers }).end(body);
}
