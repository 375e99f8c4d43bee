/** What the gateways of one run may use together, however many VMs it has. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { startRunUsage } from '../../src/gateway/run-usage.ts';
import { get, openTunnel, readAll, serveWeb, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

/** Two VMs of one run, and one of another. */
async function openRuns(allow: readonly string[], options: Partial<GatewayOptions>): Promise<readonly [World, World, World]> {
  const run = startRunUsage();
  return [await world(allow, { ...options, run }), await world(allow, { ...options, run }), await world(allow, { ...options, run: startRunUsage() })];
}

const statusOf = (answer: string): number => Number(answer.split(' ', 2)[1]);

describe('the gateways of one run', () => {
  it('share its bytes: what is open in one VM is cut by what another has used, and nothing is let through any more', async () => {
    const slow: ServerResponse[] = [];
    const { host } = await serveWeb((request, response) => {
      if (request.url !== '/slow') return response.end(Buffer.alloc(60_000));
      slow.push(response);
      response.write('begun');
    });
    const [first, second, other] = await openRuns([host], { limits: { totalBytes: 100_000 } });
    const { socket } = await openTunnel(first, host);
    socket.write(`GET /slow HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await once(socket, 'readable');

    expect((await first.ask(get(host))).length).toBeGreaterThan(60_000);
    expect((await second.ask(get(host))).length).toBeLessThan(60_000);

    slow[0]?.end('and more');
    expect(await readAll(socket)).not.toContain('and more');
    expect(await first.ask(get(host))).toContain('this run has used up its 0 MiB of traffic');
    expect(await second.ask(get(host))).toContain('this run has used up its');
    expect(first.gateway.ledger.map(({ decision, rule }) => `${decision}: ${rule}`)).toEqual([
      'refused: byte limit',
      `allowed: allow ${host}`,
      'refused: byte limit',
    ]);
    expect((await other.ask(get(host))).length).toBeGreaterThan(60_000);
  });

  it('share its requests', async () => {
    const { host } = await serveWeb();
    const [first, second, other] = await openRuns([host], { limits: { requests: 3 } });

    const answers = [await first.ask(get(host)), await second.ask(get(host)), await first.ask(get(host)), await second.ask(get(host))];

    expect(answers.map(statusOf)).toEqual([200, 200, 200, 403]);
    expect(statusOf(await other.ask(get(host)))).toBe(200);
  });

  it('share its names of packages and its addresses of registries: what one VM has asked for is no new word in the next', async () => {
    const { host } = await serveWeb();
    const registries = [{ kind: 'npm', host, basePath: '/' }] as const;
    const [first, second, other] = await openRuns([host], { registries, phase: 'agent', limits: { packageNames: 2, packageAddresses: 3 } });
    const ask = async (guest: World, path: string): Promise<number> => statusOf(await guest.ask(`GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));

    const names = [await ask(first, '/one'), await ask(second, '/two'), await ask(second, '/one'), await ask(first, '/three'), await ask(second, '/three')];
    const addresses = [await ask(first, '/two/1.0.0'), await ask(second, '/two/1.0.1'), await ask(second, '/two/1.0.0')];

    expect([names, addresses]).toEqual([
      [200, 200, 200, 403, 403],
      [200, 403, 200],
    ]);
    expect(second.gateway.ledger.flatMap(({ decision, rule }) => (decision === 'refused' ? [rule] : []))).toEqual([
      'more than 2 package names',
      'more than 3 addresses of registries',
    ]);
    expect([await ask(other, '/three'), await ask(other, '/four')]).toEqual([200, 200]);
  });

  it('have their own connections: a VM that holds all of its own leaves the next one its place', async () => {
    const { host } = await serveWeb();
    const [first, second] = await openRuns([host], { limits: { connections: 1 } });
    const held = await first.connect();

    await expect.poll(async () => statusOf(await first.ask(get(host)))).toBe(503);
    expect(statusOf(await second.ask(get(host)))).toBe(200);
    held.destroy();
  });
});
