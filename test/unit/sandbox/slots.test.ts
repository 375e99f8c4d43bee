import { describe, expect, test } from 'vitest';
import { createSlots } from '../../../src/sandbox/slots.ts';

describe('slots', () => {
  test('are given up to the limit, then in the order in which they were asked for', async () => {
    const slots = createSlots(2);
    const order: string[] = [];
    const [first, second] = [await slots.take(), await slots.take()];
    const third = slots.take().then((release) => (order.push('third'), release));
    const fourth = slots.take().then((release) => (order.push('fourth'), release));
    expect(order).toEqual([]);

    first?.();
    (await third)?.();
    await fourth;
    second?.();

    expect(order).toEqual(['third', 'fourth']);
  });

  test('come back as null when the signal aborts first, and are not lost by it', async () => {
    const slots = createSlots(1);
    const controller = new AbortController();
    const held = await slots.take();
    const given = slots.take(controller.signal);
    const next = slots.take();

    controller.abort();
    expect(await given).toBeNull();
    expect(await slots.take(AbortSignal.abort())).toBeNull();
    held?.();

    expect(await next).toBeTypeOf('function');
  });
});
