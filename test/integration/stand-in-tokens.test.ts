import { createSign, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAppClient, createClient, mintToken, refusal } from '../support/github/clients.ts';
import { createStandInGitHub, type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;

beforeAll(async () => {
  standIn = await createStandInGitHub();
});
afterAll(() => standIn.close());

describe('installation tokens', () => {
  it('are as long as the new ones, hold an App id and a JWT, and narrow to what was asked', async () => {
    const repository = await standIn.seedRepository({ private: true, files: { a: 'a' } });

    const token = await mintToken(standIn, { permissions: { contents: 'read' }, repositoryIds: [repository.id] });

    expect(token).toMatch(/^ghs_314159_ey[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(token.length).toBeGreaterThan(480);
    expect(token.length).toBeLessThan(560);
    expect(standIn.tokens.at(-1)).toMatchObject({ repositories: [repository.fullName], permissions: { contents: 'read', metadata: 'read' }, revoked: false });
  });

  it('can have the old format of forty characters', async () => {
    await using old = await createStandInGitHub({ tokenFormat: 'short' });

    expect(await mintToken(old)).toMatch(/^ghs_[A-Za-z0-9]{36}$/);
  });

  it('answer 401 everywhere once revoked, and so does a value that was never minted', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const target = { owner: repository.owner, repo: repository.name };
    const token = await mintToken(standIn);
    const client = createClient(standIn, token);
    await client.rest.repos.get(target);

    const revoked = await client.rest.apps.revokeInstallationAccessToken();

    expect(revoked.status).toBe(204);
    expect(await refusal(client.rest.repos.get(target))).toMatchObject({ status: 401, message: 'Bad credentials' });
    expect(await refusal(client.rest.apps.revokeInstallationAccessToken())).toMatchObject({ status: 401 });
    expect(await refusal(createClient(standIn, 'ghs_neverMinted').rest.repos.get(target))).toMatchObject({ status: 401 });
    expect(standIn.tokens.at(-1)?.revoked).toBe(true);
  });

  it('expire after an hour', async () => {
    let clockMs = Date.now();
    await using later = await createStandInGitHub({ now: () => clockMs });
    const client = createClient(later, await mintToken(later));
    await client.rest.apps.listReposAccessibleToInstallation();

    clockMs += 3_600_001;

    expect(await refusal(client.rest.apps.listReposAccessibleToInstallation())).toMatchObject({ status: 401 });
  });

  it('are refused for what the installation does not have', async () => {
    const app = await createAppClient(standIn);
    const other = await standIn.seedRepository({ owner: 'bob', files: { a: 'a' } });
    const mint = (body: object): Promise<unknown> =>
      app.request('POST /app/installations/{installation_id}/access_tokens', { installation_id: standIn.app.installationId, ...body });

    expect(await refusal(mint({ permissions: { workflows: 'write' } }))).toMatchObject({
      status: 422,
      message: 'The permissions requested are not granted to this installation.',
    });
    expect(await refusal(mint({ permissions: { actions: 'write' } }))).toMatchObject({ status: 422 });
    expect(await refusal(mint({ repository_ids: [other.id] }))).toMatchObject({ status: 422 });
    expect(await refusal(mint({ repositories: ['nowhere'] }))).toMatchObject({ status: 422 });
    expect(standIn.violations).toEqual([]);
  });

  it('are refused for a permission name that GitHub does not know, although its description lets it pass', async () => {
    const app = await createAppClient(standIn);

    const refused = await refusal(
      app.request('POST /app/installations/{installation_id}/access_tokens', {
        installation_id: standIn.app.installationId,
        permissions: { contentz: 'read' } as never,
      }),
    );

    expect(refused).toMatchObject({ status: 422, message: 'The permission contentz does not exist.' });
  });

  it('of a suspended installation work nowhere', async () => {
    const repository = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const client = createClient(standIn, await mintToken(standIn));
    standIn.suspend(true);

    const refused = await refusal(client.rest.repos.get({ owner: repository.owner, repo: repository.name }));
    const unminted = await refusal(mintToken(standIn));
    standIn.suspend(false);

    expect(refused).toMatchObject({ status: 403, message: 'This installation has been suspended' });
    expect(unminted).toMatchObject({ status: 403 });
  });

  it('list the repositories they reach', async () => {
    const repository = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const client = createClient(standIn, await mintToken(standIn, { repositoryIds: [repository.id] }));

    const { data } = await client.rest.apps.listReposAccessibleToInstallation();

    expect(data.repositories.map(({ full_name }) => full_name)).toEqual([repository.fullName]);
    expect(data.total_count).toBe(1);
  });
});

describe('the JWT of the App', () => {
  const sign = (claims: object, key = standIn.app.privateKey, alg = 'RS256'): string => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const content = `${part({ alg, typ: 'JWT' })}.${part(claims)}`;
    return `${content}.${createSign('RSA-SHA256').update(content).sign(key, 'base64url')}`;
  };
  const seconds = (): number => Math.floor(Date.now() / 1000);
  const ask = (jwt: string): Promise<unknown> => createClient(standIn, jwt).request('GET /app', { headers: { authorization: `Bearer ${jwt}` } });

  it('is taken when it is signed, in date and short-lived', async () => {
    await expect(ask(sign({ iss: standIn.app.appId, iat: seconds() - 60, exp: seconds() + 540 }))).resolves.toMatchObject({
      status: 200,
      data: { slug: 'mayfly' },
    });
  });

  it.each([
    ['expires in more than ten minutes', { iat: -60, exp: 700 }, /too far in the future/],
    ['has expired', { iat: -900, exp: -10 }, /Expiration time/],
    ['was issued in the future', { iat: 120, exp: 500 }, /Issued at/],
  ])('is refused when it %s', async (_name, { iat, exp }, message) => {
    const refused = await refusal(ask(sign({ iss: standIn.app.appId, iat: seconds() + iat, exp: seconds() + exp })));

    expect(refused.status).toBe(401);
    expect(refused.message).toMatch(message);
  });

  it('is refused with another key, another algorithm or another issuer', async () => {
    const { privateKey: other } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    const claims = { iss: standIn.app.appId, iat: seconds() - 60, exp: seconds() + 60 };

    expect(await refusal(ask(sign(claims, other)))).toMatchObject({ status: 401, message: 'A JSON web token could not be decoded' });
    expect(await refusal(ask(sign(claims, undefined, 'none')))).toMatchObject({ status: 401 });
    expect(await refusal(ask(sign({ ...claims, iss: 1 })))).toMatchObject({ status: 404, message: 'Integration not found' });
  });

  it('opens no repository, and a token does not pass for one', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const jwt = sign({ iss: standIn.app.appId, iat: seconds() - 60, exp: seconds() + 60 });
    const token = await mintTokenNow(jwt);

    expect(await refusal(createClient(standIn, jwt).rest.repos.get({ owner: repository.owner, repo: repository.name }))).toMatchObject({ status: 401 });
    expect(await refusal(createClient(standIn, token).rest.apps.getAuthenticated())).toMatchObject({ status: 401 });
  });

  async function mintTokenNow(jwt: string): Promise<string> {
    const { data } = await createClient(standIn, jwt).rest.apps.createInstallationAccessToken({ installation_id: standIn.app.installationId });
    return data.token;
  }
});
