/** Many, two at a time: every one reaches its first command, nothing is left of any. Prints how long they took; `npm run bench` measures. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lacksForGuests, openGuestHost, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const lacking = await lacksForGuests();
if (lacking !== null) process.stderr.write(`skipped: guests, because ${lacking}\n`);

/** A guest that boots under emulation keeps one processor busy. */
const atOnce = 2;

describe.skipIf(lacking !== null)('two at a time', () => {
  let host: GuestHost;
  beforeAll(async () => {
    host = await openGuestHost();
  });
  afterAll(async () => {
    await host?.close();
  });

  test.each([
    { kind: 'restores', count: 24, coldBoot: false },
    { kind: 'cold boots', count: 8, coldBoot: true },
  ])('$count $kind reach their first command and leave nothing', { timeout: 400_000 }, async ({ kind, count, coldBoot }) => {
    const bootMs: number[] = [];
    const disposeMs: number[] = [];
    const bootOne = async (): Promise<void> => {
      const sandbox = await host.boot({ coldBoot });
      const result = await sandbox.exec(['echo', sandbox.id]);
      const started = performance.now();
      expect(await sandbox.dispose()).toEqual([]);
      disposeMs.push(performance.now() - started);
      expect(await tracesOf(sandbox.id, host.options)).toEqual([]);
      expect(result.stdout).toBe(`${sandbox.id}\n`);
      expect(sandbox.info.restored).toBe(!coldBoot);
      bootMs.push(sandbox.info.bootMs);
    };
    for (let index = 0; index < count; index += atOnce) await Promise.all(Array.from({ length: atOnce }, bootOne));
    expect(bootMs).toHaveLength(count);
    process.stderr.write(`${count} ${kind}, ${atOnce} at a time: ${percentiles(bootMs)}; dispose: ${percentiles(disposeMs)}\n`);
  });

  test('four at once all reach their first command', async () => {
    const sandboxes = await Promise.all(Array.from({ length: 4 }, () => host.boot()));
    const left = await Promise.all(sandboxes.map((sandbox) => sandbox.dispose()));
    expect(left.flat()).toEqual([]);
  });
});

function percentiles(values: readonly number[]): string {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): string => `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)}`;
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, max ${at(1)} ms`;
}
