/** What the settings of a repository on the stand-in GitHub make of a trigger: a run, a sentence, or silence. */
import { beforeEach, describe, expect, it } from 'vitest';
import { takeIn } from '../../src/bot/intake.ts';
import type { Intake } from '../../src/bot/scene.ts';
import type { Operator } from '../../src/settings/operator.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareWithRepository } from '../support/github/shared.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';
import { alone } from '../support/in-turn.ts';
import { captureLog } from '../support/capture-log.ts';
import { createMemory } from '../support/memory.ts';

let standIn: StandInGitHub;
let seeded: StandInRepository;
shareWithRepository((...made) => ([standIn, seeded] = made));

const commit = async (text: string): Promise<string> => await seeded.commit({ message: 'settings', files: { '.github/mayfly.yml': text } });

describe('what a trigger finds', () => {
  const event = (change: Partial<Intake> = {}): Intake => ({
    kind: 'labeled',
    key: 'label-1',
    deliveryId: 'd-1',
    installationId: standIn.app.installationId,
    repository: { id: seeded.id, owner: seeded.owner, name: seeded.name, private: true, defaultBranch: 'main' },
    issue: { number: 1, title: 'It breaks', body: 'Here is how, in more words than are needed.', isPullRequest: false },
    actor: { id: 31, login: 'ada' },
    receivedAt: '2026-01-02T03:04:05.000Z',
    label: 'mayfly',
    ...change,
  });
  /** Whether a run was queued. */
  const take = async (change: Partial<Intake> = {}, operator: Operator = silentOperator): Promise<boolean> => {
    const added: unknown[] = [];
    await seeded.label({ as: 'ada', issue: 1, label: change.label ?? 'mayfly' });
    const queue = {
      addRun: (job: unknown) => Promise.resolve(added.push(job) > 0),
      hasRun: () => Promise.resolve(false),
      cancelIssue: () => Promise.resolve([]),
      find: () => Promise.resolve([]),
      tell: () => Promise.resolve('none' as const),
    };
    await takeIn(
      event(change),
      {
        github: openPort(standIn, seeded).github,
        operator,
        queue,
        memory: createMemory(),
        countOutsider: () => 1,
        inTurn: alone,
        signal: new AbortController().signal,
      },
      captureLog().log,
    );
    return added.length > 0;
  };
  const allowing = (...value: readonly string[]): Operator => ({
    ...silentOperator,
    ceilings: { 'triggers.bots': { value, variable: 'MAYFLY_ALLOW_BOTS', given: true } },
  });
  const said = async (): Promise<readonly string[]> => (await seeded.comments(1)).map(({ body }) => String(body));
  beforeEach(async () => void (await seeded.createIssue({ as: 'ada', title: 'It breaks' })));

  it('is the label that the settings name, and no other', async () => {
    await commit('label: Fix me\n');

    expect([await take(), await take({ label: 'fix ME' })]).toEqual([false, true]);
  });

  it('is silence for less than the settings ask for', async () => {
    await commit('triggers: {permission: maintain}\n');

    expect(await take()).toBe(false);
    expect(await said()).toEqual([]);
    await seeded.setPermission('ada', 'maintain');
    expect(await take()).toBe(true);
  });

  it('is silence for a bot that the settings do not name', async () => {
    const asked = { actor: { id: 33, login: 'renovate[bot]' } };
    await commit('triggers: {bots: ["helper[bot]"]}\n');

    expect(await take(asked, allowing('renovate[bot]', 'helper[bot]'))).toBe(false);
    await commit('triggers: {bots: ["renovate[bot]"]}\n');
    expect(await take(asked, allowing('Renovate[bot]', 'helper[bot]'))).toBe(true);
  });

  it('is silence for a bot that the operator does not name, and for a name without access that no App can have', async () => {
    await commit('triggers: {bots: ["renovate[bot]", mallory]}\n');

    expect(await take({ actor: { id: 33, login: 'renovate[bot]' } }, allowing('helper[bot]'))).toBe(false);
    expect(await take({ actor: { id: 34, login: 'mallory' } }, allowing('mallory'))).toBe(false);
    expect(await said()).toEqual([]);
  });

  it('is one sentence with the issue that says what is broken, and no run', async () => {
    await commit('tset: x\n');

    expect(await take()).toBe(false);
    expect(await said()).toEqual([expect.stringContaining('@ada Not done: `.github/mayfly.yml` on the default branch is broken. #2 says what to correct')]);
    await commit('test: x\n');
    expect(await take({ deliveryId: 'd-2' })).toBe(true);
    expect((await seeded.issue(2)).state).toBe('closed');
  });

  it('is one sentence where Mayfly is turned off', async () => {
    await commit('enabled: false\n');

    expect(await take()).toBe(false);
    expect(await said()).toEqual([expect.stringContaining('`enabled: false`')]);
  });
});
