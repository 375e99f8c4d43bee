/** What the operator says about the disks of VMs. */
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { FixError } from '../../src/errors.ts';
import { createOperator } from '../../src/operator.ts';
import { readSettings } from '../../src/settings/read.ts';

async function say(settings: string, environment: Readonly<Record<string, string>>): Promise<readonly [unknown, string] | null> {
  const operator = createOperator(loadConfig('tool', environment));
  const resolved = await readSettings({ repository: () => Promise.resolve({ text: settings }), organization: null }, operator);
  return 'effective' in resolved ? [resolved.effective.values['sandbox.diskGib'], resolved.effective.origins['sandbox.diskGib']] : null;
}

it('gives no repository a larger one until the operator says so', async () => {
  const wish = 'sandbox: {diskGib: 30}';

  expect(await say('', {})).toEqual([10, 'default']);
  expect(await say(wish, {})).toEqual([10, "repository, line 1 asked 30, operator's ceiling 10 (MAYFLY_MAX_GUEST_DISK_GIB)"]);
  expect(await say(wish, { MAYFLY_MAX_GUEST_DISK_GIB: '40' })).toEqual([30, 'repository, line 1']);
  expect(await say(wish, { MAYFLY_GUEST_DISK_GIB: '12' })).toEqual([12, "repository, line 1 asked 30, operator's ceiling 12 (MAYFLY_MAX_GUEST_DISK_GIB)"]);
});

it('says that a disk cannot be smaller than the one of the template', async () => {
  expect(await say('sandbox: {diskGib: 5}', {})).toEqual([10, 'repository, line 1 asked 5, the least here is 10 (MAYFLY_GUEST_DISK_GIB)']);
});

it('refuses a most that is less than what every VM has', () => {
  const load = (): unknown => loadConfig('tool', { MAYFLY_MAX_GUEST_DISK_GIB: '5' });

  expect(load).toThrow(FixError);
  expect(() => loadConfig('tool', { MAYFLY_GUEST_DISK_GIB: '5', MAYFLY_MAX_GUEST_DISK_GIB: '5' })).not.toThrow();
});
