/** How an agent ends that nothing outside has ended; each is told apart from the others. */
import { describe, expect, it } from 'vitest';
import { createFakeSandbox } from '../../support/fake-sandbox.ts';
import { different, handIn, listing, play } from '../../support/play-agent.ts';
import { calls } from '../../support/scripted-model.ts';
import type { PlannedReply } from '../../support/scripted-model.ts';

const times = (count: number, reply: PlannedReply): PlannedReply[] => Array.from({ length: count }, () => reply);

describe('an agent stops', () => {
  it.each([
    ['it falls silent', 'silent', [{ text: 'Done!' }, { text: '' }, { text: 'Really.' }]],
    ['its replies are cut', 'cut', times(3, { text: 'on and on', stop: 'length' })],
    ['it refuses', 'refusal', [listing, { text: 'I will not.', stop: 'refusal' }]],
  ] as const)('when %s', async (_title, reason, replies) => {
    expect(await play(replies).attempt).toMatchObject({ ended: { kind: 'stopped', reason } });
  });

  it('when it makes the same call with the same result 12 times', async () => {
    expect(await play(times(20, listing)).attempt).toMatchObject({ ended: { kind: 'stopped', reason: 'loop' }, steps: 12 });
  });

  it('also when the call does not take the same time', async () => {
    let took = 0;
    const sandbox = createFakeSandbox({ exec: () => ({ stdout: `1 failed in ${took++}.25s, 3 ms` }) });

    expect(await play(times(20, listing), { sandbox }).attempt).toMatchObject({ ended: { kind: 'stopped', reason: 'loop' }, steps: 12 });
  });

  it('when it makes the same call 30 times, whatever comes of it', async () => {
    let clock = 0;
    const sandbox = createFakeSandbox({ exec: () => ({ stdout: `${clock++}` }) });

    expect(await play(times(40, listing), { sandbox }).attempt).toMatchObject({ ended: { kind: 'stopped', reason: 'loop' }, steps: 30 });
  });

  it('also when all of them are in few replies, and runs none of the rest', async () => {
    const eight = calls(...Array.from({ length: 8 }, () => ['bash', { command: 'ls' }] as const));
    const sandbox = createFakeSandbox();

    expect(await play([eight, eight], { sandbox }).attempt).toMatchObject({ ended: { kind: 'stopped', reason: 'loop' }, steps: 2 });
    expect(sandbox.executed.filter((argv) => argv[4] === 'ls')).toHaveLength(12);
  });

  it('but not while it does something else in between', async () => {
    const replies = [...times(11, listing), different(1), ...times(11, listing), handIn];

    expect(await play(replies).attempt).toMatchObject({ ended: { kind: 'submitted' } });
  });
});

describe('what broke on the way', () => {
  it('counts against the limits', async () => {
    const lost = { inputTokens: 1_000_000, outputTokens: 0, cachedInputTokens: 0 };
    const broken: PlannedReply = ({ onLost }) => (onLost?.({ usage: lost }), listing);

    expect(await play([broken]).attempt).toMatchObject({ ended: { kind: 'limit', limit: 'tokens' }, steps: 1, usage: { inputTokens: 1_000_100 } });
  });
});
