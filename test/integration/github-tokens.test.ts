import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { shareStandIn } from '../support/github/shared.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';

const never = new AbortController().signal;
let standIn: StandInGitHub;
shareStandIn((made) => (standIn = made));

test('each use has a token of its own, for one repository, with exactly its permissions, and gives it back', async () => {
  const seeded = await standIn.seedRepository({ private: true, files: { a: 'a' } });
  const issue = await seeded.createIssue({ as: 'acme-owner', title: 'x' });
  const { repository, records } = openPort(standIn, seeded);
  const before = standIn.tokens.length;

  await repository.permission('acme-owner');
  await repository.react({ kind: 'issue', id: issue }, 'eyes');
  await (await repository.cloneToken())[Symbol.asyncDispose]();

  const talk = {
    use: 'talk',
    repositories: [seeded.fullName],
    permissions: { issues: 'write', pull_requests: 'write', metadata: 'read' },
    revoked: true,
  };
  expect(records).toEqual([talk, talk, { use: 'read', repositories: [seeded.fullName], permissions: { contents: 'read', metadata: 'read' }, revoked: true }]);
  const minted = standIn.tokens.slice(before).map(({ repositories, permissions, revoked }) => ({ repositories, permissions, revoked }));
  expect(minted).toEqual(records.map(({ repositories, permissions, revoked }) => ({ repositories, permissions, revoked })));
});

test('a token is given back when its use throws, and when the run was stopped', async () => {
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const stop = new AbortController();
  const { repository, records } = openPort(standIn, seeded, { signal: stop.signal });

  await expect(repository.react({ kind: 'issue', id: 999 }, 'eyes')).rejects.toMatchObject({ code: 'github_refused' });
  standIn.fault({ path: /collaborators/, hang: true });
  const asked = repository.permission('ada');
  await expect.poll(() => standIn.faults.unused, { timeout: 20_000 }).toBe(0);
  stop.abort();

  await expect(asked).rejects.toMatchObject({ code: 'cancelled' });
  expect(records.map(({ revoked }) => revoked)).toEqual([true, true]);
  expect(standIn.tokens.every(({ revoked }) => revoked)).toBe(true);
});

test('giving tokens back takes no turn among writes, which are a second apart', async () => {
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const issue = await seeded.createIssue({ as: 'acme-owner', title: 'x' });
  const { repository, records } = openPort(standIn, seeded, { paced: true });
  const order: string[] = [];

  const reactions = ['eyes', 'rocket', 'confused', 'eyes'] as const;
  const writing = reactions.map(async (reaction) => {
    await repository.react({ kind: 'issue', id: issue }, reaction);
    order.push(reaction);
  });
  for (let count = 0; count < 5; count += 1) await repository.permission('acme-owner');
  order.push('read');
  await Promise.all(writing);

  expect(order.indexOf('read')).toBeLessThan(reactions.length);
  expect(records.map(({ revoked }) => revoked)).toEqual(Array.from({ length: 9 }, () => true));
});

test('a token that GitHub does not take back is recorded as alive after a bounded number of tries', async () => {
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const { repository, records, lines } = openPort(standIn, seeded);
  standIn.fault({ method: 'DELETE', path: /^\/installation\/token$/, status: 502, times: 3 });

  await repository.permission('ada');

  expect(records.at(-1)).toMatchObject({ revoked: false });
  expect(lines.join('')).toContain('token could not be revoked');
  standIn.fault({ method: 'DELETE', path: /^\/installation\/token$/, status: 502, times: 2 });
  await repository.permission('ada');
  expect(records.at(-1)).toMatchObject({ revoked: true });
  expect(standIn.faults.unused).toBe(0);
});

test('no token and no JWT reaches the log or an error', async () => {
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const { repository, lines } = openPort(standIn, seeded);
  const token = await repository.cloneToken();
  standIn.fault({ path: /collaborators/, status: 422, body: { message: `no ${token.value}` } });

  const failed: unknown = await repository.permission('ada').catch((error: unknown) => error);
  await token[Symbol.asyncDispose]();

  expect(token.value.length).toBeGreaterThan(480);
  expect(failed).toMatchObject({ code: 'github_refused' });
  expect(lines.length).toBeGreaterThan(5);
  expect(lines.join('')).not.toContain(token.value);
  expect(lines.join('')).not.toMatch(/eyJ[\w-]{20}/);
});

test('the delivery is in the user agent of every request of a run', async () => {
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const before = standIn.requests.length;

  await openPort(standIn, seeded, { deliveryId: '4f6c8d2e-11aa\r\nx: y' }).repository.permission('ada');

  const agents = standIn.requests.slice(before).filter(({ path }) => path !== '/app');
  expect(agents.map(({ userAgent }) => userAgent.split(' ', 2).join(' '))).toEqual(agents.map(() => 'mayfly delivery/4f6c8d2e-11aaxy'));
  expect(agents).toHaveLength(3);
});

test('credentials that GitHub does not take are told apart from a repository that is out of reach', async () => {
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const outside = await standIn.seedRepository({ files: { a: 'a' }, installed: false });
  const other = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const mint = async (port: ReturnType<typeof openPort>) => await port.repository.cloneToken();

  await expect(mint(openPort(standIn, seeded, { privateKey: other.privateKey }))).rejects.toMatchObject({ code: 'github_credentials' });
  await expect(openPort(standIn, seeded, { appId: 5 }).github.whoAmI(never)).rejects.toMatchObject({ code: 'github_credentials' });
  expect(() => openPort(standIn, seeded, { privateKey: 'not a key' })).toThrow(expect.objectContaining({ code: 'github_credentials' }));
  await expect(mint(openPort(standIn, outside))).rejects.toMatchObject({ code: 'repository_unreachable' });
  await expect(mint(openPort(standIn, { ...seeded, id: 4_242_424, name: 'gone' }))).rejects.toMatchObject({ code: 'repository_unreachable' });
  standIn.suspend(true);
  await expect(mint(openPort(standIn, seeded))).rejects.toMatchObject({ code: 'github_refused' });
  standIn.suspend(false);
  await expect(openPort(standIn, seeded).github.whoAmI(never)).resolves.toEqual({ slug: 'mayfly', appId: standIn.app.appId });
  await expect(openPort(standIn, seeded, { privateKey: standIn.app.privateKey.replaceAll('\n', '\\n') }).github.whoAmI(never)).resolves.toMatchObject({
    slug: 'mayfly',
  });
});

test('a permission that the installation was not granted is a refusal, not a missing repository', async () => {
  await using narrow = await createStandInGitHub({ permissions: { contents: 'read', metadata: 'read' } });
  const seeded = await narrow.seedRepository({ files: { a: 'a' } });

  await expect(openPort(narrow, seeded).repository.permission('ada')).rejects.toMatchObject({ code: 'github_refused' });
});

interface Asked {
  readonly path: string;
  readonly body: string;
}

/** A GitHub that answers as a test says, for what the stand-in rightly never does. */
async function serve(answer: (asked: Asked, request: IncomingMessage, response: ServerResponse) => void) {
  const seen: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const asked = { path: `${request.method} ${request.url}`, body: Buffer.concat(chunks).toString() };
      seen.push(asked);
      answer(asked, request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, [Symbol.asyncDispose]: close };
}

const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
  void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

test('a clock that goes wrong is corrected once from the Date of the refusal', async () => {
  const issuedAt = (request: IncomingMessage): number => {
    const [, payload = ''] = request.headers.authorization?.split('.') ?? [];
    return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iat: number }).iat;
  };
  const begunMs = Date.now();
  const theirsMs = begunMs - 400_000;
  const issued: number[] = [];
  await using late = await serve((_asked, request, response) => {
    issued.push(issuedAt(request));
    if (issued.length === 1)
      json(
        response,
        401,
        { message: "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued" },
        { date: new Date(theirsMs).toUTCString() },
      );
    else json(response, 200, { id: standIn.app.appId, slug: 'mayfly' });
  });

  await openPort(standIn, { id: 1, owner: 'o', name: 'r' }, { apiUrl: late.url }).github.whoAmI(never);

  expect(issued).toHaveLength(2);
  // How long it all took, and what whole seconds leave open.
  const toleranceSeconds = (Date.now() - begunMs) / 1000 + 5;
  for (const [index, atMs] of [begunMs, theirsMs].entries()) expect(Math.abs((issued[index] ?? 0) - (atMs / 1000 - 60))).toBeLessThan(toleranceSeconds);
});

test('a token that is wider than asked for is given back unused', async () => {
  await using generous = await serve((asked, _request, response) => {
    if (asked.path.endsWith('/access_tokens'))
      json(response, 201, { token: `ghs_${'x'.repeat(36)}`, expires_at: 'x', permissions: { contents: 'write', metadata: 'read' } });
    else response.writeHead(204).end();
  });
  const { repository, records } = openPort(standIn, { id: 77, owner: 'o', name: 'r' }, { apiUrl: generous.url });

  await expect(repository.cloneToken()).rejects.toMatchObject({ code: 'github_refused' });
  expect(generous.seen.map(({ path }) => path)).toEqual([`POST /app/installations/${standIn.app.installationId}/access_tokens`, 'DELETE /installation/token']);
  expect(JSON.parse(generous.seen[0]?.body ?? '')).toEqual({ repository_ids: [77], permissions: { contents: 'read' } });
  expect(records).toMatchObject([{ use: 'read', revoked: true }]);
});

test.each([
  ['429 with retry-after', 429, { 'retry-after': '7' }, 'slow down'],
  ['403 with retry-after', 403, { 'retry-after': '7' }, 'slow down'],
  ['403 with nothing left', 403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 60) }, 'API rate limit exceeded'],
  ['403 that only says so', 403, {}, 'You have exceeded a secondary rate limit.'],
])('a rate limit is waited for as long as it asks: %s', async (_name, status, headers, message) => {
  const at: number[] = [];
  await using limited = await serve((asked, _request, response) => {
    at.push(performance.now());
    if (at.length <= 2) json(response, status, { message }, headers);
    else json(response, 200, { id: 1, slug: asked.path.slice(5) });
  });

  await openPort(standIn, { id: 1, owner: 'o', name: 'r' }, { apiUrl: limited.url }).github.whoAmI(never);

  expect(at).toHaveLength(3);
  // A second of waiting is 10 ms here: 7 s, or the minute that GitHub asks for without a header.
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(55);
});

test.each([
  ['a limit that lasts longer than a worker should wait', 429, { 'retry-after': '3000' }, 1],
  ['a limit that does not end', 429, { 'retry-after': '1' }, 3],
  ['a server that is down', 503, {}, 3],
])('%s is left to the queue', async (_name, status, headers, requests) => {
  await using down = await serve((_asked, _request, response) => json(response, status, { message: 'no' }, headers));

  await expect(openPort(standIn, { id: 1, owner: 'o', name: 'r' }, { apiUrl: down.url }).github.whoAmI(never)).rejects.toMatchObject({
    code: 'github_unavailable',
  });
  expect(down.seen).toHaveLength(requests);
});

// The wait that is asked for is longer than the test may be.
test('a stop ends the wait for a rate limit at once', { timeout: 60_000 }, async () => {
  const stop = new AbortController();
  await using limited = await serve((_asked, _request, response) => {
    json(response, 429, { message: 'no' }, { 'retry-after': '80' });
    setImmediate(() => stop.abort());
  });

  await expect(openPort(standIn, { id: 1, owner: 'o', name: 'r' }, { apiUrl: limited.url, paced: true }).github.whoAmI(stop.signal)).rejects.toMatchObject({
    code: 'cancelled',
  });
});

test('a GitHub that never answers, or is not there, is unavailable in bounded time', async () => {
  await using silent = await serve(() => undefined);
  const who = async (apiUrl: string) => await openPort(standIn, { id: 1, owner: 'o', name: 'r' }, { apiUrl, requestTimeoutMs: 100 }).github.whoAmI(never);

  await expect(who(silent.url)).rejects.toMatchObject({ code: 'github_unavailable' });
  await expect(who('http://127.0.0.1:9')).rejects.toMatchObject({ code: 'github_unavailable' });
});
