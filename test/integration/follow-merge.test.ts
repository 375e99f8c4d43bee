/** The base merged into a pull request of ours, with real git in folders of this host. */
import { beforeEach, expect, it } from 'vitest';
import type { PushEvent } from '../../src/bot/conflict-intake.ts';
import type { FixJob } from '../../src/job.ts';
import { describeFollow } from '../support/follow-world.ts';
import { createUserClient } from '../support/github/clients.ts';
import { bash, submit } from '../support/issue-world.ts';
import { calls } from '../support/scripted-model.ts';
import type { PlannedReply } from '../support/scripted-model.ts';

const files = { 'both.txt': 'one\ntwo\nthree\n', 'gone.txt': 'gone\n', 'theirs.txt': 'old\n' };
const change = { 'src.txt': 'good\n', 'both.txt': 'one\nours\nthree\n', 'new.txt': 'new\n', 'gone.txt': 'changed by us\n' };
const meanwhile = { 'both.txt': 'one\ntheirs\nthree\n', 'theirs.txt': 'changed by them\n', 'gone.txt': null };

describeFollow('a merge of the base into a pull request of ours', { files, change }, (world) => {
  beforeEach(async () => void (await world.repository.commit({ message: 'Meanwhile', files: meanwhile })));

  async function ask(): Promise<FixJob | undefined> {
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent merge' });
    return (await world.takeIn())[0];
  }
  const resolve = `sed -i -e '/^<<<<<<<\\|^=======\\|^>>>>>>>/d' -e '/^|||||||/,/^two/d' both.txt`;

  it('is a commit with two parents, with the base as it is and our files on it', async () => {
    const { main } = await world.repository.branches();
    const job = await ask();

    const { report, model } = await world.run([bash(`cat both.txt; ${resolve}`), submit({ files: ['both.txt'] })], { job });

    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    const told = JSON.stringify(model.questions[0]?.messages);
    expect(told).toContain('With conflict markers:\\n- \\"both.txt\\"');
    expect(told).toContain('- \\"gone.txt\\"');
    expect(told).toContain('Without a conflict:\\n- \\"new.txt\\"\\n- \\"src.txt\\"');
    expect(JSON.stringify(model.questions[1]?.messages)).toMatch(
      /<<<<<<< pull request r\w{15}\\nours\\n\|\|\|\|\|\|\| where they parted r\w{15}\\ntwo\\n=======\\ntheirs\\n>>>>>>> base r\w{15}/,
    );
    const { body, commits } = await world.repository.pullRequest(world.pull);
    expect(commits.at(-1).parents.map(({ sha }: { sha: string }) => sha)).toEqual([world.headSha, main]);
    expect(body.head.sha).toBe(commits.at(-1).sha);
    const read = async (path: string) => await world.repository.file(world.branch, path);
    expect([await read('both.txt'), await read('src.txt'), await read('new.txt'), await read('theirs.txt'), await read('gone.txt')]).toEqual([
      'one\nours\ntheirs\nthree\n',
      'good\n',
      'new\n',
      'changed by them\n',
      null,
    ]);
    expect(report.patch?.files.map(({ path }) => path).toSorted()).toEqual(['both.txt', 'new.txt', 'src.txt']);
  });

  it('is made by itself where the settings say so, once for each head, by the person who asked for it', async () => {
    const { deliveryId, installationId, repository, requestedAt: receivedAt } = world.job;
    const pushed = (look = 0): PushEvent => {
      return { kind: 'pushed', key: `push-${look}`, deliveryId, installationId, repository, receivedAt, settings: false, look };
    };
    await world.take(pushed());
    expect(world.queued).toEqual([]);
    await world.settings({ conflicts: true });

    await world.take(pushed());
    await world.take(pushed());

    expect(world.queued).toMatchObject([{ work: { kind: 'merge' }, pull: { headSha: world.headSha }, trigger: { kind: 'event', name: 'conflict' } }]);
    expect(world.queued[0]?.actor.login).toBe('ada');
    expect(world.delayed).toEqual([]);
  });

  const retarget = async (base: string): Promise<void> => {
    const { owner, name: repo } = world.repository;
    const ada = createUserClient(world.standIn, 'ada');
    const { main = '' } = await world.repository.branches();
    await ada.rest.git.createRef({ owner, repo, ref: `refs/heads/${base}`, sha: main });
    await world.repository.commit({ branch: base, message: 'Only there', files: { 'there.txt': 'there\n' } });
    await ada.rest.pulls.update({ owner, repo, pull_number: world.pull, base });
  };

  it('is one with the base that the pull request has when it begins', async () => {
    const job = await ask();
    await retarget('next');

    const { report } = await world.run([bash(resolve), submit({ files: ['both.txt'] })], { job });

    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    expect(await world.repository.file(world.branch, 'there.txt')).toBe('there\n');
  });

  it('is none when the pull request gets another base on the way', async () => {
    const job = await ask();
    const meantime: PlannedReply = async () => {
      await retarget('next');
      return calls(['bash', { command: resolve }]);
    };

    const { report } = await world.run([meantime, submit({ files: ['both.txt'] })], { job });

    expect(report.outcome).toEqual({ kind: 'refused', reason: 'base_changed' });
    expect((await world.repository.branches())[world.branch]).toBe(world.headSha);
  });

  it('is refused while a marker is left', async () => {
    const job = await ask();

    const { report } = await world.run([submit({ files: [] })], { job });

    expect(report.outcome).toEqual({ kind: 'refused', reason: 'conflict_markers', detail: '"both.txt"' });
    expect((await world.repository.branches())[world.branch]).toBe(world.headSha);
  });

  it('is not made when there is nothing to merge', async () => {
    const job = await ask();
    await world.run([bash(resolve), submit()], { job });

    const { report, boots } = await world.run([], { job: await ask() });

    expect(boots).toEqual([]);
    expect(report.outcome).toEqual({ kind: 'refused', reason: 'nothing_to_merge' });
  });
});
