/** What programs of a guest do with its environment where no package is fetched: its own servers, refusals, Node's other client. */
import { describe, expect, it } from 'vitest';
import { serveWeb } from '../support/gateway/world.ts';
import { serveRegistry } from '../support/registry/registry.ts';
import { attempts, entryOf, openGuest } from '../support/registry/tool.ts';

describe('curl and Node with the environment of the guest', () => {
  it('reach the guest’s own servers without the gateway', async () => {
    const guest = await openGuest({ registry: await serveRegistry(), allow: [] });
    const web = await serveWeb();
    const address = `http://127.0.0.1:${web.host.split(':')[1]}/`;

    expect((await guest.run(['curl', '-sS', address])).output).toBe('hello');
    expect((await guest.run([process.execPath, '-p', `fetch('${address}').then((answer) => answer.text()).then(console.log), ''`])).output).toContain('hello');
    expect(guest.world.gateway.ledger).toEqual([]);
  });

  it('are told why a plain address is refused', async () => {
    const guest = await openGuest({ registry: await serveRegistry(), allow: [] });
    const script = `fetch('http://example.org/').then((answer) => answer.text()).then(console.log)`;

    for (const argv of [
      ['curl', '-sS', 'http://example.org/'],
      [process.execPath, '-e', script],
    ]) {
      expect((await guest.run(argv)).output).toContain('mayfly: example.org is not on the list of this phase (setup).');
    }
  });

  it('go through the gateway from Node’s https, too', async () => {
    const registry = await serveRegistry();
    const guest = await openGuest({ registry, allow: [entryOf(registry)] });
    const script = `require('node:https').get('${registry.url}/npm/tiny', (answer) => console.log(answer.resume().statusCode))`;

    expect((await guest.run([process.execPath, '-e', script])).output).toBe('200');
    expect(attempts(guest)).toEqual(['CONNECT allowed']);
  });
});
