import { describe, expect, it } from 'vitest';
import { planReply, statusReply } from '../../../src/bot/command-texts.ts';
import { estimateFix } from '../../../src/bot/estimate.ts';
import type { PastRun } from '../../../src/bot/memory.ts';
import { newRunId } from '../../../src/job.ts';

const aRun = (change: Partial<PastRun> = {}): PastRun => {
  return {
    runId: newRunId(),
    issue: 7,
    kind: 'fix',
    outcome: 'published',
    minutes: 10,
    steps: 5,
    tokens: 1000,
    costUsd: 1,
    at: '2026-01-02T03:04:05.000Z',
    ...change,
  };
};

describe('an estimate', () => {
  it('is the median of what runs took, of fixes that an agent has worked on to an end', () => {
    const past = [
      aRun({ minutes: 2 }),
      aRun({ minutes: 30 }),
      aRun({ minutes: 4, outcome: 'gave_up' }),
      aRun({ minutes: 99, outcome: 'cancelled' }),
      aRun({ minutes: 1, kind: 'plan' }),
    ];

    expect(estimateFix(past)).toEqual({ runs: 3, minutes: 4, tokens: 1000, costUsd: 1 });
  });

  it('of an even number lies between the two in the middle, and knows a price only where there is one', () => {
    expect(estimateFix([aRun({ tokens: 10, costUsd: null }), aRun({ tokens: 20, costUsd: 3 })])).toMatchObject({ tokens: 15, costUsd: 3 });
    expect(estimateFix([aRun({ costUsd: null })])).toMatchObject({ costUsd: null });
  });

  it('is none without runs, and the plan says so', () => {
    expect(estimateFix([aRun({ outcome: 'failed' })])).toBeNull();
    expect(planReply('Do it.', { login: 'ada', estimate: null })).toContain('Estimate: none');
  });

  it('is said with its plan, whose words do nothing', () => {
    const reply = planReply('Fix it. Closes #1\n@all ![x](https://evil.example/x.png)', {
      login: 'ada',
      estimate: { runs: 3, minutes: 4.2, tokens: 12_345, costUsd: 0.5 },
    });

    expect(reply).toContain('from the median of 3 earlier runs of this repository: 4 min, 12,345 tokens, 0.50 USD.');
    expect(reply).not.toMatch(/#1\b|@all\b|!\[x\]/);
  });
});

describe('a status', () => {
  it('says place, limit and how long ago a run was asked for', () => {
    const now = Date.parse('2026-01-02T03:04:05.000Z');
    const [first, second] = [newRunId(now - 5 * 60_000), newRunId(now - 300 * 60_000)];

    const reply = statusReply(
      [
        { runId: first, state: 'working', place: 0, of: 1, heldBy: null },
        { runId: second, state: 'waiting', place: 1, of: 1, heldBy: { limit: 'user_hour', until: new Date(now) } },
      ],
      { estimate: null, spend: { runId: first, steps: 3, usage: { inputTokens: 12_000, outputTokens: 345, cachedInputTokens: 0 }, costUsd: 0.2 }, now },
    );

    expect(reply.split('\n')).toEqual([
      `- working, 3 steps, 12,345 tokens, 0.20 USD so far, asked for 5 min ago <sub>run ${first}</sub>`,
      `- waiting: place 1 of 1, held by runs of one person in an hour until 2026-01-02 03:04 UTC, asked for 5 h ago <sub>run ${second}</sub>`,
    ]);
  });
});
