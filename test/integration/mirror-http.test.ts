import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import { aPublishRequest, openPort } from '../support/github-port.ts';
import { createFolder, createGitRepository } from '../support/git-repository.ts';

const never = new AbortController().signal;
const log = pino({ level: 'silent' });
const folder = createFolder();
afterAll(() => folder[Symbol.dispose]());

const open = (directory: string) => createMirrors({ directory, log, reserveBytes: 0 });

/** An HTTP server that a test writes the answers of. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths, [Symbol.asyncDispose]: close };
}

/** Every process of this machine, as one text of arguments. */
function commandLines(): string {
  const read = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      return '';
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(read)
    .join('\n');
}

function filesBelow(directory: string): string {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => `${entry.name}\n${readFileSync(join(entry.parentPath, entry.name), 'latin1')}`).join('\n');
}

test.each(['jwt', 'short'] as const)('a private repository is fetched with a token (%s) that opens nothing after it was given back', async (tokenFormat) => {
  await using standIn = await createStandInGitHub({ tokenFormat });
  using cache = createFolder();
  const seeded = await standIn.seedRepository({ private: true, files: { a: 'one' } });
  const { repository } = openPort(standIn, seeded);
  const mirrors = open(cache.path);
  const token = await repository.cloneToken();

  const first = await mirrors.fetch({ url: repository.cloneUrl, token: token.value, ref: 'main' }, never);
  await seeded.commit({ message: 'two', files: { a: 'two' } });
  const second = await mirrors.fetch({ url: repository.cloneUrl, token: token.value, ref: null }, never);
  await token[Symbol.asyncDispose]();

  expect((await first.readFile('a', 10, never))?.toString()).toBe('one');
  expect((await second.readFile('a', 10, never))?.toString()).toBe('two');
  // The mirror has the commit; without a token that opens the repository it is not handed out.
  for (const value of [token.value, null]) {
    await expect(mirrors.fetch({ url: repository.cloneUrl, token: value, ref: 'main' }, never)).rejects.toMatchObject({ code: 'repository_unreachable' });
  }
  expect(filesBelow(cache.path)).not.toContain(token.value);
});

test('of two runs in one repository the first gives its token back, and the second still fetches and publishes', async () => {
  await using standIn = await createStandInGitHub();
  using cache = createFolder();
  const seeded = await standIn.seedRepository({ private: true, files: { 'a.txt': 'a' } });
  const [one, two] = [openPort(standIn, seeded, { deliveryId: 'one' }), openPort(standIn, seeded, { deliveryId: 'two' })];
  const mirrors = open(cache.path);
  const [firstToken, secondToken] = await Promise.all([one.repository.cloneToken(), two.repository.cloneToken()]);
  const source = { url: one.repository.cloneUrl, ref: 'main' };

  expect(firstToken.value).not.toBe(secondToken.value);
  await mirrors.fetch({ ...source, token: firstToken.value }, never);
  await firstToken[Symbol.asyncDispose]();
  await seeded.commit({ message: 'more', files: { 'b.txt': 'b' } });
  const snapshot = await mirrors.fetch({ ...source, token: secondToken.value }, never);
  await secondToken[Symbol.asyncDispose]();
  const published = await two.repository.publish(aPublishRequest(snapshot.sha));

  expect(published).toMatchObject({ draft: true, branch: 'mayfly/issue-7' });
  expect([...one.records, ...two.records].every(({ revoked }) => revoked)).toBe(true);
  expect(standIn.tokens.every(({ revoked }) => revoked)).toBe(true);
});

test('two runs that fetch at the same moment have one mirror and no failure', async () => {
  await using standIn = await createStandInGitHub();
  using cache = createFolder();
  const seeded = await standIn.seedRepository({ private: true, files: { a: randomBytes(200_000) } });
  const fetch = async () => {
    const { repository } = openPort(standIn, seeded);
    await using token = await repository.cloneToken();
    return await open(cache.path).fetch({ url: repository.cloneUrl, token: token.value, ref: 'main' }, never);
  };

  const shas = await Promise.all([fetch(), fetch(), fetch()]);

  expect(new Set(shas.map(({ sha }) => sha)).size).toBe(1);
});

test.each([
  `ghs_${randomBytes(18).toString('hex')}`,
  `ghs_314159_${randomBytes(190).toString('base64url')}.${randomBytes(90).toString('base64url')}.${randomBytes(90).toString('base64url')}`,
])('while a server keeps git waiting, the token is in no argument and in no file', async (token) => {
  using cache = createFolder();
  const stop = new AbortController();
  const basic = Buffer.from(`x-access-token:${token}`).toString('base64');
  const asked = Promise.withResolvers<string>();
  await using slow = await serve((request) => asked.resolve(String(request.headers.authorization)));
  const fetched = open(cache.path).fetch({ url: `${slow.url}/o/r.git`, token, ref: null }, stop.signal);
  const failed = fetched.catch((error: unknown) => error);

  expect(await asked.promise).toBe(`Basic ${basic}`);
  const seen = commandLines() + filesBelow(cache.path);
  stop.abort();

  expect(await failed).toMatchObject({ code: 'cancelled' });
  expect(seen).toContain('ls-remote');
  expect(seen).not.toContain(token);
  expect(seen).not.toContain(basic.slice(0, 40));
  // The helper that speaks HTTP ends with git.
  await expect.poll(commandLines).not.toContain(`${slow.url}/o/r.git`);
});

test('a token is sent to its own repository only, and no redirect is followed', async () => {
  using cache = createFolder();
  await using elsewhere = await serve((_request, response) => response.end());
  await using server = await serve((request, response) => response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end());

  const fetched = open(cache.path).fetch({ url: `${server.url}/o/r.git`, token: 'ghs_secretsecretsecret', ref: null }, never);

  await expect(fetched).rejects.toMatchObject({ code: 'repository_unreachable' });
  expect(elsewhere.paths).toEqual([]);
  expect(server.paths.length).toBeGreaterThan(0);
});

test('an answer that repeats the token does not bring it into the error', async () => {
  using cache = createFolder();
  const token = `ghs_${randomBytes(18).toString('hex')}`;
  await using server = await serve((request, response) => {
    const basic = String(request.headers.authorization).split(' ')[1] ?? '';
    const text = `ERR you sent ${token} as ${basic}`;
    const packet = `${(text.length + 4).toString(16).padStart(4, '0')}${text}`;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' }).end(`001e# service=git-upload-pack\n0000${packet}`);
  });

  const failed: unknown = await open(cache.path)
    .fetch({ url: `${server.url}/o/r.git`, token, ref: null }, never)
    .catch((error: unknown) => error);

  expect(JSON.stringify((failed as { details: unknown }).details)).toContain('you sent [secret] as [secret]');
  expect(failed).toMatchObject({ code: 'repository_unreachable' });
});

test('a stop in the middle of a fetch ends every process, and the next fetch works', async () => {
  await using standIn = await createStandInGitHub();
  using cache = createFolder();
  const seeded = await standIn.seedRepository({ files: { a: 'a' } });
  const stop = new AbortController();
  const source = { url: seeded.cloneUrl, token: null, ref: 'main' };
  // The second POST of protocol 2 is the pack itself.
  standIn.fault({ method: 'POST', path: /git-upload-pack$/, times: 2, hang: true });
  const asked = standIn.faults.unused;
  const failed = open(cache.path)
    .fetch(source, stop.signal)
    .catch((error: unknown) => error);
  await expect.poll(() => asked - standIn.faults.unused).toBe(1);
  stop.abort();

  expect(await failed).toMatchObject({ code: 'cancelled' });
  await expect.poll(commandLines).not.toContain(source.url);
  standIn.faults.clear();
  expect((await open(cache.path).fetch(source, never)).sha).toBe((await seeded.branches())['main']);
});

const tiny = join(folder.path, 'tiny');
const mounted = (() => {
  try {
    mkdirSync(tiny);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', tiny], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write('skipped: a really full disk needs root and mount\n');
    return false;
  }
})();
afterAll(() => {
  if (mounted) execFileSync('umount', [tiny]);
});

test.skipIf(!mounted)('a disk that is really full is said so', async () => {
  using source = createGitRepository();
  source.commit({ noise: randomBytes(900_000) });

  const fetched = createMirrors({ directory: tiny, log, reserveBytes: -(2 ** 30) }).fetch({ url: source.directory, token: null, ref: null }, never);

  await expect(fetched).rejects.toMatchObject({ code: 'disk_full' });
});
