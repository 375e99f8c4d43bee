import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import { createFakeSandbox } from '../../support/fake-sandbox.ts';
import { different, handIn, listing, play, userTexts } from '../../support/play-agent.ts';
import type { PlannedReply } from '../../support/scripted-model.ts';

describe('the limits', () => {
  it.each([
    ['steps', { steps: 2 }],
    ['tokens', { tokens: 150 }],
    ['cost', { costUsd: 0.15 }],
  ] as const)('end the run when %s are used up', async (limit, changed) => {
    const { attempt } = play([different(1), different(2)], { limits: changed, usdPerToken: 0.001 });

    expect(await attempt).toMatchObject({ ended: { kind: 'limit', limit }, steps: 2 });
  });

  it('count no money when the price is not known', async () => {
    expect(await play([listing, handIn], { limits: { costUsd: 0.000001 } }).attempt).toMatchObject({ ended: { kind: 'submitted' }, costUsd: null });
  });

  it.each([
    ['tokens', { tokens: 1_500 }],
    ['cost', { costUsd: 1.5 }],
  ] as const)('hold between the tries of one question, too: %s', async (limit, changed) => {
    let tries = 0;
    const storm: PlannedReply = ({ signal, onLost }) => {
      while (!signal.aborted && tries < 10) onLost?.({ usage: { inputTokens: 1_000, outputTokens: (tries += 1), cachedInputTokens: 0 } });
      throw new FixError('cancelled');
    };

    expect(await play([storm], { limits: changed, usdPerToken: 0.001 }).attempt).toMatchObject({ ended: { kind: 'limit', limit }, steps: 0 });
    expect(tries).toBe(2);
  });

  it('are no reason for what the model fails with by itself', async () => {
    const storm: PlannedReply = ({ onLost }) => {
      onLost?.({ usage: { inputTokens: 1_000, outputTokens: 0, cachedInputTokens: 0 } });
      throw new FixError('model_unavailable');
    };

    await expect(play([storm]).attempt).rejects.toMatchObject({ code: 'model_unavailable' });
  });

  it('ask once to wrap up at 80 % of each', async () => {
    const { model, attempt } = play([different(1), different(2), different(3), different(4), handIn], { limits: { steps: 5, tokens: 560 } });

    await attempt;

    expect(userTexts(model.questions[3])).toHaveLength(1);
    const asked = userTexts(model.questions[4]).slice(1);
    expect(asked.map((text) => /out of (\w+)/.exec(text)?.[1])).toEqual(['steps']);
  });

  it('ask to wrap up at the soft time', async () => {
    const { model, attempt } = play([different(1), handIn], { limits: { softTimeMs: 0 } });

    await attempt;

    expect(userTexts(model.questions[1]).filter((text) => text.includes('out of time'))).toHaveLength(1);
  });

  it('stop a model in the middle of its answer at the hard time', async () => {
    const waiting: PlannedReply = ({ signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new FixError('cancelled')), { once: true }));

    expect(await play([waiting], { limits: { hardTimeMs: 1 } }).attempt).toMatchObject({ ended: { kind: 'limit', limit: 'time' }, steps: 0 });
  });

  it('stop a command at the hard time, and keep what was spent', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const sandbox = createFakeSandbox({
      exec: (argv, { signal }) =>
        argv[4] === 'ls'
          ? new Promise((resolve) => {
              signal?.addEventListener('abort', () => resolve({ ended: 'cancelled', exitCode: null }), { once: true });
              vi.advanceTimersByTime(60_000);
            })
          : {},
    });

    expect(await play([listing], { sandbox, limits: { hardTimeMs: 60_000 } }).attempt).toMatchObject({ ended: { kind: 'limit', limit: 'time' }, steps: 1 });
  });
});

describe('a hard time that a guest does not heed', () => {
  it('is a limit all the same: the machine is thrown away, and the work is not begun again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const sandbox = createFakeSandbox({
      exec: (argv, { signal }) =>
        argv[4] === 'ls'
          ? new Promise((_resolve, reject) => {
              signal?.addEventListener('abort', () => (sandbox.lose(), reject(new FixError('sandbox_lost'))), { once: true });
              vi.advanceTimersByTime(60_000);
            })
          : {},
    });

    expect(await play([listing], { sandbox, limits: { hardTimeMs: 60_000 } }).attempt).toMatchObject({ ended: { kind: 'limit', limit: 'time' }, steps: 1 });
  });
});
