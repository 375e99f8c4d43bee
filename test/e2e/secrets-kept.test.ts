/** What outlives a run, or waits for the next one, has none of the operator's secrets: mirrors, a repository template, the VMs of the pool. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { isSkipped, lacksForGvisor } from '../support/guest.ts';
import { startInstallation } from '../support/installation.ts';
import { canaries, formsOfAll, leastMib, ofNetwork, searchWhenUp } from '../support/operator-secrets.ts';
import { openPrivateNetwork } from '../support/private-network.ts';
import { redisIsMissing } from '../support/redis.ts';
import { findLayers, removeLayers } from '../support/remove-layers.ts';
import { searchDirectory } from '../support/search-vm.ts';

const skipped = isSkipped('the search for secrets in what is kept', (await lacksForGvisor()) ?? (redisIsMissing() ? 'redis-server is not installed' : null));
const { MAYFLY_CACHE_DIR } = loadConfig('tool');
/** As long as it takes until a setup is worth keeping; it asks the operator's own host, whose token the gateway adds. */
const settingsOf = (place: string): string =>
  `setup:\n  - sleep 11\n  - curl -fsS https://${place}/ && echo kept-$((6 * 7))-by-setup > answered\nallow:\n  setup:\n    - ${place}\n`;
const nothingToDo = { tools: [{ name: 'submit', input: { summary: 'There is nothing to do.', files: [], noChange: true } }] };

test.skipIf(skipped)('no secret is in what a run leaves for the next one, nor in the VMs that wait for it', async () => {
  await using network = await openPrivateNetwork(ofNetwork, ['octo-org/slugs']);
  const kept = { MAYFLY_CACHE_DIR, MAYFLY_POOL_SIZE: '1', MAYFLY_REPOSITORY_TEMPLATES_GIB: '1' };
  const settings = { ...canaries, ...network.settings, ...kept, MAYFLY_PROVIDER: 'oci', LOG_LEVEL: 'debug' };
  await using installation = await startInstallation({ settings, replies: () => [nothingToDo], files: { '.github/mayfly.yml': settingsOf(network.place) } });
  const { standIn, stateDir } = installation;
  await using _ = { [Symbol.asyncDispose]: () => removeLayers(MAYFLY_CACHE_DIR, standIn) };
  await installation.startWeb();
  const worker = await installation.startWorker();

  await installation.label();
  expect(await worker.logged(({ msg }) => msg === 'run finished')).toMatchObject({ outcome: { kind: 'no_change' } });
  await worker.logged(({ msg }) => msg === 'repository template is ready');
  // One of the host's template, one of the repository's.
  const vms = async (): Promise<readonly string[]> => (await readdir(join(stateDir, 'vms'))).filter((name) => name.startsWith('pool-'));
  await expect.poll(vms, { timeout: 120_000 }).toHaveLength(2);

  // The run and its template asked, each in a VM of its own.
  expect(network.seen.host).toEqual(Array.from({ length: 2 }, () => `Bearer ${ofNetwork.token}`));
  const words = formsOfAll(standIn);
  const layers = await findLayers(MAYFLY_CACHE_DIR, standIn);
  expect(layers).toHaveLength(1);
  for (const place of [...layers, join(MAYFLY_CACHE_DIR, 'mirrors')])
    expect({ place, found: await searchDirectory(place, { words }) }).toEqual({ place, found: [] });
  // What setup wrote is found there.
  expect(await searchDirectory(layers[0] ?? '', { words: ['kept-42-by-setup'] })).not.toEqual([]);
  for (const vm of await vms()) {
    const search = await searchWhenUp(installation, vm, AbortSignal.timeout(60_000));
    expect(search).toMatchObject({ vm, found: [] });
    expect(search.memoryMib).toBeGreaterThan(leastMib);
  }
  expect(await worker.stop()).toBe(0);
  expect(await installation.traces()).toEqual([]);
});
