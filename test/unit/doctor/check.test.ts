import { describe, expect, test } from 'vitest';
import { examine, notChecked, ok, once, problem, reasonOf } from '../../../src/doctor/check.ts';
import type { Check } from '../../../src/doctor/check.ts';
import { FixError } from '../../../src/errors.ts';

const never = new AbortController().signal;
const check = (name: string, look: Check['look']): Check => ({ group: 'host', name, look });

describe('examine', () => {
  test('takes every look at once, and keeps their order', async () => {
    const both = Promise.withResolvers<undefined>();
    const first = check('first', async () => {
      await both.promise;
      return ok('1');
    });
    const second = check('second', async () => {
      both.resolve(undefined);
      return ok('2');
    });

    const findings = await examine([first, second], { signal: never, deadlineMs: 5000 });

    expect(findings.map(({ name, found }) => [name, found])).toEqual([
      ['first', '1'],
      ['second', '2'],
    ]);
  });

  test('says of a look that does not end by itself that there was no answer, and tells it to stop', async () => {
    const told = Promise.withResolvers<void>();
    const deaf = check('deaf', async (signal) => {
      signal.addEventListener('abort', () => told.resolve());
      return await new Promise(() => {});
    });

    const findings = await examine([deaf, check('quick', async () => ok('fine'))], { signal: never, deadlineMs: 20 });

    expect(findings).toEqual([
      { group: 'host', name: 'deaf', ...notChecked('no answer within 0.02 s') },
      { group: 'host', name: 'quick', ...ok('fine') },
    ]);
    await told.promise;
  });

  test('waits longer for a look that needs it, and tells none of the others to stop before', async () => {
    const slow = Promise.withResolvers<void>();
    const shared = once(async (signal) => {
      await slow.promise;
      return signal.aborted ? problem('told to stop', '') : ok('read');
    });
    const hasty = check('hasty', shared);
    const patient: Check = { ...check('patient', shared), deadlineMs: 60_000 };
    const last = check('last', async () => {
      await new Promise((resolve) => setTimeout(resolve, 40));
      slow.resolve();
      return ok('');
    });

    const findings = await examine([hasty, patient, { ...last, deadlineMs: 60_000 }], { signal: never, deadlineMs: 20 });

    expect(findings.map(({ found }) => found)).toEqual(['no answer within 0.02 s', 'read', '']);
  });

  test('says why a look could not be taken', async () => {
    const failing = check('failing', async () => {
      throw new FixError('host_incomplete', { details: { missing: 'qemu' } });
    });

    const [finding] = await examine([failing], { signal: never, deadlineMs: 5000 });

    expect(finding).toMatchObject({ status: 'not_checked', found: expect.stringContaining('(qemu)') as string });
  });

  test('ends at once when it is stopped', async () => {
    const stop = new AbortController();
    const waiting = examine([check('deaf', () => new Promise(() => {}))], { signal: stop.signal, deadlineMs: 60_000 });
    stop.abort(new FixError('cancelled'));

    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
  });
});

test('what several looks need is read once', async () => {
  let reads = 0;
  const read = once(async () => ++reads);

  expect(await Promise.all([read(never), read(never)])).toEqual([1, 1]);
});

test('a reason is what the innermost cause says', () => {
  const refused = new Error('connect ECONNREFUSED 127.0.0.1:1');

  expect(reasonOf(new TypeError('fetch failed', { cause: new AggregateError([refused]) }))).toBe(refused.message);
  expect(reasonOf(problem)).toBe('it failed for an unknown reason');
});
