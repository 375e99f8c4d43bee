/** With nothing configured, requests go to GitHub's and the vendors' public addresses, with the right credentials. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createGitHub } from '../../src/github/create-github.ts';
import { createSecrets } from '../../src/log.ts';
import { createModel } from '../../src/model/create-model.ts';
import { captureLog } from '../support/capture-log.ts';
import { planHttp } from '../support/http.ts';

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
});
const { log } = captureLog();

describe('without settings for addresses', () => {
  it('the App asks api.github.com who it is, with a JWT', async ({ signal }) => {
    const config = loadConfig('tool', { APP_ID: '7' });
    using http = planHttp();
    http
      .to('https://api.github.com')
      .get('/app')
      .matchHeader('authorization', /^bearer ey[\w-]+\.[\w-]+\.[\w-]+$/i)
      .reply(200, { id: 7, slug: 'mayfly' });

    const github = createGitHub({ appId: 7, privateKey, apiUrl: config.apiUrl, webUrl: config.webUrl, secrets: createSecrets(), log });

    await expect(github.whoAmI(signal)).resolves.toEqual({ slug: 'mayfly', appId: 7 });
  });

  it('a GitHub Enterprise Server is asked below /api/v3', async ({ signal }) => {
    const config = loadConfig('tool', { GHE_HOST: 'github.example.org' });
    using http = planHttp();
    http.to('https://github.example.org').get('/api/v3/app').reply(401, { message: 'A JSON web token could not be decoded' });

    const github = createGitHub({ appId: 7, privateKey, apiUrl: config.apiUrl, webUrl: config.webUrl, secrets: createSecrets(), log });

    await expect(github.whoAmI(signal)).rejects.toMatchObject({ code: 'github_credentials' });
  });

  it('a model is asked at its vendor, and a refused key is named as such', async ({ signal }) => {
    using http = planHttp();
    http
      .to('https://api.anthropic.com')
      .post('/v1/messages')
      .matchHeader('x-api-key', 'a-key')
      .reply(401, { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } });
    const model = createModel({ name: 'anthropic/claude-sonnet-4-5', apiKey: 'a-key', baseUrl: null, log });

    const question = { system: 'Be brief.', messages: [{ role: 'user' as const, text: 'Hello' }], tools: [], maxOutputTokens: 10, signal };

    await expect(model.ask(question)).rejects.toMatchObject({ code: 'model_credentials' });
  });

  it('a request that nobody planned fails', async () => {
    using _http = planHttp();

    await expect(fetch('https://api.github.com/other')).rejects.toBeInstanceOf(Error);
  });

  it('a plan that nobody used fails', () => {
    const http = planHttp();
    http.to('https://api.github.com').get('/never').reply(200);

    expect(() => http[Symbol.dispose]()).toThrow('never asked for');
  });
});
