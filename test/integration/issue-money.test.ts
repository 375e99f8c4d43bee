/** What people read of a run that money, or its model, ended: the run is real, its VMs are folders of this host. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { createModels } from '../../src/model/create-models.ts';
import { aShare } from '../support/budget.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';
import { createScriptedModel, onlyModel } from '../support/scripted-model.ts';
import type { PlannedReply } from '../support/scripted-model.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: how runs end for their money or model was not tested: ${reason}\n`);

const makeGood = bash('echo good > src.txt');
const times = (count: number, reply: PlannedReply): PlannedReply[] => Array.from({ length: count }, () => reply);
const tooLong: PlannedReply = () => {
  throw new FixError('model_input_too_long');
};
/** 0.11 USD a step. */
const priced = (replies: readonly PlannedReply[], name = 'scripted/model') => createScriptedModel(replies, { usdPerToken: 0.001, name });

describe.skipIf(reason)('a run', () => {
  it('goes back in silence when a budget of the day is spent, also at its last attempt', async () => {
    await using world = await createIssueWorld();
    const openBudget = () => Promise.reject(new FixError('over_limit'));

    await expect(world.run([], { attempt: { openBudget, lastAttempt: true } })).rejects.toMatchObject({ code: 'over_limit' });

    expect(await world.comments()).toEqual([]);
  });

  it('asks for money when any price is known, and for tokens alone otherwise', async () => {
    await using world = await createIssueWorld();
    const wanted: unknown[] = [];
    const openBudget = (asked: unknown) => (wanted.push(asked), Promise.reject(new FixError('over_limit')));

    await expect(world.run([], { attempt: { openBudget } })).rejects.toMatchObject({ code: 'over_limit' });
    await expect(world.run([], { models: onlyModel(createScriptedModel([])), attempt: { openBudget } })).rejects.toMatchObject({ code: 'over_limit' });

    expect(wanted).toEqual([
      { costUsd: 5, tokens: 100_000, costUsdPerDay: 25 },
      { costUsd: null, tokens: 100_000, costUsdPerDay: 25 },
    ]);
  });

  it('ends with what is left of the day, a step over it at most, and tells each step of it', async () => {
    await using world = await createIssueWorld();
    const share = aShare({ usd: 0.3 });

    const { report } = await world.run([makeGood, bash('true'), bash('date'), submit()], { attempt: { openBudget: () => Promise.resolve(share) } });

    expect(report).toMatchObject({ outcome: { kind: 'gave_up', limit: 'daily_budget', budget: { scope: 'repository', unit: 'usd' } }, steps: 3 });
    expect(report.patch?.files.map(({ path }) => path)).toEqual(['src.txt']);
    expect(share.told.map((told) => (told === 'closed' ? told : [Math.round(told.costUsd * 100), told.tokens]))).toEqual([
      [11, 110],
      [22, 220],
      [33, 330],
      'closed',
    ]);
    expect((await world.comments())[1]).toContain("used up what was left of today's budget of this repository (25 USD)");
  });

  it('ends between the tries of one question when those have used up the day, and tells each', async () => {
    await using world = await createIssueWorld();
    const share = aShare({ usd: 0.3 });
    const storm: PlannedReply = ({ signal, onLost }) => {
      for (let tries = 0; tries < 6 && !signal.aborted; tries++) onLost?.({ usage: { inputTokens: 100, outputTokens: 0, cachedInputTokens: 0 } });
      throw new FixError(signal.aborted ? 'cancelled' : 'model_unavailable');
    };

    const { report } = await world.run([makeGood, storm], { attempt: { openBudget: () => Promise.resolve(share) } });

    expect(report).toMatchObject({ outcome: { kind: 'gave_up', limit: 'daily_budget' }, steps: 1, costUsd: expect.closeTo(0.31) });
    expect(share.told.map((told) => (told === 'closed' ? told : told.tokens))).toEqual([110, 210, 310, 310, 'closed']);
  });

  it('has told what it spent when it fails, and gives its share back', async () => {
    await using world = await createIssueWorld();
    const share = aShare();
    const lost = { inputTokens: 1000, outputTokens: 0, cachedInputTokens: 0 };
    const gone: PlannedReply = ({ onLost }) => {
      onLost?.({ usage: lost });
      throw new FixError('model_busy');
    };

    const { report } = await world.run([makeGood, gone], { attempt: { openBudget: () => Promise.resolve(share), lastAttempt: true } });

    expect(report.outcome).toEqual({ kind: 'failed', code: 'model_busy' });
    expect(share.told.at(-2)).toEqual({ costUsd: expect.closeTo(1.11), tokens: 1110 });
    expect(share.told.at(-1)).toBe('closed');
    const [living, reply] = await world.comments();
    expect(living).toContain('1 step, 1,110 tokens, 1.11 USD. Model: `scripted/model` (price of the script).');
    expect(reply).toMatch(/^@ada The model vendor turned every request away/);
  });

  it.each([
    ['loop', [makeGood, ...times(12, bash('true'))], 'round in circles'],
    ['refusal', [makeGood, { text: 'No.', stop: 'refusal' }], 'refused to go on'],
    ['too_long', [makeGood, tooLong, tooLong], 'does not read as much'],
    ['cut', [makeGood, ...times(3, { text: 'long', stop: 'length' })], 'were cut off'],
    ['silent', times(3, { text: 'Done.' }), 'without a change'],
  ] as const)('of an agent that stopped (%s) says so, and opens no pull request', async (why, replies, words) => {
    await using world = await createIssueWorld();

    const { report, boots } = await world.run(replies);

    expect(report.outcome).toEqual({ kind: 'stopped', reason: why });
    expect(boots).toEqual(['agent']);
    expect(report.patch?.files.length ?? 0).toBe(why === 'silent' ? 0 : 1);
    const [living, reply] = await world.comments();
    expect(living).toContain('**Mayfly: gave up.** The agent stopped');
    expect(reply).toContain(words);
    expect(await world.repository.pullRequests()).toEqual([]);
  });

  it('proves what an agent left that only fell silent', async () => {
    await using world = await createIssueWorld();

    const { report } = await world.run([makeGood, ...times(3, { text: 'Done.' })]);

    expect(report).toMatchObject({ outcome: { kind: 'published' }, proof: { verdict: 'proven' } });
    expect((await world.repository.pullRequests())[0]?.body).toContain('The agent stopped without handing its work in.');
  });

  it('goes on with the fallback, and the pull request says which model did what at which price', async () => {
    await using world = await createIssueWorld();
    const away = (): never => {
      throw new FixError('model_unavailable');
    };
    const models = {
      'a/first': priced([bash('ls'), away], 'a/first'),
      'b/second': createScriptedModel([makeGood, submit()], { name: 'b/second' }),
    };
    const create = (name: string) => models[name as keyof typeof models];

    const { report } = await world.run([], { models: createModels({ names: ['a/first'], fallback: 'b/second', create, log: pino({ level: 'silent' }) }) });

    expect(report).toMatchObject({
      outcome: { kind: 'published' },
      steps: 3,
      costUsd: 0.11,
      models: [
        { name: 'a/first', steps: 1, costUsd: 0.11 },
        { name: 'b/second', steps: 2, costUsd: null },
      ],
    });
    const said =
      'Models: `a/first` (1 step, 110 tokens, 0.11 USD; price of the script), then `b/second` (2 steps, 220 tokens, price not known, so only tokens are counted), because the first one did not answer.';
    expect((await world.repository.pullRequests())[0]?.body).toContain(said);
    expect((await world.comments())[0]).toContain(said);
  });

  it('works with the model that the repository chose from the list', async () => {
    await using world = await createIssueWorld({ '.github/mayfly.yml': 'model: b/second\n' });
    const create = (name: string) => priced([makeGood, submit()], name);

    const { report } = await world.run([], {
      models: createModels({ names: ['a/first', 'b/second'], fallback: null, create, log: pino({ level: 'silent' }) }),
    });

    expect(report).toMatchObject({ outcome: { kind: 'published' }, models: [{ name: 'b/second' }] });
  });

  it('is refused when the repository chose another one, and says which there are', async () => {
    await using world = await createIssueWorld({ '.github/mayfly.yml': 'model: c/third\n' });
    const create = (name: string) => priced([], name);

    const { report, boots } = await world.run([], {
      models: createModels({ names: ['a/first', 'b/second'], fallback: 'c/third', create, log: pino({ level: 'silent' }) }),
    });

    expect(boots).toEqual([]);
    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'settings_invalid' });
    expect((await world.comments())[1]).toContain('model: c/third is not allowed here; choose one of: a/first, b/second');
  });
});
