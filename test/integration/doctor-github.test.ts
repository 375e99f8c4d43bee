/** What the doctor learns from GitHub about an App: credentials, grants, webhook, clock. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { clockCheck } from '../../src/doctor/clock.ts';
import { githubChecks } from '../../src/doctor/github.ts';
import type { GitHubCheckOptions } from '../../src/doctor/github.ts';
import { modelCheck } from '../../src/doctor/model.ts';
import { createSecrets } from '../../src/log.ts';
import { captureLog } from '../support/capture-log.ts';
import { takeLooks } from '../support/findings.ts';
import { failOnViolations } from '../support/github/clients.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub, StandInOptions } from '../support/github/stand-in.ts';

const webhookPath = '/api/github/webhooks';
const asMayfly: StandInOptions = {};

function optionsFor(github: StandInGitHub, change: Partial<GitHubCheckOptions> = {}): GitHubCheckOptions {
  const secrets = createSecrets();
  const { log } = captureLog(secrets);
  return { appId: github.app.appId, privateKey: github.app.privateKey, apiUrl: github.apiUrl, webhookPath, secrets, log, paced: false, ...change };
}

const look = (github: StandInGitHub, change?: Partial<GitHubCheckOptions>, deadlineMs?: number) =>
  takeLooks(githubChecks(optionsFor(github, change)), deadlineMs);

/** A webhook server that gives each delivery the next of these statuses. */
async function listen(...statuses: number[]) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => void response.writeHead(statuses.shift() ?? 200).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${webhookPath}`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

test('an App that is as it should be, and deliveries that arrive at the second attempt', async () => {
  await using receiver = await listen(503, 202);
  await using github = await createStandInGitHub({ ...asMayfly, webhookUrl: receiver.url });
  const repository = await github.seedRepository({ files: { a: 'a' } });

  expect((await look(github))['deliveries']).toMatchObject({ status: 'not_checked' });
  await repository.createIssue({ as: 'acme-owner', title: 'x' });
  await github.webhooks.settled();
  expect((await look(github))['deliveries']).toMatchObject({ status: 'problem', advice: expect.stringContaining('REDIS_URL') as string });
  await github.webhooks.redeliver(github.webhooks.deliveries[0]?.id ?? 0);
  const found = await look(github);

  expect(found['app']).toMatchObject({ status: 'ok', found: 'mayfly (314159), installed on acme' });
  expect(found['permissions']).toMatchObject({ status: 'ok' });
  // On loopback there is no TLS; everything else of the address is right.
  expect(found['webhook']).toMatchObject({ status: 'warning', found: `GitHub posts to ${receiver.url} without checked TLS` });
  expect(found['deliveries']).toMatchObject({ status: 'ok', found: 'of the last 1, all arrived; the newest: issues, 0 min ago' });
  failOnViolations(github);
});

test('an App that was granted too little, and whose webhook leads elsewhere', async () => {
  await using github = await createStandInGitHub({
    permissions: { contents: 'read', metadata: 'read' },
    events: ['issues'],
    webhookUrl: 'https://elsewhere.example/',
  });
  const found = await look(github);

  expect(found['app']).toMatchObject({ status: 'ok' });
  expect(found['permissions']).toMatchObject({
    status: 'problem',
    found: expect.stringMatching(
      /^the App lacks contents: write, issues: write, pull_requests: write, checks: write, actions: read, event issue_comment, event push, event pull_request, event pull_request_review,/,
    ),
  });
  expect(found['webhook']).toMatchObject({ status: 'warning', advice: expect.stringContaining('WEBHOOK_PATH=/') as string });
  failOnViolations(github);
});

test('credentials that are wrong, each in its own way', async () => {
  await using github = await createStandInGitHub(asMayfly);
  const { privateKey: other } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const dependent = { status: 'not_checked', found: 'needs the credentials of the App' };

  for (const change of [{ privateKey: other }, { appId: 5 }, { privateKey: 'not a key' }]) {
    const found = await look(github, change);
    expect(found['app']).toMatchObject({ status: 'problem', advice: expect.stringContaining('APP_ID and PRIVATE_KEY_PATH') as string });
    expect(found).toMatchObject({ permissions: dependent, webhook: dependent, deliveries: dependent });
  }
  expect((await look(github, { privateKey: null }))['app']).toMatchObject({ status: 'problem', found: 'PRIVATE_KEY_PATH is not set' });
  expect((await look(github, { appId: null }))['app']).toMatchObject({ status: 'not_checked', found: 'APP_ID is not set' });
  github.suspend(true);
  expect((await look(github))['app']).toMatchObject({ status: 'warning', found: 'mayfly (314159) is suspended on acme' });
  failOnViolations(github);
});

test('a GitHub that hangs, that is not there, or that knows no webhook of this App', async () => {
  await using github = await createStandInGitHub(asMayfly);
  github.fault({ path: /^\/app$/, hang: true });
  expect((await look(github, {}, 300))['app']).toMatchObject({ status: 'not_checked', found: 'no answer within 0.3 s' });
  expect((await look(github, { apiUrl: 'http://127.0.0.1:9' }))['app']).toMatchObject({
    status: 'problem',
    found: expect.stringContaining('GitHub does not answer: ') as string,
  });
  github.fault({ path: /^\/app\/hook\//, status: 404, times: 2 });

  expect(await look(github)).toMatchObject({ webhook: { status: 'problem' }, deliveries: { status: 'not_checked' } });
  expect(github.faults.unused).toBe(0);
});

test('a clock is held against the one of GitHub, with or without credentials', async () => {
  await using github = await createStandInGitHub({ ...asMayfly, now: () => Date.now() - 150_000 });
  const clock = (apiUrl: string) => takeLooks([clockCheck({ apiUrl, fetch })]);

  expect((await clock(github.apiUrl))['clock']).toMatchObject({ status: 'problem', found: expect.stringMatching(/^1(49|50|51) s ahead of GitHub/) as string });
  expect((await clock('http://127.0.0.1:9'))['clock']).toMatchObject({
    status: 'not_checked',
    found: expect.stringMatching(/^127.0.0.1:9 does not answer: /) as string,
  });
  // The App works all the same: a refusal tells the right time, and the next JWT has it.
  expect((await look(github))['app']).toMatchObject({ status: 'ok' });
  failOnViolations(github);
});

test('a model is asked for by name, with the key of its vendor', async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const key = String(request.headers['x-api-key']);
    seen.push(`${request.url} ${key}`);
    response.writeHead(key === 'right' ? 200 : 401).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const model = async (name: string | null, apiKey: string | null, at = baseUrl) =>
    (await takeLooks([modelCheck({ setting: 'MAYFLY_MODEL', name, apiKey, keyName: 'ANTHROPIC_API_KEY', baseUrl: at, fetch })]))['key'];

  expect(await model('anthropic/claude-sonnet-4-5', 'right')).toMatchObject({ status: 'ok' });
  expect(await model('anthropic/claude-sonnet-4-5', 'wrong')).toMatchObject({
    status: 'problem',
    found: expect.stringContaining('does not take ANTHROPIC_API_KEY') as string,
  });
  expect(await model('anthropic/claude-sonnet-4-5', null)).toMatchObject({ status: 'problem', found: 'ANTHROPIC_API_KEY is not set' });
  expect(await model('nonsense', 'right')).toMatchObject({ status: 'problem', advice: expect.stringContaining('vendor/name') as string });
  expect(await model('anthropic/x', 'right', 'http://127.0.0.1:9')).toMatchObject({
    status: 'problem',
    found: expect.stringContaining('does not answer') as string,
  });
  expect(await model(null, null)).toMatchObject({ status: 'not_checked' });
  expect(seen).toEqual(['/v1/models/claude-sonnet-4-5 right', '/v1/models/claude-sonnet-4-5 wrong']);
  await new Promise((resolve) => server.close(resolve));
});
