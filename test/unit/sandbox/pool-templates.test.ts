import { expect, test } from 'vitest';
import type { Pool } from '../../../src/sandbox/pool.ts';
import type { Provider, Sandbox, SandboxSpec } from '../../../src/sandbox/sandbox.ts';
import { bootFrom as boot, createStand, openPoolOf as open, vm } from '../../support/pool-stand.ts';
import type { Stand } from '../../support/pool-stand.ts';

const made = { key: 'image-1', sha256: 'a'.repeat(64), environment: {} };
const bootOf = (pool: Pool, id: string, of: Pick<SandboxSpec, 'layer' | 'image'>): Promise<Sandbox> =>
  pool.boot({ id, signal: new AbortController().signal, ...of });
const askedOf = ({ asked }: Stand): readonly unknown[] => asked.map(({ layer, image }) => layer ?? image?.key ?? 'host');

test('of another template one waits once it was asked for, and is for nobody else', async () => {
  const stand = createStand();
  const pool = open(stand);
  await pool.full();

  const first = await bootOf(pool, 'run-1', { layer: '/layers/a' });
  await pool.full();
  const other = await bootOf(pool, 'run-2', { layer: '/layers/a', image: made });
  await pool.full();
  const [second, host, named] = [
    await bootOf(pool, 'run-3', { layer: '/layers/a' }),
    await boot(pool, 'run-4'),
    await bootOf(pool, 'run-5', { layer: '/layers/a', image: made }),
  ];

  expect([first, other, second, host, named].map(({ info }) => info.pooled)).toEqual([false, false, true, true, true]);
  const waited = [second, host, named].map(({ id }) => stand.asked.find((spec) => spec.id === id));
  expect(waited.map((spec) => [spec?.layer, spec?.image?.key])).toEqual([
    ['/layers/a', undefined],
    [undefined, undefined],
    ['/layers/a', 'image-1'],
  ]);
  await pool.drain();
  expect(stand.disposed).toHaveLength(stand.made.length - 5);
});

test('one that is announced waits before it is asked for', async () => {
  const stand = createStand();
  const pool = open(stand);
  pool.expect({ layer: '/layers/a' });
  pool.expect({ layer: '/layers/small', size: { ...vm, cpus: 1 } });
  await pool.full();

  expect((await bootOf(pool, 'run-1', { layer: '/layers/a' })).info.pooled).toBe(true);
  await pool.full();
  expect(askedOf(stand)).toEqual(['host', '/layers/a', '/layers/a']);
  await pool.drain();
  pool.expect({ layer: '/layers/b' });
  expect(stand.disposed).toHaveLength(2);
});

test('of so many templates the one that nobody asked for longest gives way, never that of the host', async () => {
  const stand = createStand();
  const pool = open(stand, { others: 2 });
  for (const layer of ['a', 'b', 'a', 'c']) {
    await bootOf(pool, `run-${layer}-${stand.asked.length}`, { layer });
    await pool.full();
  }

  expect((await bootOf(pool, 'run-1', { layer: 'b' })).info.pooled).toBe(false);
  await pool.full();
  expect((await bootOf(pool, 'run-2', { layer: 'c' })).info.pooled).toBe(true);
  expect((await boot(pool, 'run-3')).info.pooled).toBe(true);
  await pool.drain();
  expect(stand.disposed.length).toBe(stand.made.filter(({ id }) => id.startsWith('pool-')).length - 3);
});

test('one of another template goes when it is old, or cannot be made any more, and is not made again', async () => {
  const stand = createStand();
  const brief = open(stand, { maxAgeMs: 50, size: 1 });
  brief.expect({ layer: 'a' });
  await expect.poll(() => askedOf(stand).filter((one) => one === 'host').length).toBeGreaterThan(2);
  expect(askedOf(stand).filter((one) => one === 'a')).toHaveLength(1);
  await brief.drain();

  const gone = createStand({ refuse: (number) => number === 2 });
  const pool = open(gone, { retryMs: 60_000 });
  pool.expect({ layer: 'a' });
  await pool.full();
  expect(askedOf(gone)).toEqual(['host', 'a']);
  expect((await boot(pool, 'run-1')).info.pooled).toBe(true);
  await pool.drain();
});

test('one of another template that ends by itself is not made again and again', async () => {
  const stand = createStand();
  const pool = open(stand);
  await pool.full();
  pool.expect({ layer: 'a' });
  await pool.full();
  stand.made.at(-1)?.lose();
  await expect.poll(() => stand.disposed.length).toBe(1);
  await pool.full();

  expect(askedOf(stand)).toEqual(['host', 'a']);
  expect((await bootOf(pool, 'run-1', { layer: 'a' })).info.pooled).toBe(false);
  await pool.drain();
});

test('a guest whose first command does not end holds nobody up', async () => {
  const { provider, ...stand } = createStand();
  const hangs = Promise.withResolvers<void>();
  const stuck: Provider = {
    ...provider,
    async boot(spec) {
      const sandbox = await provider.boot(spec);
      if (spec.layer === undefined) return sandbox;
      return {
        ...sandbox,
        async exec(argv, options) {
          const result = await sandbox.exec(argv, options);
          if (argv[0] !== '/bin/true') return result;
          hangs.resolve();
          expect(options?.timeoutMs).toBeGreaterThan(0);
          await new Promise((resolve) => options?.signal?.addEventListener('abort', resolve, { once: true }));
          return { ...result, ended: 'cancelled' as const };
        },
      };
    },
  };
  const pool = open({ provider: stuck, ...stand });
  pool.expect({ layer: 'a' });
  await hangs.promise;

  expect(await pool.drain()).toEqual([]);
  expect(stand.disposed.toSorted()).toEqual(stand.made.map(({ id }) => id).toSorted());
});
