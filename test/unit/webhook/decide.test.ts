import { describe, expect, test } from 'vitest';
import { IntakeEvent } from '../../../src/webhook/event.ts';
import { decide } from '../../../src/webhook/decide.ts';
import type { TriggerPolicy } from '../../../src/webhook/decide.ts';
import { aCommentPayload, anIssuesPayload } from '../../support/payloads.ts';

const policy: TriggerPolicy = { allowBots: [], appId: 99 };
const bodySha256 = 'ab'.repeat(32);

const decideOn = (event: string, payload: unknown, change: Partial<TriggerPolicy> = {}) =>
  decide({ event, deliveryId: 'guid-1', bodySha256, receivedAt: '2026-01-02T03:04:05.000Z', payload }, { ...policy, ...change });

const bot = { login: 'helper[bot]', type: 'Bot', id: 66 };

describe('a label', () => {
  test('of a person on an open issue is taken in with the text as it was', () => {
    const decision = decideOn('issues', anIssuesPayload());

    expect(decision).toEqual({
      intake: {
        version: 2,
        kind: 'labeled',
        label: 'mayfly',
        key: `label-17-7-${bodySha256}`,
        deliveryId: 'guid-1',
        installationId: 55,
        repository: { id: 17, owner: 'acme', name: 'engine', private: true, defaultBranch: 'trunk' },
        issue: { number: 7, title: 'It breaks', body: 'Here is how.', isPullRequest: false },
        actor: { id: 31, login: 'ada' },
        receivedAt: '2026-01-02T03:04:05.000Z',
      },
    });
  });

  test('of any name is taken in, because which one starts a run is for the settings of the repository to say', () => {
    expect(decideOn('issues', anIssuesPayload({ label: 'bug' }))).toMatchObject({ intake: { kind: 'labeled', label: 'bug' } });
  });

  test.each([
    ['on a closed issue', anIssuesPayload({ issue: { state: 'closed' } }), 'the issue is closed'],
    ['on a pull request', anIssuesPayload({ issue: { pull_request: { url: 'x' } } }), 'a pull request'],
    ['by a bot', anIssuesPayload({ sender: bot }), 'sent by a bot'],
    ['by a bot that calls itself a person', anIssuesPayload({ sender: { login: 'Helper[Bot]' } }), 'sent by a bot'],
    ['by an organization', anIssuesPayload({ sender: { type: 'Organization' } }), 'sent by a bot'],
  ])('%s is ignored', (_name, payload, reason) => {
    expect(decideOn('issues', payload)).toEqual({ ignore: reason });
  });

  test('by a bot that the operator named is taken in', () => {
    expect(decideOn('issues', anIssuesPayload({ sender: bot }), { allowBots: ['Helper[bot]'] })).toHaveProperty('intake.actor.login', 'helper[bot]');
  });

  test('by a bot is not let in by a star', () => {
    expect(decideOn('issues', anIssuesPayload({ sender: bot }), { allowBots: ['*'] })).toEqual({ ignore: 'sent by a bot' });
  });

  test('taken away by a person cancels; taken away by a bot, as we do at the start of a run, does not', () => {
    expect(decideOn('issues', anIssuesPayload({ action: 'unlabeled' }))).toMatchObject({ intake: { kind: 'unlabeled', key: `unlabel-17-7-${bodySha256}` } });
    expect(decideOn('issues', anIssuesPayload({ action: 'unlabeled', sender: bot }))).toEqual({ ignore: 'sent by a bot' });
  });
});

describe('a closed, deleted or moved issue', () => {
  test.each(['closed', 'deleted', 'transferred'])('(%s) cancels, whoever did it', (action) => {
    expect(decideOn('issues', anIssuesPayload({ action, sender: bot, issue: { state: 'closed' } }))).toMatchObject({
      intake: { kind: 'closed', key: `closed-17-7-${bodySha256}` },
    });
  });
});

describe('a comment', () => {
  test('with a command is taken in under its id', () => {
    const decision = decideOn('issue_comment', aCommentPayload({ comment: { body: 'Hm.\n/agent fix the tests too' } }));

    expect(decision).toMatchObject({ intake: { kind: 'command', key: 'comment-4711', commentId: 4711, command: 'fix', instruction: 'the tests too' } });
  });

  test('on a pull request says so', () => {
    expect(decideOn('issue_comment', aCommentPayload({ issue: { pull_request: {} } }))).toHaveProperty('intake.issue.isPullRequest', true);
  });

  test.each([
    ['without a command', aCommentPayload({ comment: { body: 'Nice work.' } }), 'no command'],
    ['that quotes a command', aCommentPayload({ comment: { body: '> /agent fix' } }), 'no command'],
    ['by a bot', aCommentPayload({ sender: bot, comment: { user: bot } }), 'sent by a bot'],
    ['that somebody else wrote', aCommentPayload({ comment: { user: { id: 1, login: 'eve', type: 'User' } } }), 'the sender did not write the comment'],
    ['that our App wrote for a person', aCommentPayload({ comment: { performed_via_github_app: { id: 99 } } }), 'our own comment'],
    ['with our marker', aCommentPayload({ comment: { body: '<!-- mayfly:status -->\n\n/agent fix' } }), 'our own comment'],
    ['that was edited', aCommentPayload({ action: 'edited' }), 'not an event of ours'],
    ['that was deleted', aCommentPayload({ action: 'deleted' }), 'not an event of ours'],
  ])('%s is ignored', (_name, payload, reason) => {
    expect(decideOn('issue_comment', payload)).toEqual({ ignore: reason });
  });

  test('of our own is ignored although the operator allows our bot', () => {
    const own = { login: 'mayfly[bot]', type: 'Bot', id: 98 };
    const payload = aCommentPayload({ sender: own, comment: { user: own, performed_via_github_app: { id: 99 } } });

    expect(decideOn('issue_comment', payload, { allowBots: ['mayfly[bot]'] })).toEqual({ ignore: 'our own comment' });
  });
});

describe('any payload', () => {
  test.each([
    ['another event', 'pull_request', anIssuesPayload()],
    ['the body of another event', 'issue_comment', anIssuesPayload()],
    ['a name that carries the action', 'issues.labeled', anIssuesPayload()],
    ['a name of the language', 'constructor', {}],
    ['null', 'issues', null],
    ['a list', 'issues', []],
    ['an action that is no text', 'issues', { action: {} }],
  ])('%s is not ours', (_name, event, payload) => {
    expect(decideOn(event, payload)).toEqual({ ignore: 'not an event of ours' });
  });

  test.each(['installation', 'repository', 'sender', 'issue'])('without %s is ignored, and the reason names it', (field) => {
    expect(decideOn('issues', { ...anIssuesPayload(), [field]: undefined })).toEqual({ ignore: `payload lacks ${field}` });
  });

  test('has its text cut to what a job may hold, never through a character', () => {
    const decision = decideOn('issues', anIssuesPayload({ issue: { title: `${'t'.repeat(1023)}😀`, body: 'b'.repeat(70_000) } }));

    expect(decision).toHaveProperty('intake.issue.title', 't'.repeat(1023));
    expect(decision).toHaveProperty('intake.issue.body.length', 65_536);
  });

  test('becomes an event that the worker can parse, also at its largest', () => {
    const payload = aCommentPayload({ comment: { body: `/agent ${'x'.repeat(80_000)}` }, issue: { title: 't'.repeat(9_000), body: null } });

    const decision = decideOn('issue_comment', payload);

    expect('intake' in decision && IntakeEvent.safeParse(decision.intake).success).toBe(true);
  });
});

describe('a push', () => {
  const origin = anIssuesPayload() as Record<string, unknown>;
  const push = (change: Record<string, unknown> = {}) =>
    decideOn('push', { ...origin, action: undefined, ref: 'refs/heads/trunk', forced: false, commits: [], ...change });
  const touching = (path: string) => [{ added: [], modified: [path], removed: [] }];

  test('that touches the settings file of the default branch says so, whoever made it', () => {
    // Not the commit: a branch that is forced back to one that it had before has changed, too.
    const wanted = { intake: { kind: 'pushed', key: `push-17-${bodySha256}`, settings: true } };

    expect(push({ commits: touching('.github/mayfly.yml') })).toMatchObject(wanted);
    expect(push({ commits: touching('.github/mayfly.yml'), sender: bot })).toMatchObject(wanted);
    expect(push({ commits: [{ added: [], modified: [], removed: ['.github/mayfly.yml'] }] })).toMatchObject(wanted);
  });

  test('that may have touched it unseen says so, too', () => {
    expect(push({ forced: true })).toMatchObject({ intake: { settings: true } });
    expect(push({ commits: Array.from({ length: 2048 }, () => touching('a')[0]) })).toMatchObject({ intake: { settings: true } });
  });

  test('with other files is taken in for what it may conflict with; to another branch it is not', () => {
    expect(push({ commits: touching('.github/mayfly.yml'), ref: 'refs/heads/other' })).toEqual({ ignore: 'another branch' });
    expect(push({ commits: touching('.github/mayfly.yml'), ref: 'refs/tags/trunk' })).toEqual({ ignore: 'another branch' });
    expect(push({ commits: touching('src/mayfly.yml') })).toMatchObject({ intake: { kind: 'pushed', settings: false, look: 0 } });
  });

  test('and a pull request fit the form of an intake event', () => {
    const pull = { number: 9, head: { sha: 'd'.repeat(40), repo: { id: 17 } }, base: { ref: 'next' } };
    const proposed = decideOn('pull_request', { ...origin, action: 'synchronize', pull_request: pull });

    expect(proposed).toMatchObject({
      intake: { kind: 'settings_proposed', pull: { number: 9, headSha: 'd'.repeat(40), base: 'next', fork: false }, key: `settings-17-9-${'d'.repeat(40)}` },
    });
    for (const decision of [proposed, push({ forced: true })]) expect('intake' in decision && IntakeEvent.safeParse(decision.intake).success).toBe(true);
    for (const repo of [null, undefined, { id: 18 }]) {
      const outside = decideOn('pull_request', { ...origin, action: 'opened', pull_request: { ...pull, head: { ...pull.head, repo } } });
      expect(outside).toHaveProperty('intake.pull.fork', true);
    }
    expect(decideOn('pull_request', { ...origin, action: 'edited', pull_request: pull })).toEqual({ ignore: 'not an event of ours' });
  });
});

describe('an installation', () => {
  test.each(['created', 'deleted', 'new_permissions_accepted'])('that is %s opens nothing by itself', (action) => {
    expect(decideOn('installation', { ...(anIssuesPayload() as object), action })).toEqual({ ignore: 'not an event of ours' });
  });

  test.each(['added', 'removed'])('whose repositories are %s opens nothing by itself', (action) => {
    expect(decideOn('installation_repositories', { ...(anIssuesPayload() as object), action })).toEqual({ ignore: 'not an event of ours' });
  });
});
