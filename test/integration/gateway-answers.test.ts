/** Answers and requests of inspected hosts that are out of the ordinary, and must harm nobody else. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { askHttp1, askHttp2, secureTunnel, serveSecureWeb } from '../support/gateway/secure-web.ts';
import type { Wish } from '../support/gateway/secure-web.ts';
import { readAll, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

/** Both versions, so that no rule holds for one of them only. */
const versions = [
  { version: 'HTTP/1.1', ask: async (guest: World, place: string, wish: Wish) => await askHttp1(guest, place, wish) },
  { version: 'HTTP/2', ask: async (guest: World, place: string, wish: Wish) => (await askHttp2(guest, place, [wish]))[0] },
];

/** All that HTTP/2 takes once only, among what an answer may have. */
const onlyOnce = [
  ...['access-control-allow-credentials', 'access-control-max-age', 'access-control-request-method', 'age', 'authorization', 'content-location'],
  ...['content-md5', 'content-range', 'content-type', 'dnt', 'etag', 'expires', 'from', 'host', 'if-modified-since', 'if-none-match', 'if-range'],
  ...['last-modified', 'location', 'max-forwards', 'range', 'referer', 'retry-after', 'tk', 'upgrade-insecure-requests', 'user-agent'],
  ...['x-content-type-options', 'content-encoding', 'content-language', 'date', 'server'],
];

describe.each(versions)('an answer over $version', ({ ask }) => {
  it.each(onlyOnce)('may have %s twice', async (name) => {
    const web = await serveSecureWeb((_request, response) => response.writeHead(200, [name, 'one', name, 'two', 'link', '<a>', 'link', '<b>']).end('hello'));
    const guest = await world([`GET ${web.place}/*`], { trust: web.trust });

    const reply = await ask(guest, web.place, {});

    expect(reply).toMatchObject({ status: 200, body: 'hello', headers: { link: '<a>, <b>' } });
    if (!name.startsWith('content-encoding') && !name.startsWith('content-language')) return;
    expect(reply?.headers[name]).toBe('one, two');
  });
});
