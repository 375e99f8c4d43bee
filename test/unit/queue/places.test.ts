import { expect, it } from 'vitest';
import { placesOf } from '../../../src/queue/places.ts';
import type { Entry } from '../../../src/queue/ring.ts';
import { processorMs } from '../../support/processor-time.ts';

it('takes little time, however many installations wait: it is done by a worker that has runs in hand', { timeout: 60_000 }, async () => {
  const many = 20_000;
  const names = Array.from({ length: many }, (_, index) => String(index + 1));
  const waiting = new Map(names.map((i, index): [string, Entry] => [`k${i}`, { i, r: i, u: i, runId: `r${i}`, issue: 1, limits: {}, seq: index + 1 }]));
  const scores = new Map(names.flatMap((i, index) => [`i:${i}`, `r:${i}:${i}`, `u:${i}:${i}:${i}`].map((name) => [name, (index + 1) / 1e15] as const)));
  const snapshot = { version: '1', now: 0, hands: 1, waiting, granted: new Map(), scores, holds: new Map(), counts: new Map(), working: new Set<string>() };
  const limits = { perRepository: 1, perInstallation: 3, perUserAndHour: 5, perRepositoryAndDay: 50 };
  let places: ReturnType<typeof placesOf> = new Map();

  // A look through all of them for each of them would take many times that.
  expect(await processorMs(() => (places = placesOf(snapshot, limits)))).toBeLessThan(3000);
  expect(names.every((i, index) => places.get(`k${i}`)?.place === index + 1)).toBe(true);
});
