import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { bootFrom as boot, createStand, openPoolOf as open, vm } from '../../support/pool-stand.ts';

test('a VM that waits is handed over thawed again, once, and another takes its place', async () => {
  const stand = createStand();
  const pool = open(stand);
  await pool.full();
  const [waiting] = stand.made;
  const before = Date.now();

  const first = await boot(pool, 'run-1');
  await pool.full();
  const second = await boot(pool, 'run-2');

  expect(first.info).toMatchObject({ pooled: true });
  expect([first.id, second.id]).toEqual(stand.made.slice(0, 2).map(({ id }) => id));
  expect(first.id).not.toBe(second.id);
  const [, time, entropy] = /^mayfly-thaw 1\ntime (\d+)\nentropy ([\w+/=]+)\nend\n$/.exec(waiting?.messages.at(-1) ?? '') ?? [];
  expect(Number(time)).toBeGreaterThanOrEqual(before);
  expect(Buffer.from(entropy ?? '', 'base64')).toHaveLength(128);
  expect(stand.asked.some(({ id }) => id.startsWith('run-'))).toBe(false);
  await pool.drain();
});

test('who finds it empty, or asks for a smaller VM, or one with a larger disk, gets one as if there were no pool', async () => {
  const stand = createStand();
  const none = open(stand, { size: 0 });
  await none.full();
  expect((await boot(none, 'run-1')).id).toBe('run-1');

  const pool = open(stand);
  await pool.full();
  const smaller = { ...vm, cpus: 1, memoryMib: 512 };
  const small = await boot(pool, 'run-2', smaller);
  const large = await boot(pool, 'run-4', { ...vm, diskGib: 12 });
  // No disk is smaller than the one that waits.
  const whole = await boot(pool, 'run-3', { ...vm, diskGib: 4 });

  expect([small.id, small.info.pooled]).toEqual(['run-2', false]);
  expect([large.id, large.info.pooled]).toEqual(['run-4', false]);
  expect(stand.asked.find(({ id }) => id === 'run-2')?.size).toEqual(smaller);
  expect(whole.info.pooled).toBe(true);
  expect(await pool.sweep()).toEqual(['swept']);
  await pool.drain();
});

test('one whose thaw fails is thrown away, and the run gets another', async () => {
  const bad: string[] = [];
  const stand = createStand({ answer: (id) => (bad.includes(id) ? 'error time' : 'ok') });
  const pool = open(stand, { size: 2 });
  await pool.full();
  bad.push(...stand.made.slice(0, 1).map(({ id }) => id));

  const given = await boot(pool, 'run-1');

  expect(given.id).toBe(stand.made[1]?.id);
  expect(stand.disposed).toEqual(bad);
  await pool.drain();
});

test('one that is lost or old while it waits is replaced', async () => {
  const stand = createStand();
  const pool = open(stand);
  await pool.full();
  stand.made[0]?.lose();
  await pool.full();
  expect(stand.disposed).toEqual([stand.made[0]?.id]);
  expect((await boot(pool, 'run-1')).id).toBe(stand.made[1]?.id);
  await pool.drain();

  const aged = createStand();
  const brief = open(aged, { maxAgeMs: 1 });
  await expect.poll(() => aged.disposed.length).toBeGreaterThan(1);
  await brief.drain();
  expect(aged.disposed.toSorted()).toEqual(aged.made.map(({ id }) => id).toSorted());
});

test('one that cannot be thrown away is told of, and replaced all the same', async () => {
  const stand = createStand({ leaves: (number) => (number === 1 ? Promise.reject(new Error('EMFILE')) : Promise.resolve([])) });
  const lines: string[] = [];
  const pool = open(stand, { log: pino({ level: 'error' }, { write: (line) => void lines.push(line) }) });
  await pool.full();
  stand.made[0]?.lose();
  await expect.poll(() => stand.made.length).toBe(2);
  await pool.drain();
  expect(lines).toEqual([expect.stringContaining('a VM of the pool could not be thrown away')]);
});

test('a boot that fails is tried again, but not at once', async () => {
  const stand = createStand({ refuse: (number) => number === 1 });
  const pool = open(stand, { retryMs: 60_000 });
  expect((await boot(pool, 'run-1')).id).toBe('run-1');
  expect(stand.asked.map(({ id }) => id)).toEqual([expect.stringMatching(/^pool-/), 'run-1']);
  await pool.drain();

  const later = createStand({ refuse: (number) => number === 1 });
  const patient = open(later, { retryMs: 1 });
  await patient.full();
  expect(later.asked).toHaveLength(2);
  await patient.drain();
});

test('none is made while the host lacks the memory that one may claim', async () => {
  const stand = createStand();
  let availableMib = vm.memoryMib - 1;
  const pool = open(stand, { retryMs: 1, availableMib: () => availableMib });
  expect((await boot(pool, 'run-1')).info.pooled).toBe(false);
  expect(stand.asked).toHaveLength(1);

  availableMib = vm.memoryMib;
  await pool.full();

  expect((await boot(pool, 'run-2')).info.pooled).toBe(true);
  await pool.drain();
});

test('drained, it leaves nothing and holds nobody up', async () => {
  const stand = createStand();
  const pool = open(stand, { size: 3 });
  await pool.full();

  expect(await pool.drain()).toEqual([]);

  expect(stand.disposed.toSorted()).toEqual(stand.made.map(({ id }) => id).toSorted());
  expect((await boot(pool, 'run-1')).id).toBe('run-1');
  expect(stand.made).toHaveLength(4);
  await pool.full();
});

test('drained in the middle of a boot, it cancels that and throws the VM away', async () => {
  const stand = createStand();
  const pool = open(stand);
  await pool.drain();
  expect(stand.disposed).toEqual(stand.made.map(({ id }) => id));
  expect(stand.asked[0]?.signal.aborted).toBe(true);
});

test('drained while one is being thrown away, it waits for that, and tells what is left of it', async () => {
  const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const leaves = async (number: number) => {
    if (number > 1) return [];
    begun.resolve();
    await end.promise;
    return ['/run/vms/first'];
  };
  const stand = createStand({ leaves });
  const pool = open(stand);
  await pool.full();
  stand.made[0]?.lose();
  await begun.promise;

  const told: string[] = [];
  const drained = pool.drain().then((left) => told.push(...left, 'drained'));
  await turn();
  expect(told).toEqual([]);
  end.resolve();
  await drained;

  expect(told).toEqual(['/run/vms/first', 'drained']);
  expect(stand.disposed).toEqual([stand.made[0]?.id]);
});
