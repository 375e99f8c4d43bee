/** Reviews of our pull requests: which comments become one run, and what each thread hears of it. */
import { expect, it } from 'vitest';
import { describeFollow } from '../support/follow-world.ts';
import { bash, submit } from '../support/issue-world.ts';

const lines = ['good', 'two', 'three', 'four', 'five'];

describeFollow('a review of a pull request of ours', { change: { 'src.txt': lines.join('\n') } }, (world) => {
  const at = (line: number, body: string) => ({ path: 'src.txt', line, body });
  const threadsTold = async (): Promise<readonly (readonly [number, string])[]> =>
    (await world.repository.reviewComments(world.pull)).filter(({ user }) => user.type === 'Bot').map(({ in_reply_to_id: to, body }) => [to, body] as const);

  it('with four comments is one run, one commit, and one answer in each thread that is open', async () => {
    const comments = [at(1, 'Why good?'), at(2, 'Say deux.'), at(3, 'Say trois.'), at(4, 'Solved already.')];
    const review = await world.repository.review({ as: 'ada', pull: world.pull, event: 'REQUEST_CHANGES', body: 'In French, please.', comments });
    const [why = 0, two = 0, three = 0, four = 0] = review.comments;
    world.repository.resolveThread(four);
    world.repository.outdateThread(three);

    const [job, ...more] = await world.takeIn();

    expect(more).toEqual([]);
    expect(job).toMatchObject({ key: `review-${world.repository.id}-${review.id}`, work: { instruction: 'In French, please.' } });
    expect(job?.work.kind === 'revise' && job.work.requests.map(({ commentId, outdated, line }) => [commentId, outdated, line])).toEqual([
      [why, false, 1],
      [two, false, 2],
      [three, true, null],
    ]);
    expect([why, two, three, four].map((id) => world.repository.reviewReactions(id))).toEqual([['eyes'], ['eyes'], ['eyes'], []]);

    const replies = [
      { comment: why, addressed: false, text: 'The test asks for it, @ada. Closes #1.' },
      { comment: two, addressed: true, text: 'It says deux.' },
    ];
    const { report, model } = await world.run([bash('sed -i s/two/deux/ src.txt'), submit({ replies })], { job });

    const lists = world.standIn.requests.filter(({ method, path }) => method === 'GET' && new RegExp(`/pulls/${world.pull}/comments`).test(path));
    expect(lists).toHaveLength(1);
    const short = (await world.repository.branches())[world.branch]?.slice(0, 7) ?? '';
    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    const told = JSON.stringify(model.questions[0]?.messages);
    for (const part of [`Comment ${two} of ada`, 'Say deux.', '+two', 'those lines have changed since', 'In French, please.']) expect(told).toContain(part);
    expect(told).not.toContain('Solved already.');
    const answers = new Map(await threadsTold());
    expect([...answers.keys()]).toEqual([why, two, three]);
    expect(answers.get(why)).toMatch(/^Not changed: The test asks for it, @\u200bada\. Closes #\u200b1\./);
    expect(answers.get(two)).toMatch(new RegExp(`^Done in ${short}: It says deux\\.\\n`));
    expect(answers.get(three)).toMatch(
      new RegExp(
        `^${short} was made for this review\\. The agent did not say what became of this comment: please look\\. The lines that this stands at have changed`,
      ),
    );
    expect(world.repository.reviewReactions(two)).toEqual(['eyes', 'rocket']);
  });

  it('of more threads than a run takes is said to be several, and each thread is in one', { timeout: 180_000 }, async () => {
    await world.repository.commit({ branch: world.branch, message: 'Long', files: { 'long.txt': 'x\n'.repeat(60) }, by: 'ada' });
    const comments = Array.from({ length: 52 }, (_, index) => ({ path: 'long.txt', line: index + 1, body: `Say ${index}.` }));
    const { comments: ids } = await world.repository.review({ as: 'ada', pull: world.pull, event: 'COMMENT', comments });

    const jobs = await world.takeIn();

    const requests = jobs.map(({ work }) => (work.kind === 'revise' ? work.requests.map(({ commentId }) => commentId) : []));
    expect(requests).toEqual([ids.slice(0, 50), ids.slice(50)]);
    expect((await world.repository.comments(world.pull)).map(({ body }) => body).join()).toContain('@ada 52 threads wait for an answer, and one run takes 50');
  });

  it('is what a retry does again, with all its comments, and not what was asked before it', async () => {
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent say better' });
    const { comments } = await world.repository.review({ as: 'ada', pull: world.pull, event: 'REQUEST_CHANGES', comments: [at(2, 'Say deux.')] });
    const [, review] = await world.takeIn();

    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent retry' });
    const [again] = await world.takeIn();

    expect(review?.work).toMatchObject({ kind: 'revise', instruction: null, requests: [{ commentId: comments[0] }] });
    expect(again?.work).toEqual(review?.work);
    expect(again?.trigger.kind).toBe('comment');
  });

  it('that approves and says nothing at lines starts nothing, and so does one of an outsider', async () => {
    await world.repository.review({ as: 'ada', pull: world.pull, event: 'APPROVE', body: 'Good.' });
    await world.repository.review({ as: 'ada', pull: world.pull, event: 'COMMENT', body: 'Interesting.' });
    await world.repository.setPermission('bob', 'read');
    await world.repository.review({ as: 'bob', pull: world.pull, event: 'REQUEST_CHANGES', body: 'All of it.', comments: [at(1, 'No.'), at(2, 'No.')] });

    expect(await world.takeIn()).toEqual([]);
    expect(await world.takeInDelayed()).toEqual([]);
    expect(await world.repository.comments(world.pull)).toEqual([]);
  });

  it('takes what outsiders say in its threads for no request', async () => {
    await world.repository.setPermission('bob', 'read');
    await world.repository.remark({ as: 'bob', pull: world.pull, ...at(1, 'Add my key.') });
    await world.repository.review({ as: 'ada', pull: world.pull, event: 'REQUEST_CHANGES', body: 'Shorter.' });

    const [job] = await world.takeIn();

    expect(job?.work).toEqual({ kind: 'revise', instruction: 'Shorter.', requests: [] });
  });

  it('collects single comments until nobody has added one for a while', async () => {
    await world.settings({ quietSeconds: 1 });
    const one = await world.repository.remark({ as: 'ada', pull: world.pull, ...at(1, 'First.') });
    const two = await world.repository.remark({ as: 'ada', pull: world.pull, ...at(2, 'Second.') });

    expect(await world.takeIn()).toEqual([]);
    expect(new Set(world.delayed.map(({ delayMs }) => delayMs))).toEqual(new Set([1_000]));
    const early = await world.takeInDelayed();
    const jobs = [...early];
    while (jobs.length === 0) jobs.push(...(await world.takeInDelayed()));

    expect(jobs).toMatchObject([
      {
        work: {
          requests: [
            { commentId: one, body: 'First.' },
            { commentId: two, body: 'Second.' },
          ],
        },
      },
    ]);
    expect(await world.takeInDelayed()).toEqual([]);
  });

  it('hears what was said in a thread after our answer, and nothing twice', async () => {
    const review = await world.repository.review({ as: 'ada', pull: world.pull, event: 'COMMENT', comments: [at(1, 'Why?'), at(2, 'And why?')] });
    const [first = 0, second = 0] = review.comments;
    const [job] = await world.takeIn();
    await world.run([submit({ noChange: true, summary: 'It is right.', replies: [{ comment: first, addressed: false, text: 'Because.' }] })], { job });
    const answers = new Map(await threadsTold());
    expect(answers.get(first)).toMatch(/^Not changed: Because\./);
    expect(answers.get(second)).toMatch(/^Nothing was changed, and the agent did not say why/);
    expect(world.repository.reviewReactions(first)).toEqual(['eyes', 'confused']);

    await world.settings({ quietSeconds: 1 });
    await world.repository.remark({ as: 'ada', pull: world.pull, inReplyTo: first, body: 'Not convinced.' });
    await world.takeIn();
    while (world.queued.length === 1) await world.takeInDelayed();
    const [, next] = world.queued;

    expect(next?.work).toMatchObject({ requests: [{ commentId: first, body: expect.stringMatching(/^\(earlier, ada: Why\?\)\n\nada: Not convinced\.$/) }] });
    expect(next?.work.kind === 'revise' && next.work.requests).toHaveLength(1);
  });

  it('with a command in it is an instruction', async () => {
    await world.repository.review({ as: 'ada', pull: world.pull, event: 'COMMENT', body: '/agent say better' });

    expect(await world.takeIn()).toMatchObject([{ work: { kind: 'revise', instruction: 'say better', requests: [] }, trigger: { kind: 'review' } }]);
  });
});
