import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openMessageDesk } from '../../../src/bot/message-desk.ts';
import type { PersonMessage } from '../../../src/bot/message-desk.ts';

const message = (id: number): PersonMessage => ({ id, login: 'ada', text: `message ${id}` });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function open(batches: PersonMessage[][]) {
  const events: [number, number | null][] = [];
  const desk = openMessageDesk(
    () => Promise.resolve(batches.shift() ?? []),
    ({ id }, step) => events.push([id, step]),
  );
  return { desk, events };
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
  const { desk } = open(batches);
  await desk.take(1);

  await vi.advanceTimersByTimeAsync(3_000);
  expect(await desk.close()).toEqual([message(2)]);

  batches.push([message(3)]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(batches).toHaveLength(1);
});
