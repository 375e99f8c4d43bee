/** Comments and labels, from GitHub's webhook to what people read: real web role, queue and git; the VMs are folders of this host. */
import { afterEach, describe, expect, it } from 'vitest';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, submit } from '../support/issue-world.ts';
import { aCommentPayload } from '../support/payloads.ts';
import { redisIsMissing } from '../support/redis.ts';
import { calls } from '../support/scripted-model.ts';
import type { PlannedReply } from '../support/scripted-model.ts';
import { startSteering } from '../support/steering.ts';
import type { Steering, SteeringOptions } from '../support/steering.ts';

const reason = whyNoSshd() ?? (redisIsMissing() ? 'it needs redis-server' : null);
if (reason) process.stderr.write(`SKIPPED: steering of runs was not tested: ${reason}\n`);

let bot: Steering | null = null;
afterEach(async () => {
  await bot?.[Symbol.asyncDispose]();
  bot = null;
});
const start = async (options?: SteeringOptions): Promise<Steering> => (bot = await startSteering(options));

/** A reply that is given when the test lets it. */
function gate(reply: ReturnType<typeof calls>): { readonly reached: Promise<void>; open(): void; readonly reply: PlannedReply } {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: opened.resolve,
    async reply(question) {
      reached.resolve();
      const { signal } = question as { signal?: AbortSignal };
      await Promise.race([opened.promise, new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))]);
      return reply;
    },
  };
}

const textOf = (question: Steering['model']['questions'][number] | undefined): string =>
  (question?.messages ?? []).map((message) => (message.role === 'user' ? message.text : '')).join('\n');

describe.skipIf(reason)('steering', { timeout: 120_000 }, () => {
  it('stops a run in the middle, keeps its work, and goes on from there', async () => {
    const never = gate(calls(['bash', { command: 'true' }]));
    const world = await start({
      replies: [
        bash('echo half > half.txt; rm package.json; git checkout package.json'),
        never.reply,
        bash('cat half.txt && echo good > src.txt'),
        submit({ files: ['src.txt', 'half.txt'] }),
      ],
    });
    await world.comment('/agent only the file');
    await never.reached;

    const stop = await world.comment('/agent stop');
    const stopped = await world.nextReport();

    expect(stopped).toMatchObject({ outcome: { kind: 'cancelled', by: 'ada' }, proof: null, heldBranch: `mayfly/issue-${world.issue}-held` });
    expect(await world.repository.file(stopped.heldBranch ?? '', 'half.txt')).toBe('half\n');
    expect(await world.repository.pullRequests()).toEqual([]);
    expect((await world.comments()).join('\n')).toMatch(/stopped by `ada`[\s\S]*`\/agent resume` goes on[\s\S]*1 step/);
    expect(await world.reactionsOf(stop)).toEqual(['eyes', 'rocket']);

    const resume = await world.comment('/agent resume');
    const resumed = await world.nextReport();

    expect(resumed.outcome).toMatchObject({ kind: 'published' });
    expect(textOf(world.model.questions[2])).toMatch(/An earlier run was ended[^<]*<earlier-\w+>\nhalf\.txt\n/);
    expect(textOf(world.model.questions[2])).toMatch(/<request-\w+>\nonly the file\n/);
    const [pull] = await world.repository.pullRequests();
    const { files, body } = await world.repository.pullRequest(pull.number);
    expect(files.map((file) => file.filename)).toEqual(['half.txt', 'src.txt']);
    expect(body.base.ref).toBe('main');
    expect(await world.reactionsOf(resume)).toEqual(['eyes', 'rocket']);
  });

  it('does not go on from a branch that somebody has changed', async () => {
    const never = gate(calls(['bash', { command: 'true' }]));
    const world = await start({ replies: [bash('echo half > half.txt'), never.reply] });
    await world.comment('/agent fix');
    await never.reached;
    await world.comment('/agent stop');
    const { heldBranch } = await world.nextReport();
    await world.repository.commit({ branch: heldBranch ?? '', message: 'Mine', files: { 'evil.txt': 'x' } });

    await world.comment('/agent resume');
    const { outcome, sandbox } = await world.nextReport();

    expect(outcome).toEqual({ kind: 'refused', reason: 'held_moved' });
    expect(sandbox).toBeNull();
    expect((await world.comments()).at(-1)).toMatch(/^@ada Not done: the branch with the work so far has changed/);
  });

  it('passes a message to the agent before its next step', async () => {
    const first = gate(bash('echo good > src.txt') as ReturnType<typeof calls>);
    const world = await start({ replies: [first.reply, submit()] });
    await world.comment('/agent fix');
    await first.reached;

    const id = await world.comment('/agent also handle null <!-- hidden -->');
    expect(await world.reactionsOf(id)).toEqual(['eyes']);
    first.open();
    const report = await world.nextReport();

    expect(report.outcome).toMatchObject({ kind: 'published' });
    expect(textOf(world.model.questions[1])).toMatch(/people with write access have said this[^<]*\n<message-\w+>\nada:\n\nalso handle null\n<\/message-/);
  });

  it('says that a message came too late, and begins the next run with it', async () => {
    const last = gate(submit({ noChange: true }) as ReturnType<typeof calls>);
    const world = await start({ replies: [last.reply, submit({ noChange: true })] });
    await world.comment('/agent fix');
    await last.reached;

    await world.comment('/agent also handle null');
    last.open();
    await world.nextReport();

    expect((await world.comments()).at(-1)).toMatch(
      /^@ada The run ended before its agent could read your last message\. The next run here begins with it: `\/agent` starts/,
    );

    await world.comment('/agent fix');
    await world.nextReport();

    expect(textOf(world.model.questions[1])).toMatch(/<request-\w+>\nalso handle null\n/);
    expect((await world.comments()).filter((text) => text.includes('could read your last message'))).toHaveLength(1);
  });

  it('shows what a run has used so far', async () => {
    const second = gate(submit({ noChange: true }) as ReturnType<typeof calls>);
    const world = await start({ replies: [bash('true'), second.reply] });
    await world.comment('/agent fix');
    await second.reached;

    await world.comment('/agent status');

    expect((await world.comments()).at(-1)).toMatch(/^- working, 1 step, \d+ tokens, \d+\.\d\d USD so far, asked for 0 min ago/);
    second.open();
    await world.nextReport();
  });

  /** A run that writes a word and is stopped, and one that goes on from there and writes nothing. */
  const resumeWith = async (word: string) => {
    const never = gate(calls(['bash', { command: 'true' }]));
    const world = await start({ replies: [bash(`echo ${word} > src.txt`), never.reply, submit({ resolves: true })] });
    await world.comment('/agent fix');
    await never.reached;
    await world.comment('/agent stop');
    const { heldBranch } = await world.nextReport();
    await world.comment('/agent resume');
    return { world, heldBranch: heldBranch ?? 'none', resumed: await world.nextReport() };
  };

  it('publishes nothing on resume when that adds nothing to the work so far', async () => {
    const { world, heldBranch, resumed } = await resumeWith('half');

    expect(resumed).toMatchObject({ outcome: { kind: 'no_change', resumed: true }, heldBranch });
    expect(await world.repository.pullRequests()).toEqual([]);
    const comments = await world.comments();
    expect(comments.at(-1)).toMatch(/^@ada The run added nothing to the work so far, so no pull request was opened, and that work stays/);
    expect(comments.join('\n')).toMatch(new RegExp(`no change[^]*The work so far is on the branch \`${heldBranch}\`[^]*\`/agent resume\``));
  });

  it('publishes on resume what was complete, when the tests show it', async () => {
    const { resumed } = await resumeWith('good');

    expect(resumed.outcome).toMatchObject({ kind: 'published' });
    expect(resumed.notes.join()).toContain('added nothing to what an earlier one had left');
  });

  it('approves no plan that was shown after the words', async () => {
    const world = await start({ replies: [submit({ summary: 'One.' }), submit({ summary: 'Two.' }), submit({ noChange: true })] });
    await world.comment('/agent plan');
    await world.nextReport();
    const id = await world.comment('Well.');
    await world.comment('/agent plan other');
    await world.nextReport();
    const { number, title, body, user } = await world.repository.issue(world.issue);
    const late = { comment: { id, body: '/agent approve', user }, issue: { number, title, body }, sender: { login: 'ada', id: user.id } };

    await world.deliver('issue_comment', aCommentPayload(late));

    expect((await world.comments()).at(-1)).toMatch(/^@ada Not started: the plan here was shown after you wrote that[^]*`\/agent approve` again/);
    await world.comment('/agent approve');
    expect((await world.nextReport()).outcome).toEqual({ kind: 'no_change' });
    expect(textOf(world.model.questions[2])).toContain('Two.');
  });

  it('makes a plan that changes nothing, and carries it out once it is approved', async () => {
    const world = await start({
      replies: [bash('echo scratch > scratch.txt'), submit({ summary: 'Write good into src.txt. Closes #1, @all' }), bash('echo good > src.txt'), submit()],
    });

    const asked = await world.comment('/agent plan the smallest change');
    const planned = await world.nextReport();

    expect(planned).toMatchObject({ outcome: { kind: 'planned' }, patch: null });
    expect(await world.repository.branches()).toEqual({ main: expect.any(String) });
    const plan = (await world.comments()).at(-1) ?? '';
    expect(plan).toMatch(/^@ada This is the plan[\s\S]*> Write good into src\.txt\.[\s\S]*Estimate: none[\s\S]*`\/agent approve`/);
    expect(plan).not.toMatch(/Closes #1\b|@all\b/);
    expect(await world.reactionsOf(asked)).toEqual(['eyes', 'rocket']);
    expect(textOf(world.model.questions[0])).toMatch(/^This run makes a plan and changes nothing/);

    await world.comment('/agent approve');
    const done = await world.nextReport();

    expect(done.outcome).toMatchObject({ kind: 'published' });
    expect(textOf(world.model.questions[2])).toMatch(/has approved[^<]*<plan-\w+>\nWrite good into src\.txt/);
    expect(textOf(world.model.questions[2])).toMatch(/<request-\w+>\nthe smallest change\n/);
  });

  it('makes a new plan instead when the issue has changed', async () => {
    const world = await start({ replies: [submit({ summary: 'The first plan.' }), submit({ summary: 'The second plan.' })] });
    await world.comment('/agent plan');
    await world.nextReport();
    await world.edit({ body: 'It should say better, as its name promises to everybody.' });

    await world.comment('/agent approve');
    const second = await world.nextReport();

    expect(second.outcome).toEqual({ kind: 'planned' });
    const comments = await world.comments();
    expect(comments.filter((text) => text.includes('The issue has changed since the plan was made'))).toHaveLength(1);
    expect(comments.at(-1)).toContain('The second plan.');
    expect(textOf(world.model.questions[1])).toContain('It should say better');
  });

  it('makes a new plan on retry, too, when the issue has changed since the plan was approved', async () => {
    const world = await start({ replies: [submit({ summary: 'The first plan.' }), submit({ noChange: true }), submit({ summary: 'The second plan.' })] });
    await world.comment('/agent plan');
    await world.nextReport();
    await world.comment('/agent approve');
    expect((await world.nextReport()).outcome).toEqual({ kind: 'no_change' });
    await world.edit({ body: 'It should say better, as its name promises to everybody.' });

    await world.comment('/agent retry');
    const last = await world.nextReport();

    expect(last.outcome).toEqual({ kind: 'planned' });
    expect((await world.comments()).at(-1)).toContain('The second plan.');
  });

  it('makes a plan first where that is required, also for a label, and does the last thing again on retry', async () => {
    const world = await start({ settings: 'plan: always\n', replies: [submit({ summary: 'One.' }), submit({ summary: 'Two.' })] });

    await world.label();
    expect((await world.nextReport()).outcome).toEqual({ kind: 'planned' });
    await world.comment('/agent retry');

    expect((await world.nextReport()).outcome).toEqual({ kind: 'planned' });
    expect((await world.comments()).at(-1)).toContain('Two.');
  });
});
