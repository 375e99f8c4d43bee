/** Finished work in a real Redis, which others may write to. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createVault } from '../../src/queue/vault.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';

describe.skipIf(redisIsMissing())('finished work', () => {
  let bench: QueueBench;
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  const open = () => createVault({ redis: bench.direct, prefix: 'test', signingKey: 'k'.repeat(40) });
  const key = 'test:vault:run-1';

  test('comes back as it was kept, until it is dropped', async () => {
    const vault = open();
    expect(await vault.recall('run-1')).toBeNull();
    expect(await vault.keep('run-1', { words: 'x'.repeat(1000) })).toBe(true);

    expect(await vault.recall('run-1')).toEqual({ words: 'x'.repeat(1000) });
    await vault.drop('run-1');
    expect(await vault.recall('run-1')).toBeNull();
    expect(await vault.keep('run-1', { words: 'x'.repeat(9 * 2 ** 20) })).toBe(false);
  });

  test('that was changed, or is another run’s, is none; what the run had kept before is its own', async () => {
    const vault = open();
    await vault.keep('run-1', { number: 1 });
    const first = (await bench.direct.getBuffer(key)) ?? Buffer.alloc(0);
    await vault.keep('run-1', { number: 2 });
    await bench.direct.set('test:vault:run-2', first);

    expect(await vault.recall('run-2')).toBeNull();
    await bench.direct.set(key, Buffer.concat([first.subarray(0, -1), Buffer.from([1])]));
    expect(await vault.recall('run-1')).toBeNull();
    await bench.direct.set(key, first);
    expect(await vault.recall('run-1')).toEqual({ number: 1 });
  });

  test('is asked for in one question that bounds the answer', async () => {
    await bench.direct.set(key, randomBytes(64 * 2 ** 20));
    const asked: string[] = [];
    const watching = await bench.direct.duplicate().monitor();
    const readBefore = bench.direct.stream.bytesRead;
    watching.on('monitor', (_time: string, [command = '', of]: string[]) => void (of === key && asked.push(command.toLowerCase())));

    expect(await open().recall('run-1')).toBeNull();

    expect(bench.direct.stream.bytesRead - readBefore).toBeLessThan(9 * 2 ** 20);
    await expect.poll(() => asked).toEqual(['getrange']);
    watching.disconnect();
  });
});
