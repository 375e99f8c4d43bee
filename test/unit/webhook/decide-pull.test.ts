import { describe, expect, test } from 'vitest';
import { decide } from '../../../src/webhook/decide.ts';
import { IntakeEvent } from '../../../src/webhook/event.ts';
import { anIssuesPayload } from '../../support/payloads.ts';

const { repository, installation, sender } = anIssuesPayload();
const origin = { repository, installation, sender };
const bot = { id: 9, login: 'mayfly[bot]', type: 'Bot' };
const ours = { number: 9, title: 'Fix it', body: null, user: bot };
const theirs = { ...ours, user: sender };
const policy = { allowBots: [], appId: 314 };

function decideOn(event: string, payload: object) {
  const decision = decide(
    { event, deliveryId: 'd', bodySha256: 'e'.repeat(64), receivedAt: '2026-01-02T03:04:05.000Z', payload: { ...origin, ...payload } },
    policy,
  );
  // The worker parses it again, and refuses what has another shape.
  return 'intake' in decision ? { intake: IntakeEvent.parse(decision.intake) } : decision;
}

describe('a review', () => {
  const submit = (review: object, pull: object = ours, more: object = {}) =>
    decideOn('pull_request_review', {
      action: 'submitted',
      pull_request: pull,
      review: { id: 71, user: sender, body: null, state: 'commented', ...review },
      ...more,
    });

  test('of a pull request of a bot is looked at, named by its id', () => {
    expect(submit({ state: 'changes_requested', body: 'No.' })).toEqual({
      intake: expect.objectContaining({
        kind: 'review',
        key: 'review-17-71',
        number: 9,
        reviewId: 71,
        state: 'changes_requested',
        body: 'No.',
        instruction: null,
      }),
    });
    expect(submit({ body: '/agent rename it' })).toMatchObject({ intake: { instruction: 'rename it' } });
  });

  test.each([
    ["of a person's pull request", [{}, theirs], "a review of a person's pull request"],
    ['of a bot', [{ user: bot }, ours, { sender: bot }], 'sent by a bot'],
    ['that somebody else hands in', [{ user: { ...sender, id: 32 } }, ours], 'the sender did not write the comment'],
    ['of ours', [{ body: '<!-- mayfly:answer 1 -->' }, ours], 'our own comment'],
  ] as [string, Parameters<typeof submit>, string][])('%s is not', (_what, review, ignore) => {
    expect(submit(...review)).toEqual({ ignore });
  });

  test.each([ours, theirs])('with another command is that command', (pull) => {
    expect(submit({ body: '/agent stop', submitted_at: '2026-01-02T03:04:00Z' }, pull)).toMatchObject({
      intake: { kind: 'command', command: 'stop', on: 'review', commentId: 71, saidAt: '2026-01-02T03:04:00Z', issue: { number: 9, isPullRequest: true } },
    });
  });

  test("of a person's pull request counts with a command in it", () => {
    expect(submit({ body: '/agent fix' }, theirs)).toMatchObject({ intake: { kind: 'review', instruction: '' } });
  });
});

describe('a comment at a line', () => {
  const say = (comment: object, pull: object = ours) =>
    decideOn('pull_request_review_comment', {
      action: 'created',
      pull_request: pull,
      comment: { id: 81, user: sender, body: 'Why?', pull_request_review_id: 71, ...comment },
    });

  test('is collected on a pull request of a bot, and a command anywhere', () => {
    expect(say({})).toMatchObject({ intake: { kind: 'remark', key: 'review-comment-81', number: 9, reviewId: 71 } });
    expect(say({}, theirs)).toEqual({ ignore: "a comment on a person's pull request" });
    expect(say({ body: '/agent rename it' }, theirs)).toMatchObject({
      intake: { kind: 'command', command: 'fix', instruction: 'rename it', commentId: 81, on: 'diff', issue: { number: 9, isPullRequest: true } },
    });
  });
});

describe('checks that ended', () => {
  const sha = 'd'.repeat(40);
  const at = (id: number) => ({ sha, repo: { id } });
  const suite = { id: 91, head_sha: sha, conclusion: 'failure', app: { id: 15_368 }, pull_requests: [{ number: 9, head: at(17), base: at(17) }] };
  const end = (change: object) => decideOn('check_suite', { action: 'completed', check_suite: { ...suite, ...change } });

  test('are looked at when they failed on the head of a pull request of this repository, whoever made them run', () => {
    expect(end({})).toMatchObject({ intake: { kind: 'checks', number: 9, headSha: sha } });
  });

  test.each([
    ['our own', { app: { id: 314 } }, 'our own checks'],
    ['those that passed', { conclusion: 'success' }, 'the checks did not fail'],
    ['those of a fork', { pull_requests: [{ number: 9, head: at(18), base: at(17) }] }, 'the checks of no pull request of this repository'],
    ['those of a branch', { pull_requests: [] }, 'the checks of no pull request of this repository'],
  ] as const)('are not: %s', (_what, change, ignore) => {
    expect(end(change)).toEqual({ ignore });
  });
});

test('a pull request that was closed ends what waits or runs for it', () => {
  expect(decideOn('pull_request', { action: 'closed', pull_request: theirs })).toMatchObject({
    intake: { kind: 'closed', issue: { number: 9, isPullRequest: true } },
  });
});
