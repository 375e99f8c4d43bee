import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IntakeEvent } from '../../src/webhook/event.ts';
import { startWeb } from '../../src/web.ts';
import type { WebConfig } from '../../src/web.ts';
import { createIntakeQueue } from '../../src/queue/intake-queue.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { captureLog } from '../support/capture-log.ts';
import { aCommentPayload, anIssuesPayload } from '../support/payloads.ts';
import { redisIsMissing, startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis.ts';
import { deliver, jobKey, openReceiver, sign, webConfig, webhookSecret } from '../support/web-role.ts';

/** Its types describe the file, not what an import of it gives. */
const examples = createRequire(import.meta.url)('@octokit/webhooks-examples') as { name: string; examples: object[] }[];

let redis: RedisServer;

async function openWeb(change: Partial<WebConfig> = {}, redisUrl = redis.url) {
  const captured = captureLog();
  const web = await startWeb(webConfig(redisUrl, change), { log: captured.log, signal: new AbortController().signal });
  return { ...captured, url: web.url, [Symbol.asyncDispose]: () => web.close() };
}

/** Everything that waits for the worker, taken out the way the worker takes it. */
async function takeIntake(expected: number, redisUrl = redis.url): Promise<IntakeEvent[]> {
  const events: IntakeEvent[] = [];
  const enough = Promise.withResolvers<void>();
  const { log } = captureLog();
  const worker = await createWorkerQueue({ redisUrl, signingKey: jobKey, concurrency: 1, log });
  const marker = `marker-${Math.random()}`;
  await worker.consume({
    intake: async (event) => {
      if ((event as IntakeEvent).key === marker) enough.resolve();
      else events.push(event as IntakeEvent);
    },
    run: async () => {},
  });
  // First in, first out: when the marker arrives, all that was queued before it has been taken.
  const last = createIntakeQueue({ redisUrl, signingKey: jobKey, log });
  await last.add({ key: marker, deliveryId: marker }, 3_000);
  await enough.promise;
  await last.close();
  await worker.close(5_000);
  expect(events).toHaveLength(expected);
  return events;
}

describe.skipIf(redisIsMissing())('the web role', () => {
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(() => redis.stop());

  test('queues a labeled issue, and says 200', async () => {
    await using web = await openWeb();

    const answer = await deliver(web.url, anIssuesPayload({ repositoryId: 1 }), { guid: 'guid-of-the-label' });

    expect(answer).toEqual({ status: 200, text: 'ok\n' });
    expect(await takeIntake(1)).toMatchObject([{ kind: 'labeled', deliveryId: 'guid-of-the-label', repository: { id: 1 } }]);
  });

  test('queues one event for the same body under three ids in parallel', async () => {
    await using web = await openWeb();
    const payload = anIssuesPayload({ repositoryId: 2 });

    const answers = await Promise.all([1, 2, 3].map(() => deliver(web.url, payload)));

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    await takeIntake(1);
    await deliver(web.url, payload);
    await takeIntake(0);
  });

  test.each(['issue_comment', 'pull_request', 'push', 'error', 'constructor', 'a_new_event'])('does nothing with the same body as %s', async (event) => {
    await using web = await openWeb();

    expect((await deliver(web.url, anIssuesPayload({ repositoryId: 3 }), { event })).status).toBe(200);
    await takeIntake(0);
  });

  test('queues a comment twice delivered once, and an edited one never', async () => {
    await using web = await openWeb();
    const comment = { id: 81, body: '/agent fix' };

    await deliver(web.url, aCommentPayload({ comment }), { event: 'issue_comment' });
    await deliver(web.url, { ...aCommentPayload({ comment }), extra: true }, { event: 'issue_comment' });
    await deliver(web.url, aCommentPayload({ action: 'edited', comment: { id: 82, body: '/agent fix' } }), { event: 'issue_comment' });

    expect(await takeIntake(1)).toMatchObject([{ kind: 'command', commentId: 81 }]);
  });

  test('takes every example payload of every GitHub event, and queues only the wanted ones', async () => {
    await using web = await openWeb();
    const statuses: number[] = [];

    for (const { name, examples: payloads } of examples) {
      for (const payload of payloads) {
        // An App's deliveries name the installation; most examples come from plain webhooks.
        const answer = await deliver(web.url, { ...payload, installation: { id: 55 } }, { event: name });
        statuses.push(answer.status);
      }
    }

    expect(statuses).toHaveLength(329);
    expect(new Set(statuses)).toEqual(new Set([200]));
    const seen = await takeIntake(11);
    expect(seen.map((event) => `${event.kind} ${'issue' in event ? event.issue.number : 'number' in event ? event.number : ''}`.trim()).toSorted()).toEqual([
      'closed 1',
      'closed 1',
      'closed 2',
      'closed 2',
      'labeled 1',
      'labeled 1',
      'pushed',
      'pushed',
      'settings_proposed',
      'unlabeled 1',
      'unlabeled 1',
    ]);
  });

  test('refuses what is not signed as it has to be, and logs nothing of it', async () => {
    await using web = await openWeb();
    const body = JSON.stringify(anIssuesPayload({ repositoryId: 4, issue: { title: 'canary-in-the-payload' } }));
    const right = sign(body);
    const refused: [what: string, body: string | Uint8Array, signature: string | null][] = [
      ['a signature with another secret', body, sign(body, 'another-secret-of-16')],
      ['no signature', body, null],
      ['an empty signature', body, ''],
      ['a cut signature', body, right.slice(0, -1)],
      ['a signature in capitals', body, right.toUpperCase()],
      ['two signatures', body, `${right}, ${right}`],
      ['a SHA-1 signature in its place', body, `sha1=${'0'.repeat(40)}`],
      ['one byte changed', body.replace('canary', 'canarz'), right],
      ['one byte added', `${body} `, right],
      ['a byte order mark in front', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(body)]), right],
      ['bytes that are no UTF-8', Buffer.concat([Buffer.from(body), Buffer.from([0xff])]), right],
      ['nothing', '', sign('')],
    ];

    for (const [what, sent, signature] of refused) {
      const answer = await deliver(web.url, sent, { headers: { 'x-hub-signature-256': signature } });
      expect({ what, status: answer.status }).toEqual({ what, status: 401 });
    }

    const sha1Only = { 'x-hub-signature-256': null, 'x-hub-signature': `sha1=${'0'.repeat(40)}` };
    expect((await deliver(web.url, body, { headers: sha1Only })).status).toBe(401);
    expect(web.lines.length).toBeGreaterThan(refused.length);
    expect(web.lines.join('')).not.toMatch(/canary|acme/);
    await takeIntake(0);
  });

  test('refuses a replay whose bytes differ but decode to the signed text', async () => {
    await using web = await openWeb();
    const body = JSON.stringify(anIssuesPayload({ repositoryId: 5, issue: { title: 'a \ufffd b' } }));
    const twin = Buffer.from(body).toString('latin1').replace('\u00ef\u00bf\u00bd', '\u00ff');

    const answer = await deliver(web.url, Buffer.from(twin, 'latin1'), { headers: { 'x-hub-signature-256': sign(body) } });

    expect(answer.status).toBe(401);
  });

  test.each([
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['a compressed body', { 'content-encoding': 'gzip' }, 415],
    ['no event', { 'x-github-event': null }, 400],
    ['an event with its action', { 'x-github-event': 'issues.labeled' }, 400],
    ['an event that is no name', { 'x-github-event': '__proto__' }, 400],
    ['no delivery id', { 'x-github-delivery': null }, 400],
    ['a delivery id that forges log lines', { 'x-github-delivery': 'a"b' }, 400],
  ])('refuses %s', async (_what, headers, status) => {
    await using web = await openWeb();

    expect((await deliver(web.url, anIssuesPayload({ repositoryId: 6 }), { headers })).status).toBe(status);
    await takeIntake(0);
  });

  test.each(['null', '5', '[]', '"text"', '{', '{"action":{}}', '{"action":"labeled","issue":{}}'])('survives the signed body %s', async (body) => {
    await using web = await openWeb();

    expect((await deliver(web.url, body)).status).toBeLessThan(500);
    expect((await fetch(new URL('/healthz', web.url))).status).toBe(200);
  });

  test('refuses the deliveries of another App', async () => {
    await using web = await openWeb({ APP_ID: 99 });
    const payload = anIssuesPayload({ repositoryId: 8 });
    const to = (id: string | null) => deliver(web.url, payload, { headers: { 'x-github-hook-installation-target-id': id } });

    expect((await to('98')).status).toBe(400);
    expect((await to(null)).status).toBe(400);
    expect((await to('99')).status).toBe(200);
    await takeIntake(1);
  });

  test('has nothing else on it', async () => {
    await using web = await openWeb();
    const get = async (path: string, method = 'GET') => (await fetch(new URL(path, web.url), { method })).status;

    expect(await get('/')).toBe(404);
    expect(await get('/probot')).toBe(404);
    expect(await get('/api/github/webhooks/')).toBe(404);
    expect(await get('/api/github/webhooks')).toBe(405);
    expect(await get('/healthz', 'POST')).toBe(404);
    expect(await get('/healthz')).toBe(200);
    expect(await get('/readyz')).toBe(200);
  });

  test.each(['', 'development'])('does not start with the secret %j', async (WEBHOOK_SECRET) => {
    await expect(openWeb({ WEBHOOK_SECRET })).rejects.toMatchObject({ code: 'config_invalid' });
  });

  test('says that its port is taken', async () => {
    await using web = await openWeb();

    await expect(openWeb({ PORT: Number(new URL(web.url).port) })).rejects.toMatchObject({ code: 'port_unavailable' });
  });
});

describe.skipIf(redisIsMissing())('without Redis the web role', () => {
  test.each([
    ['is dead', (server: RedisServer) => server.kill(), (server: RedisServer) => server.restart()],
    ['hangs', async (server: RedisServer) => server.freeze(), async (server: RedisServer) => server.thaw()],
  ])('answers 503 in time when it %s, and queues exactly one event after the redelivery', async (_how, away, back) => {
    const own = await startRedis();
    await using _stop = { [Symbol.asyncDispose]: () => own.stop() };
    await using web = await openWeb({}, own.url);
    const payload = anIssuesPayload();
    await deliver(web.url, anIssuesPayload({ action: 'edited' }));
    await away(own);

    const answer = await deliver(web.url, payload);
    const ready = await fetch(new URL('/readyz', web.url));
    const health = await fetch(new URL('/healthz', web.url));

    expect(answer.status).toBe(503);
    // GitHub waits for 10 s.
    expect(web.lines.filter((line) => line.includes('delivery could not be queued'))).toEqual([expect.stringContaining('"timeoutMs":3000')]);
    expect([ready.status, health.status]).toEqual([503, 200]);
    expect(web.lines.join('')).not.toContain('Here is how.');
    await back(own);
    await expect.poll(async () => (await deliver(web.url, payload)).status, { timeout: 10_000 }).toBe(200);
    await takeIntake(1, own.url);
  });

  test('starts, and queues as soon as it is there', async () => {
    const own = await startRedis();
    await using _stop = { [Symbol.asyncDispose]: () => own.stop() };
    await own.kill();
    await using web = await openWeb({}, own.url);

    expect((await fetch(new URL('/readyz', web.url))).status).toBe(503);
    await own.restart();
    await expect.poll(async () => (await fetch(new URL('/readyz', web.url))).status, { timeout: 10_000 }).toBe(200);
  });
});

test('a secret that is being changed is taken in its old and its new form', async () => {
  const events: string[] = [];
  const enqueue = async ({ deliveryId }: IntakeEvent) => (events.push(deliveryId), 'queued' as const);
  await using receiver = await openReceiver({ secrets: ['the-new-webhook-secret', webhookSecret], enqueue });
  const payload = anIssuesPayload();
  const signed = (secret: string, guid: string) =>
    deliver(receiver.url, payload, { guid, headers: { 'x-hub-signature-256': sign(JSON.stringify(payload), secret) } });

  expect((await signed('the-new-webhook-secret', 'new')).status).toBe(200);
  expect((await signed(webhookSecret, 'old')).status).toBe(200);
  expect((await signed('some-other-webhook-secret', 'wrong')).status).toBe(401);
  expect(events).toEqual(['new', 'old']);
});
