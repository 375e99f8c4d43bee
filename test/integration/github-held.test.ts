/** What lies around of runs: branches with unfinished work, and pull requests whose run was stopped just then. */
import { expect, test } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { createUserClient } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { aPublishRequest, openPort } from '../support/github-port.ts';

let standIn: StandInGitHub;
shareStandIn((made) => (standIn = made));

async function seed(): Promise<{ seeded: StandInRepository; baseSha: string }> {
  const seeded = await standIn.seedRepository({ private: true, files: { 'a.txt': 'a\n' }, collaborators: [{ login: 'ada', permission: 'write' }] });
  return { seeded, baseSha: (await seeded.branches())['main'] ?? '' };
}

test('held work of before stays where somebody went on with it, or wants to merge it', async () => {
  const { seeded, baseSha } = await seed();
  const { repository } = openPort(standIn, seeded);
  const { branch, commitMessage, signal } = aPublishRequest(baseSha);
  const hold = async (text: string) =>
    await repository.hold({
      baseSha,
      files: [{ path: 'a.txt', change: { kind: 'write', mode: '100644', content: Buffer.from(text) } }],
      commitMessage,
      signal,
      branch: `${branch}-held`,
    });
  const ada = createUserClient(standIn, 'ada');
  const at = { owner: seeded.owner, repo: seeded.name };
  const first = await hold('one');
  await ada.rest.pulls.create({ ...at, head: first.branch, base: 'main', title: 'By hand' });
  const second = await hold('two');
  await seeded.commit({ by: 'ada', branch: second.branch, message: 'Mine', files: { 'mine.txt': 'x' } });
  const third = await hold('three');
  const fourth = await hold('four');

  expect(Object.keys(await seeded.branches()).toSorted()).toEqual(['main', first.branch, second.branch, fourth.branch].toSorted());
  await repository.dropHeld({ ...fourth, headSha: third.headSha });
  expect(await seeded.branches()).toHaveProperty(fourth.branch);
  await repository.dropHeld(fourth);
  expect(await seeded.branches()).not.toHaveProperty(fourth.branch);
});

test('a stop that comes when the pull request is there does not take it back', async () => {
  const { seeded, baseSha } = await seed();
  const controller = new AbortController();
  const { repository } = openPort(standIn, seeded);
  standIn.fault({ method: 'POST', path: /\/requested_reviewers$/, hang: true });

  const publishing = repository.publish(aPublishRequest(baseSha, { reviewers: ['ada'], signal: controller.signal }));
  await expect.poll(async () => (await seeded.pullRequests()).length, { timeout: 20_000 }).toBe(1);
  await expect.poll(() => standIn.faults.unused, { timeout: 20_000 }).toBe(0);
  controller.abort(new FixError('cancelled'));

  expect(await publishing).toMatchObject({ draft: true, branch: 'mayfly/issue-7' });
});
