/** The registration as a person goes through it: our page, GitHub's page, the way back; all of it over real HTTP. */
import { createPrivateKey } from 'node:crypto';
import { request } from 'node:http';
import { readFile, readdir, stat } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { FixError } from '../../src/errors.ts';
import { createGitHub } from '../../src/github/create-github.ts';
import { createSecrets } from '../../src/log.ts';
import type { RegistrationOptions } from '../../src/registration/register.ts';
import { openPage, submitForm } from '../support/browser.ts';
import { failOnViolations } from '../support/github/clients.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { appFile, failureOf, finish, makeFolder, parseEnvironment, startRegistration, webhook } from '../support/registration.ts';
import type { Attempt } from '../support/registration.ts';

let gitHub: StandInGitHub;
let folder: Awaited<ReturnType<typeof makeFolder>>;

beforeAll(async () => {
  gitHub = await createStandInGitHub();
});
afterAll(() => gitHub.close());
beforeEach(async () => {
  gitHub.registrations.withSecret = true;
  gitHub.webhooks.url = null;
  folder = await makeFolder();
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
  failOnViolations(gitHub);
});

const start = async (change: Partial<RegistrationOptions> = {}): Promise<Attempt> => await startRegistration(gitHub, { directory: folder.path, ...change });

describe('a registration', () => {
  it('asks GitHub for what app.yml says, and leaves credentials that Mayfly starts with', async () => {
    const attempt = await start({ organization: 'acme' });

    const done = await submitForm(await submitForm(await openPage(attempt.address)));
    const registration = await attempt.ended;

    const manifest = { ...appFile, name: 'Mayfly of acme', hook_attributes: { url: webhook.url, active: true } };
    expect(gitHub.registrations.posted.at(-1)).toMatchObject({ organization: 'acme', problems: [], manifest });
    expect(done).toMatchObject({ status: 200, text: expect.stringContaining(registration.installUrl) as unknown });
    expect(registration).toMatchObject({ appId: gitHub.app.appId, slug: gitHub.app.slug, secretIsOurs: false, webhookUrl: webhook.url });
    const config = loadConfig('tool', parseEnvironment(await readFile(registration.environmentFile, 'utf8')));
    expect(config).toMatchObject({ APP_ID: gitHub.app.appId, WEBHOOK_SECRET: gitHub.app.webhookSecret, WEBHOOK_PATH: '/hooks/in', apiUrl: gitHub.apiUrl });
    expect(config.MAYFLY_JOB_KEY?.length).toBeGreaterThanOrEqual(43);
    const { appId, privateKey, webUrl, apiUrl } = {
      appId: config.APP_ID ?? 0,
      privateKey: config.privateKey ?? '',
      webUrl: config.webUrl,
      apiUrl: config.apiUrl,
    };
    const client = createGitHub({ appId, privateKey, webUrl, apiUrl, secrets: createSecrets(), log: attempt.log.log, paced: false });
    await expect(client.whoAmI(new AbortController().signal)).resolves.toMatchObject({ slug: gitHub.app.slug });
  });

  it('writes files that only their owner reads, and nothing else; no secret is on a page or in the log', async () => {
    const attempt = await start();
    const first = await openPage(attempt.address);
    const last = await submitForm(await submitForm(first));

    const { keyFile, environmentFile } = await attempt.ended;

    expect((await readdir(folder.path)).toSorted()).toEqual(['mayfly.env', 'mayfly.pem']);
    for (const file of [keyFile, environmentFile]) expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(createPrivateKey(await readFile(keyFile)).asymmetricKeyType).toBe('rsa');
    const environment = await readFile(environmentFile, 'utf8');
    expect(environment).not.toMatch(/client|PRIVATE KEY/i);
    const code = new URL(last.url).searchParams.get('code') ?? '';
    const told = [first.text, last.text, ...attempt.log.lines].join('\n');
    expect(attempt.log.lines.length).toBeGreaterThan(0);
    for (const secret of [gitHub.app.webhookSecret, parseEnvironment(environment)['MAYFLY_JOB_KEY'] ?? '', code]) expect(told).not.toContain(secret);
    expect(told).not.toContain('PRIVATE KEY');
  });

  it('leaves the webhook off when no address was given, and makes a secret of its own when GitHub made none', async () => {
    gitHub.registrations.withSecret = false;
    const attempt = await start({ webhook: null });

    const first = await openPage(attempt.address);
    await submitForm(await submitForm(first));
    const registration = await attempt.ended;

    expect(first.text).toContain('--webhook-url');
    expect(gitHub.registrations.posted.at(-1)).toMatchObject({ organization: null, problems: [], manifest: { hook_attributes: { active: false } } });
    expect(gitHub.webhooks.url).toBeNull();
    expect(registration).toMatchObject({ webhookUrl: null, secretIsOurs: true });
    expect(parseEnvironment(await readFile(registration.environmentFile, 'utf8'))['WEBHOOK_SECRET']?.length).toBeGreaterThanOrEqual(43);
  });

  it('ends when the page is not used in time, and when it is stopped', async () => {
    const stop = new AbortController();
    const [late, stopped] = [
      await start({ timeoutMs: 1 }).catch((error: unknown) => ({ ended: Promise.reject(error as Error) })),
      await start({ signal: stop.signal }),
    ];
    stop.abort(new FixError('cancelled'));

    expect(await failureOf(late.ended)).toBe('registration_unfinished');
    expect(await failureOf(stopped.ended)).toBe('cancelled');
    await expect(openPage(stopped.address)).rejects.toBeInstanceOf(TypeError);
    expect(await readdir(folder.path)).toEqual([]);
  });
});

describe('the page', () => {
  it('is strict about what it loads, where it sends, and who frames it', async () => {
    const attempt = await start();

    const { headers, text } = await openPage(attempt.address);

    expect(headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action http:\/\/127\.0\.0\.1:\d+; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get('cache-control')).toBe('no-store');
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(text).not.toContain('<script');
    await finish(attempt);
  });

  it.each([
    ['another name for this machine', { host: 'evil.example.com' }, 421],
    ['its name with another port', { host: '127.0.0.1:1' }, 421],
    ['another page that loads it as an image', { 'sec-fetch-dest': 'image' }, 403],
    ['another page that frames it', { 'sec-fetch-dest': 'iframe' }, 403],
    ['a program that sends something', { 'x-method': 'POST' }, 405],
  ])('answers nothing to %s', async (_who, headers, status) => {
    const attempt = await start();

    const answer = await raw(attempt.address, headers);

    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain('manifest');
    await finish(attempt);
  });

  it('is found only under its own address', async () => {
    const attempt = await start();

    expect(new URL(attempt.address).pathname).toMatch(/^\/[\w-]{43}$/);
    expect((await openPage(new URL('/', attempt.address).href)).status).toBe(404);
    expect((await openPage(`${attempt.address}x`)).status).toBe(404);
    await finish(attempt);
  });
});

/** With headers that fetch does not let anybody set. */
async function raw(url: string, { 'x-method': method = 'GET', ...headers }: Record<string, string>): Promise<{ status: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject).end();
  });
}
