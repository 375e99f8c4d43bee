/** Credentials that the gateway puts in, and registries after setup. */
import { describe, expect, it } from 'vitest';
import type { Credential } from '../../src/gateway/credentials.ts';
import { readCredentials } from '../../src/gateway/credentials.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { askHttp1, askHttp2, serveSecureWeb } from '../support/gateway/secure-web.ts';
import type { SecureWeb } from '../support/gateway/secure-web.ts';
import { get, openTunnel, serveWeb, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

const token = 's3cret/token+of-the-registry';

function credentialFor({ place }: SecureWeb, pathPrefix = '/private'): readonly Credential[] {
  const read = readCredentials(JSON.stringify([{ host: place, pathPrefix, header: 'authorization', value: `Bearer ${token}`, repositories: ['acme/app'] }]));
  return 'credentials' in read ? read.credentials : [];
}

const open = async (web: SecureWeb, options: Partial<GatewayOptions>): Promise<World> => await world([web.place], { trust: web.trust, ...options });

describe('a credential', () => {
  it('goes into the requests that it is for, whatever the guest says', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, { credentials: credentialFor(web) });

    await askHttp1(guest, web.place, { path: '/private/a?b', headers: { authorization: 'Bearer mine' } });
    await askHttp2(guest, web.place, [{ path: '/private/b', headers: { authorization: 'Bearer mine' } }]);
    await askHttp1(guest, web.place, { path: '/public', headers: { authorization: 'Bearer mine' } });

    expect(web.seen.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/private/a?b', `Bearer ${token}`],
      ['/private/b', `Bearer ${token}`],
      ['/public', undefined],
    ]);
    expect(JSON.stringify(guest.gateway.ledger)).not.toContain('s3cret');
  });

  it('opens nothing, and is for reading only', async () => {
    const web = await serveSecureWeb();
    const closed = await world([], { trust: web.trust, credentials: credentialFor(web) });
    const guest = await open(web, { credentials: credentialFor(web) });

    expect((await openTunnel(closed, web.place)).head).toMatch(/^HTTP\/1\.1 403 /);
    expect(await askHttp1(guest, web.place, { method: 'PUT', path: '/private/a', body: 'x' })).toMatchObject({ status: 403 });
    expect(web.seen).toEqual([]);
  });

  it('does not follow a redirect to another host', async () => {
    const other = await serveSecureWeb();
    const web = await serveSecureWeb((_request, response) => response.writeHead(302, { location: `https://${other.place}/private/x` }).end());
    const guest = await world([web.place, `GET ${other.place}/*`], { trust: web.trust, credentials: credentialFor(web) });

    expect(await askHttp1(guest, web.place, { path: '/private/a' })).toMatchObject({ status: 302 });
    expect(other.seen).toEqual([]);
  });

  it.each([
    ['a header', (response: Parameters<Parameters<typeof serveSecureWeb>[0] & object>[1]) => void response.setHeader('x-echo', `got Bearer ${token}`).end()],
    ['the body', (response) => void response.end(`you said ${token}!`)],
    ['base64', (response) => void response.end(Buffer.from(token).toString('base64'))],
    ['base64 behind a byte', (response) => void response.end(Buffer.from(`x${token}`).toString('base64'))],
    ['base64 for URLs behind two', (response) => void response.end(Buffer.from(`xx${token}yy`).toString('base64url'))],
    ['hex', (response) => void response.end(Buffer.from(token).toString('hex'))],
    ['a URL in lower case', (response) => void response.end(token.replaceAll('/', '%2f').replaceAll('+', '%2b'))],
    ['a URL', (response) => void response.end(encodeURIComponent(token))],
    [
      'pieces',
      (response) =>
        void Array.from(`you said ${token}!`)
          .reduce<Promise<unknown>>((before, letter) => before.then(() => new Promise((done) => response.write(letter, done))), Promise.resolve())
          .then(() => response.end()),
    ],
  ] as [string, (response: Parameters<Parameters<typeof serveSecureWeb>[0] & object>[1]) => void][])(
    'is not handed back in %s by a host that repeats what it was sent',
    async (_where, answer) => {
      const web = await serveSecureWeb((_request, response) => answer(response));
      const guest = await open(web, { credentials: credentialFor(web) });

      const reply = await askHttp1(guest, web.place, { path: '/private/a', headers: { 'accept-encoding': 'gzip' } }).catch((error: unknown) => String(error));

      expect(JSON.stringify(reply)).not.toContain('s3cret');
      expect(web.seen[0]?.headers['accept-encoding']).toBe('identity');
      await expect.poll(() => guest.gateway.ledger.at(-1)).toMatchObject({ decision: 'failed', rule: 'the answer repeats a credential' });
    },
  );

  it('is not handed out in pieces that the guest asks for', async () => {
    const web = await serveSecureWeb((_request, response) => response.end('all of it'));
    const guest = await open(web, { credentials: credentialFor(web) });
    const headers = { range: 'bytes=0-8', 'if-range': '"x"' };

    await askHttp1(guest, web.place, { path: '/private/a', headers });
    await askHttp2(guest, web.place, [{ path: '/private/a', headers }]);

    expect(web.seen.map(({ headers: { range, 'if-range': ifRange } }) => [range, ifRange])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it.each([
    [206, { 'content-range': 'bytes 0-3/100' }, 'in pieces'],
    [206, {}, 'in pieces'],
    [200, { 'content-range': 'bytes 0-3/100' }, 'in pieces'],
    [200, { 'content-encoding': 'gzip' }, 'compressed'],
    [200, { 'content-encoding': 'identity, br' }, 'compressed'],
    [200, { 'transfer-encoding': 'gzip, chunked' }, 'compressed'],
  ])('brings no answer that cannot be searched: %i %j', async (status, headers, words) => {
    const web = await serveSecureWeb(({ url }, response) => response.writeHead(status, url === '/private/a' ? headers : {}).end('some'));
    const guest = await open(web, { credentials: credentialFor(web) });

    const reply = await askHttp1(guest, web.place, { path: '/private/a' });

    expect(reply).toMatchObject({ status: 502, body: expect.stringContaining(words) });
    expect(guest.gateway.ledger.at(-1)).toMatchObject({ decision: 'failed', rule: expect.stringContaining(words) });
  });

  it('leaves an answer as it is that only begins like it', async () => {
    const body = `${token.slice(0, -1)} ${'x'.repeat(100_000)} Bearer ${token.slice(0, 8)}`;
    const web = await serveSecureWeb((_request, response) => response.end(body));
    const guest = await open(web, { credentials: credentialFor(web) });

    expect(await askHttp1(guest, web.place, { path: '/private/a' })).toMatchObject({ status: 200, body });
  });
});

describe('a registry', () => {
  /** All that goes on to other hosts, and could be written in. */
  const canaries = Object.fromEntries(
    'user-agent accept-language cache-control pragma range if-none-match if-modified-since if-range git-protocol npm-scope npm-command pacote-pkg-id'
      .split(' ')
      .concat('pacote-req-type', 'cargo-protocol', 'content-type', 'content-language')
      .map((name) => [name, 'canary']),
  );
  const registry = (host: string) => [{ kind: 'npm', host, basePath: '/' }] as const;

  it('is a tunnel during setup, and read only after it', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, { registries: registry(web.place) });
    const setup = await openTunnel(guest, web.place);

    guest.gateway.enter('agent', [web.place]);

    expect(setup.head).toMatch(/^HTTP\/1\.1 200 /);
    expect(guest.gateway.ledger[0]?.rule).toMatch(/closed by phase agent$/);
    expect(await askHttp1(guest, web.place, { path: '/express' })).toMatchObject({ status: 200 });
    expect(await askHttp1(guest, web.place, { method: 'PUT', path: '/mine', body: 'out it goes' })).toMatchObject({ status: 403 });
    guest.gateway.enter('setup', [web.place]);
    expect(await askHttp1(guest, web.place, { method: 'PUT', path: '/mine', body: 'out it goes' })).toMatchObject({ status: 403 });
    expect(web.seen.map(({ url }) => url)).toEqual(['/express']);
  });

  it('is asked for so many names of packages and no more; the repository’s own are not counted', async () => {
    const web = await serveSecureWeb();
    const isKnownPackage = (name: string): boolean => name.startsWith('own');
    const guest = await open(web, { registries: registry(web.place), phase: 'agent', isKnownPackage });
    const names = Array.from({ length: 50 }, (_, index) => `canary${index}`);
    const ask = statusesAt(guest, web.place);

    expect(new Set(await ask(names.map((name) => `/${name}`)))).toEqual(new Set([200]));
    expect(await ask(['/canary50', '/canary50/-/canary50-1.0.0.tgz', '/canary7/-/canary7-1.0.0.tgz', '/own-one', '/canary7?q', '/-/v1/search?text=x'])).toEqual(
      [403, 403, 200, 200, 403, 403],
    );
    expect(guest.gateway.ledger.filter(({ decision }) => decision === 'refused').map(({ rule, wouldAllow }) => [rule, wouldAllow])[0]).toEqual([
      'more than 50 package names',
      null,
    ]);
  });

  it('is asked at so many addresses and no more, known or not, however they are written', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, { registries: registry(web.place), phase: 'agent', isKnownPackage: () => true, limits: { packageAddresses: 20 } });
    const ask = statusesAt(guest, web.place);
    const versions = Array.from({ length: 18 }, (_, index) => `/own/1.0.${index}`);

    expect(new Set(await ask(versions))).toEqual(new Set([200]));
    expect(await ask(['/own', '/%6fwn', '/o%77n', '/own/1.0.18'])).toEqual([200, 200, 403, 403]);
    guest.gateway.enter('setup', [web.place]);
    expect(await ask(['/own', '/own/1.0.3', '/own/1.0.19'])).toEqual([200, 200, 403]);
    expect(guest.gateway.ledger.at(-1)).toMatchObject({ decision: 'refused', rule: 'more than 20 addresses of registries', wouldAllow: null });
  });

  it('hears of no header of the guest, only which known form it wants, in words of ours', async () => {
    const web = await serveSecureWeb();
    const guest = await open(web, { registries: registry(web.place), phase: 'agent', credentials: credentialFor(web) });
    const said = { ...canaries, accept: 'application/vnd.npm.install-v1+json; q=1.0, text/canary', 'accept-encoding': 'gzip, canary, br;q=0, zstd' };

    await askHttp1(guest, web.place, { path: '/own', headers: said });
    await askHttp2(guest, web.place, [{ path: '/own', headers: said }]);
    await askHttp1(guest, web.place, { path: '/own', headers: canaries });
    await askHttp1(guest, web.place, { path: '/private/own', headers: said });

    const form = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*';
    const ours = { host: web.place, connection: 'keep-alive', 'user-agent': 'mayfly' };
    expect(web.seen.map(({ headers }) => headers)).toEqual([
      { ...ours, accept: form, 'accept-encoding': 'gzip, zstd' },
      { ...ours, accept: form, 'accept-encoding': 'gzip, zstd' },
      { ...ours, accept: '*/*', 'accept-encoding': 'identity' },
      { ...ours, accept: form, 'accept-encoding': 'identity', authorization: `Bearer ${token}` },
    ]);
  });

  it('gets the headers of a method that the settings name', async () => {
    const web = await serveSecureWeb();
    const guest = await world([web.place, `POST ${web.place}/own`], { trust: web.trust, registries: registry(web.place), phase: 'agent' });

    await askHttp1(guest, web.place, { method: 'POST', path: '/own', headers: { 'content-type': 'application/json' }, body: '{}' });

    expect(web.seen[0]?.headers).toMatchObject({ 'content-type': 'application/json' });
  });

  it('without TLS has the same rules', async () => {
    const web = await serveWeb();
    const guest = await world([web.host], { registries: [{ kind: 'debian', host: web.host, basePath: '/' }], phase: 'agent' });

    expect(await guest.ask(get(web.host, 'Authorization: Bearer mine\r\nUser-Agent: canary\r\nRange: bytes=1-2\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await guest.ask(get(web.host).replace('GET', 'PUT'))).toMatch(/^HTTP\/1\.1 403 mayfly: PUT to /);
    const { host: _host, connection: _connection, ...rest } = web.seen[0]?.headers ?? {};
    expect([web.seen.length, web.seen[0]?.method, rest]).toEqual([1, 'GET', { 'user-agent': 'mayfly', accept: '*/*', 'accept-encoding': 'identity' }]);
  });
});

/** Asks one place for paths. */
function statusesAt(guest: Parameters<typeof askHttp2>[0], place: string): (paths: readonly string[]) => Promise<readonly number[]> {
  return async (paths) => {
    const asked = paths.map((path) => ({ path }));
    return (await askHttp2(guest, place, asked)).map(({ status }) => status);
  };
}
