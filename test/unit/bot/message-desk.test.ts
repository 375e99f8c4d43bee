import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openMessageDesk } from '../../../src/bot/message-desk.ts';
import type { PersonMessage } from '../../../src/bot/message-desk.ts';

const message = (id: number): PersonMessage => ({ id, login: 'ada', text: `message ${id}` });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function open(batches: PersonMessage[][]) {
  const events: [number, number | null][] = [];
  const log: string[] = [];
  const desk = openMessageDesk(
    { takeMessages: () => Promise.resolve(batches.shift() ?? []), closeMessages: () => Promise.resolve(void log.push('closed')) },
    ({ id }, step) => events.push([id, step]),
  );
  return { desk, events, log };
}

it('shows a message as queued before the agent asks for it, and as given when it does', async () => {
  const { desk, events } = open([[message(1)]]);

  await vi.advanceTimersByTimeAsync(3_000);
  expect(events).toEqual([[1, null]]);

  expect(await desk.take(4)).toEqual([message(1)]);
  expect(events.at(-1)).toEqual([1, 4]);
  expect(await desk.take(5)).toEqual([]);
});

it('gives back at its end what nobody took, and looks no more', async () => {
  const batches = [[message(1)], [], [message(2)]];
  const { desk, log } = open(batches);
  await desk.take(1);

  await vi.advanceTimersByTimeAsync(3_000);
  expect(await desk.close(1)).toEqual([message(2)]);
  expect(log).toEqual(['closed']);

  batches.push([message(3)]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(batches).toHaveLength(1);
});

it('gives back what was taken for a step that no model answered, and what an earlier run left', async () => {
  const { desk, events } = open([[], [message(2)]]);
  desk.put([message(1)]);

  expect(await desk.take(1)).toEqual([message(1)]);
  expect(await desk.take(4)).toEqual([message(2)]);

  expect(desk.hasEarlier).toBe(true);
  expect(events).toEqual([
    [1, null],
    [1, 1],
    [2, null],
    [2, 4],
  ]);
  expect(await desk.close(3)).toEqual([message(2)]);
});

it('misses nothing that was said while it looked for the last time', async () => {
  const first = Promise.withResolvers<PersonMessage[]>();
  const looks = [first.promise, Promise.resolve([message(1)])];
  const desk = openMessageDesk({ takeMessages: () => looks.shift() ?? Promise.resolve([]), closeMessages: () => Promise.resolve() }, () => {});
  await vi.advanceTimersByTimeAsync(3_000);

  const closing = desk.close(0);
  first.resolve([]);

  expect(await closing).toEqual([message(1)]);
});
