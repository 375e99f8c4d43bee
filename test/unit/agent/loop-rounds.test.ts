import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import { different, handIn, lastMessages, listing, play } from '../../support/play-agent.ts';
import type { PlannedReply } from '../../support/scripted-model.ts';

describe('a later round', () => {
  it('goes on in the same history with what the host says', async () => {
    const { model, agent, attempt } = play([listing, handIn, different(1), handIn]);
    await attempt;

    expect(await agent.work('One test fails now.')).toMatchObject({ ended: { kind: 'submitted' }, steps: 4, usage: { inputTokens: 400 } });

    expect(model.questions[2]?.messages.map((message) => message.role)).toEqual(['user', 'assistant', 'tool', 'assistant', 'tool', 'user']);
    expect(model.questions[2]?.messages.slice(0, 3)).toEqual(model.questions[1]?.messages);
    expect(lastMessages(model.questions[2], 2)).toEqual([
      { role: 'tool', results: [{ id: 'call_0', name: 'submit', text: 'Handed in.', failed: false }] },
      { role: 'user', text: 'One test fails now.' },
    ]);
  });

  it('writes on in the transcript, with an end for each round', async () => {
    const { records, agent, attempt } = play([handIn, handIn]);
    await attempt;
    await agent.work('Again.');

    expect(records.map((record) => record['role'] ?? record['kind'])).toEqual([
      'start',
      'user',
      'assistant',
      'tool',
      'end',
      'user',
      'assistant',
      'tool',
      'end',
    ]);
  });

  it('counts every limit over all rounds, and asks to wrap up once', async () => {
    const { model, agent, attempt } = play([different(1), handIn, different(2), different(3)], { limits: { steps: 4 } });
    await attempt;

    expect(await agent.work('Again.')).toMatchObject({ ended: { kind: 'limit', limit: 'steps' }, steps: 4 });
    expect(await agent.work('And again.')).toMatchObject({ ended: { kind: 'limit', limit: 'steps' }, steps: 4 });
    expect(model.questions).toHaveLength(4);
  });

  it('counts the time at work', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const stuck: PlannedReply = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new FixError('cancelled')), { once: true });
        vi.advanceTimersByTime(60_000);
      });
    const { model, agent, attempt } = play([stuck], { limits: { hardTimeMs: 60_000 } });
    await attempt;

    expect(await agent.work('Again.')).toMatchObject({ ended: { kind: 'limit', limit: 'time' } });
    expect(model.questions).toHaveLength(1);
  });

  it('begins with patience: silence and malformed calls of before are forgotten', async () => {
    const { agent, attempt } = play([{ text: 'a' }, { text: 'b' }, { text: 'c' }, { text: 'd' }, handIn]);

    expect(await attempt).toMatchObject({ ended: { kind: 'stopped' } });
    expect(await agent.work('Hand it in.')).toMatchObject({ ended: { kind: 'submitted' } });
  });
});
