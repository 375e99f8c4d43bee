/** Words on a pull request that a first reading would lose: at a line, in a review, while a run works, after a crash. */
import { expect, it } from 'vitest';
import { describeFollow } from '../support/follow-world.ts';
import { bash, submit } from '../support/issue-world.ts';

describeFollow('on a pull request of ours', { change: { 'src.txt': 'good\ntwo\n' } }, (world) => {
  const at = (line: number, body: string) => ({ path: 'src.txt', line, body });
  const head = async (): Promise<string | undefined> => (await world.repository.branches())[world.branch];
  const answers = async (): Promise<readonly string[]> =>
    (await world.repository.reviewComments(world.pull)).filter(({ user }) => user.type === 'Bot').map(({ body }) => body as string);

  it('an instruction at a line is about that line, and is answered there, also while another run works', async () => {
    const comment = await world.repository.remark({ as: 'ada', pull: world.pull, ...at(2, '/agent say deux') });
    world.atWork.push('working');
    const [job] = await world.takeIn();

    const { model } = await world.run([bash('sed -i s/two/deux/ src.txt'), submit({ replies: [{ comment, addressed: true, text: 'It does.' }] })], { job });

    expect(job?.work).toMatchObject({ instruction: null, requests: [{ commentId: comment, path: 'src.txt', line: 2, body: 'say deux' }] });
    expect(JSON.stringify(model.questions[0]?.messages)).toContain('+two');
    expect(await answers()).toEqual([expect.stringMatching(/^Done in [0-9a-f]{7}: It does\./)]);
    expect(world.repository.reviewReactions(comment)).toEqual(['eyes', 'rocket']);
  });

  it('a review whose words are a command is obeyed', async () => {
    await world.repository.review({ as: 'ada', pull: world.pull, event: 'APPROVE', body: '/agent ci' });

    expect(await world.takeIn()).toEqual([]);

    expect((await world.repository.comments(world.pull)).at(-1)?.body).toMatch(/^Workflows may run now/);
    expect(await head()).not.toBe(world.headSha);
  });

  it('a run that waited goes on from what another run of ours put there', async () => {
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent say better' });
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent say best' });
    const [first, second] = await world.takeIn();
    await world.run([bash('echo good, better > src.txt'), submit()], { job: first });
    const between = await head();

    const { report } = await world.run([bash('echo good, best > src.txt'), submit()], { job: second });
    const again = await world.run([], { job: second });

    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    const { commits } = await world.repository.pullRequest(world.pull);
    expect(commits).toHaveLength(3);
    expect(commits[2].parents[0].sha).toBe(between);
    expect(again.report.outcome).toEqual(report.outcome);
    expect(await world.repository.checks(between ?? '')).not.toContainEqual(expect.objectContaining({ status: 'in_progress' }));
  });

  it('what a run pushed stays its own when somebody pushes on it before it is told', async () => {
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent say better' });
    const [job] = await world.takeIn();
    const first = await world.run([bash('echo good, better > src.txt'), submit()], { job });
    await world.repository.commit({ branch: world.branch, message: 'By hand', files: { 'by-hand.txt': 'x\n' }, by: 'ada' });

    const { report } = await world.run([], { job });

    expect(report.outcome).toEqual(first.report.outcome);
  });

  it('a thread is answered once, although the attempt was made again', async () => {
    const comments = [at(1, 'Why?'), at(2, 'Say deux.')];
    const { comments: ids } = await world.repository.review({ as: 'ada', pull: world.pull, event: 'COMMENT', comments });
    const [job] = await world.takeIn();
    const replies = ids.map((comment: number) => ({ comment, addressed: true, text: 'It does.' }));
    await world.run([bash('sed -i s/two/deux/ src.txt'), submit({ replies })], { job });

    await world.run([], { job });

    expect(await answers()).toEqual([expect.stringMatching(/^Done in/), expect.stringMatching(/^Done in/)]);
  });

  it('work that has nowhere to go is kept, and `/agent retry` does a review again', async () => {
    await world.repository.review({ as: 'ada', pull: world.pull, event: 'COMMENT', comments: [at(1, 'Why?'), at(2, 'Say deux.')] });
    const [job] = await world.takeIn();
    const onBoot = (id: string): void => {
      if (id.endsWith('-proof')) void world.repository.commit({ branch: world.branch, message: 'By hand', files: { 'by-hand.txt': 'x\n' }, by: 'ada' });
    };
    const { report } = await world.run([bash('sed -i s/two/deux/ src.txt'), submit()], { job, onBoot });
    const [status] = await world.repository.comments(world.pull);
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent retry' });
    const [again] = await world.takeIn();

    expect(report.outcome).toEqual({ kind: 'refused', reason: 'stale_base' });
    const held = `mayfly/pull-${world.pull}-held`;
    expect(report.heldBranch).toBe(held);
    expect(await world.repository.file(held, 'src.txt')).toBe('good\ndeux\n');
    expect(status?.body).toContain(held);
    expect(status?.body).not.toContain('/agent resume');
    expect(again?.work).toEqual(job?.work);
  });
});
