/** Git over smart HTTP: real `git http-backend` over the bare repositories, with GitHub's answers to who may not. */
import { spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { covers, granted, hasRole, identify, roleOf } from './access.ts';
import { Refusal, type Caller, type StoredRepository, type World } from './world.ts';

const gitPath = /^\/([^/]+)\/([^/]+)\.git\/(info\/refs|git-upload-pack|git-receive-pack)$/;

export function isGitPath(path: string): boolean {
  return gitPath.test(path);
}

/** Answers one git request. Resolves with the status and the token's id when the answer has been sent. */
export async function serveGit(world: World, request: IncomingMessage, response: ServerResponse, url: URL): Promise<{ status: number; token: string | null }> {
  const [, owner = '', name = '', action = ''] = gitPath.exec(url.pathname) ?? [];
  const service = action === 'info/refs' ? url.searchParams.get('service') : action;
  let token: string | null = null;
  try {
    const caller = identifyGit(world, request);
    if (caller.kind === 'installation' || caller.kind === 'user') token = caller.token.id;
    const repository = world.repositories.get(`${owner}/${name}`);
    demandGit(world, caller, repository, service === 'git-receive-pack');
    return { status: await runBackend({ repository, caller, action, request, response, url }), token };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const challenge = error.reply.status === 401 ? { 'www-authenticate': 'Basic realm="GitHub"' } : {};
    response.writeHead(error.reply.status, { 'content-type': 'text/plain; charset=utf-8', ...challenge }).end(`${error.message}\n`);
    return { status: error.reply.status, token };
  }
}

function identifyGit(world: World, request: IncomingMessage): Caller {
  const header = request.headers.authorization;
  if (header !== undefined && !/^basic /i.test(header)) throw new Refusal(401, 'Invalid credentials');
  try {
    const caller = identify(world, header);
    if (caller.kind === 'app') throw new Refusal(401, 'Invalid credentials');
    return caller;
  } catch {
    throw new Refusal(401, 'Invalid username or token. Password authentication is not supported for Git operations.');
  }
}

/** Throws unless the caller may; afterwards the repository is known to exist. */
function demandGit(world: World, caller: Caller, repository: StoredRepository | undefined, push: boolean): asserts repository is StoredRepository {
  if (caller.kind === 'anonymous' && (push || !repository || repository.private)) throw new Refusal(401, 'Authentication required');
  if (!repository) throw new Refusal(404, 'Repository not found.');
  if (caller.kind === 'user') {
    if (roleOf(repository, caller.login) === 'none') throw new Refusal(404, 'Repository not found.');
    if (push && !hasRole(repository, caller.login, 'write')) {
      throw new Refusal(403, `Permission to ${repository.fullName}.git denied to ${caller.login}.`);
    }
  }
  if (caller.kind === 'installation') {
    const covered = covers(world, caller, repository) && !world.suspended;
    if (!covered && repository.private) throw new Refusal(404, 'Repository not found.');
    const enough = covered ? granted(caller, 'contents', push ? 'write' : 'read') : false;
    if (!enough && (push || repository.private)) throw new Refusal(403, 'Write access to repository not granted.');
  }
}

interface BackendCall {
  readonly repository: StoredRepository;
  readonly caller: Caller;
  readonly action: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
}

/** One CGI process per request (RFC 3875): request on stdin, headers and body on stdout. */
function runBackend(call: BackendCall): Promise<number> {
  const { request, response } = call;
  const child = spawn('git', ['http-backend'], { env: backendEnvironment(call), stdio: ['pipe', 'pipe', 'ignore'] });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let head = Buffer.alloc(0);
  let status = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    if (status !== 0) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    const headers = readHeaders(head.subarray(0, end).toString());
    status = Number(headers['status']?.slice(0, 3) ?? 200);
    delete headers['status'];
    response.writeHead(status, headers);
    response.write(head.subarray(end + 4));
  });
  child.stdin.on('error', () => undefined);
  child.on('error', reject);
  child.on('close', () => {
    if (status === 0) response.writeHead(500);
    response.end(() => resolve(status || 500));
  });
  response.on('close', () => {
    child.kill();
    resolve(status);
  });
  request.pipe(child.stdin);
  return promise;
}

function readHeaders(text: string): Record<string, string> {
  const lines = text.split('\r\n').map((line) => line.split(/:\s*/, 2) as [string, string]);
  return Object.fromEntries(lines.map(([name, value]) => [name.toLowerCase(), value]));
}

function backendEnvironment({ repository, caller, action, request, url }: BackendCall): Record<string, string> {
  const header = (name: string): string => String(request.headers[name] ?? '');
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_PROJECT_ROOT: repository.git.directory,
    GIT_HTTP_EXPORT_ALL: '1',
    GIT_PROTOCOL: header('git-protocol'),
    PATH_INFO: `/${action}`,
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method ?? 'GET',
    CONTENT_TYPE: header('content-type'),
    HTTP_CONTENT_ENCODING: header('content-encoding'),
    ...(request.headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: header('content-length') }),
    REMOTE_USER: caller.kind === 'user' ? caller.login : 'x-access-token',
    STAND_IN_PROTECTED: [...repository.protectedBranches].map((branch) => `refs/heads/${branch}`).join(' '),
    STAND_IN_WORKFLOWS: granted(caller, 'workflows', 'write') ? 'yes' : 'no',
  };
}
