import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { processorMs } from '../support/processor-time.ts';

/** Squares up to it, added up: work that cannot be left out. */
const count = (rounds: number) => {
  let sum = 0;
  for (let index = 0; index < rounds; index++) sum += Math.sqrt(index);
  return sum;
};

it('sees work that grows', async () => {
  const small = await processorMs(() => count(1_000_000));

  expect(await processorMs(() => count(30_000_000))).toBeGreaterThan(small * 3);
});

it('does not count what others do meanwhile', async () => {
  const busy = 'const until = performance.now() + 300; while (performance.now() < until);';

  expect(await processorMs(() => once(new Worker(busy, { eval: true }), 'exit'))).toBeLessThan(200);
});
