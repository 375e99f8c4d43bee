import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAppClient, createBotClient, createUserClient, failOnViolations } from '../support/github/clients.ts';
import { createReceiver, type Received, type Receiver } from '../support/github/receiver.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { createStandInGitHub, type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;
let receiver: Receiver;
const at = ({ owner, name }: StandInRepository) => ({ owner, repo: name });

beforeAll(async () => {
  receiver = await createReceiver();
  standIn = await createStandInGitHub({ webhookUrl: receiver.url });
});
beforeEach(() => {
  receiver.received = [];
  receiver.answer = 202;
});
afterEach(() => failOnViolations(standIn));
afterAll(async () => {
  await standIn.close();
  await receiver.close();
});

const seed = () => standIn.seedRepository({ private: true, files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });

async function seedWithIssue(): Promise<{ repository: StandInRepository; issue: number }> {
  const repository = await seed();
  const issue = await repository.createIssue({ as: 'ada', title: 'Crash', body: 'It crashes.' });
  await standIn.webhooks.settled();
  receiver.received = [];
  return { repository, issue };
}

describe('a delivery', () => {
  it('is signed over its very bytes and says what GitHub says in its headers', async () => {
    const { repository, issue } = await seedWithIssue();

    await repository.label({ as: 'ada', issue, label: 'mayfly' });
    await standIn.webhooks.settled();

    const [{ headers, raw }] = receiver.received as [Received];
    expect(headers['x-hub-signature-256']).toBe(`sha256=${createHmac('sha256', standIn.app.webhookSecret).update(raw).digest('hex')}`);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'x-github-event': 'issues',
      'x-github-hook-installation-target-type': 'integration',
      'x-github-hook-installation-target-id': String(standIn.app.appId),
      'x-github-delivery': expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/),
      'user-agent': expect.stringMatching(/^GitHub-Hookshot\//),
    });
  });

  it('tells who labelled what where, in GitHub’s shape', async () => {
    const { repository, issue } = await seedWithIssue();

    await repository.label({ as: 'ada', issue, label: 'mayfly' });
    await standIn.webhooks.settled();

    expect(receiver.received.at(0)?.body).toMatchObject({
      action: 'labeled',
      label: { id: expect.any(Number), name: 'mayfly', default: false },
      issue: { number: issue, title: 'Crash', body: 'It crashes.', state: 'open', labels: [{ name: 'mayfly' }], user: { login: 'ada', type: 'User' } },
      repository: {
        id: repository.id,
        name: repository.name,
        full_name: repository.fullName,
        private: true,
        default_branch: 'main',
        owner: { login: 'acme' },
        custom_properties: {},
      },
      organization: { login: 'acme' },
      sender: { login: 'ada', type: 'User', id: expect.any(Number) },
      installation: { id: standIn.app.installationId, node_id: expect.any(String) },
    });
  });

  it('comes for each thing that happens to an issue, in order', async () => {
    const repository = await seed();
    const ada = createUserClient(standIn, 'ada');

    const issue = await repository.createIssue({ as: 'ada', title: 'x', labels: ['bug'] });
    await ada.rest.issues.update({ ...at(repository), issue_number: issue, title: 'y', body: 'z' });
    await repository.label({ as: 'ada', issue, label: 'mayfly' });
    await repository.unlabel({ as: 'ada', issue, label: 'mayfly' });
    const comment = await repository.comment({ as: 'ada', issue, body: 'one' });
    await ada.rest.issues.updateComment({ ...at(repository), comment_id: comment, body: 'two' });
    await ada.rest.issues.deleteComment({ ...at(repository), comment_id: comment });
    await repository.closeIssue({ as: 'ada', issue });
    await standIn.webhooks.settled();

    const happened = [
      'issues.opened',
      'issues.labeled',
      'issues.edited',
      'issues.labeled',
      'issues.unlabeled',
      'issue_comment.created',
      'issue_comment.edited',
      'issue_comment.deleted',
      'issues.closed',
    ];
    expect(receiver.names().toSorted()).toEqual(happened.toSorted());
    expect(standIn.webhooks.deliveries.slice(-9).map(({ event, action }) => `${event}.${action}`)).toEqual(happened);
    expect(receiver.find('issues.edited').changes).toEqual({ title: { from: 'x' }, body: { from: '' } });
    expect(receiver.find('issue_comment.edited').changes).toEqual({ body: { from: 'one' } });
    expect(receiver.find('issue_comment.created')).toMatchObject({
      comment: { id: comment, body: 'one', user: { login: 'ada' }, performed_via_github_app: null },
      issue: { number: issue },
    });
  });

  it('comes for each branch that is pushed to, whichever way, before the pull request on it', async () => {
    const repository = await seed();
    const bot = await createBotClient(standIn);
    const { main = '' } = await repository.branches();

    const sha = await repository.commit({ branch: 'topic', message: 'One', files: { a: null, b: 'b' }, by: 'ada' });
    const { data: pull } = await bot.rest.pulls.create({ ...at(repository), head: 'topic', base: 'main', title: 'Topic' });
    const next = await repository.commit({ branch: 'topic', message: 'Two', files: { b: 'c' }, by: 'ada' });
    await bot.rest.git.updateRef({ ...at(repository), ref: 'heads/topic', sha, force: true });
    await bot.rest.git.deleteRef({ ...at(repository), ref: 'heads/topic' });
    await standIn.webhooks.settled();

    const all = standIn.webhooks.deliveries.map(({ event, action, rawBody }) => ({ event, action, payload: JSON.parse(rawBody) }));
    const ours = all.filter(({ payload }) => payload.repository.id === repository.id);
    expect(ours.map(({ event, action }) => (action === null ? event : `${event}.${action}`))).toEqual([
      'push',
      'pull_request.opened',
      'push',
      'pull_request.synchronize',
      'push',
      'pull_request.synchronize',
      'push',
      'pull_request.closed',
    ]);
    const [made, moved, forced, gone] = ours.filter(({ event }) => event === 'push').map(({ payload }) => payload);
    const ref = 'refs/heads/topic';
    expect(made).toMatchObject({
      ref,
      after: sha,
      created: true,
      sender: { login: 'ada' },
      commits: [{ id: sha, added: ['b'], removed: ['a'], modified: [] }],
    });
    expect(moved).toMatchObject({ ref, before: sha, after: next, forced: false, commits: [{ id: next, message: 'Two', modified: ['b'] }] });
    expect(forced).toMatchObject({ ref, before: next, after: sha, forced: true, commits: [], sender: { login: 'mayfly[bot]' } });
    expect(gone).toMatchObject({ ref, before: sha, after: '0'.repeat(40), deleted: true, head_commit: null });
    expect(made.before).toBe('0'.repeat(40));
    expect(pull.base.sha).toBe(main);
  });

  it('comes for the end of the checks of the App itself', async () => {
    const repository = await seed();
    const bot = await createBotClient(standIn);
    const { main: head_sha = '' } = await repository.branches();

    const { data: check } = await bot.rest.checks.create({ ...at(repository), name: 'Proof', head_sha, status: 'in_progress' });
    await bot.rest.checks.update({ ...at(repository), check_run_id: check.id, status: 'completed', conclusion: 'failure' });
    await standIn.webhooks.settled();

    expect(receiver.names()).toEqual(['check_suite.completed']);
    expect(receiver.find('check_suite.completed').check_suite).toMatchObject({ head_sha, conclusion: 'failure', app: { id: standIn.app.appId } });
  });

  it('comes for what the App itself did, with its bot as sender', async () => {
    const { repository, issue } = await seedWithIssue();
    const bot = await createBotClient(standIn);

    await bot.rest.issues.createComment({ ...at(repository), issue_number: issue, body: '/agent fix this' });
    await standIn.webhooks.settled();

    expect(receiver.received.at(0)?.body).toMatchObject({
      action: 'created',
      sender: { login: 'mayfly[bot]', type: 'Bot' },
      comment: { performed_via_github_app: { slug: 'mayfly' } },
    });
  });

  it('comes for pull requests with what git knows of them', async () => {
    const repository = await seed();
    const sha = await repository.commit({ branch: 'fix', message: 'Fix', files: { a: 'b' } });
    const bot = await createBotClient(standIn);

    const { data: pull } = await bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main', draft: true });
    await bot.rest.pulls.requestReviewers({ ...at(repository), pull_number: pull.number, reviewers: ['ada'] });
    await repository.comment({ as: 'ada', issue: pull.number, body: '/agent stop' });
    await bot.rest.git.deleteRef({ ...at(repository), ref: 'heads/fix' });
    await standIn.webhooks.settled();

    expect(standIn.webhooks.deliveries.slice(-5).map(({ event, action }) => `${event}.${action}`)).toEqual([
      'pull_request.opened',
      'pull_request.review_requested',
      'issue_comment.created',
      'push.null',
      'pull_request.closed',
    ]);
    expect(receiver.find('pull_request.opened')).toMatchObject({
      number: pull.number,
      pull_request: { number: pull.number, draft: true, changed_files: 1, head: { ref: 'fix', sha } },
    });
    const commented = receiver.find('issue_comment.created');
    expect(commented.issue.pull_request.url).toBe(pull.url);
  });

  it('does not come for a repository that the App was not given, nor for events it did not ask for', async () => {
    const before = standIn.webhooks.deliveries.length;
    const other = await standIn.seedRepository({ files: { a: 'a' }, installed: false });
    const foreign = await standIn.seedRepository({ owner: 'bob', files: { a: 'a' } });

    await other.createIssue({ as: 'ada', title: 'x' });
    await foreign.createIssue({ as: 'ada', title: 'x' });

    expect(standIn.webhooks.deliveries.length).toBe(before);
  });
});

describe('deliveries that go wrong', () => {
  it('are recorded with the answer, listed for the App, and redelivered under the same GUID', async () => {
    const { repository, issue } = await seedWithIssue();
    const app = await createAppClient(standIn);
    receiver.answer = 503;
    await repository.label({ as: 'ada', issue, label: 'mayfly' });
    await standIn.webhooks.settled();
    const { data: failed } = await app.request('GET /app/hook/deliveries', { status: 'failure', per_page: 1 });
    receiver.answer = 202;

    const accepted = await app.rest.apps.redeliverWebhookDelivery({ delivery_id: Number(failed[0]?.id) });
    await standIn.webhooks.settled();
    const { data: latest } = await app.rest.apps.listWebhookDeliveries({ per_page: 2 });

    expect(failed).toMatchObject([
      { status_code: 503, event: 'issues', action: 'labeled', redelivery: false, installation_id: standIn.app.installationId, repository_id: repository.id },
    ]);
    expect(accepted.status).toBe(202);
    expect(latest).toMatchObject([
      { status: 'OK', status_code: 202, redelivery: true, guid: failed[0]?.guid },
      { status_code: 503, redelivery: false, guid: failed[0]?.guid },
    ]);
    expect(latest[0]?.id).not.toBe(latest[1]?.id);
    expect(receiver.received.map(({ headers }) => headers['x-github-delivery'])).toEqual([failed[0]?.guid, failed[0]?.guid]);
    expect(receiver.received[0]?.raw.equals(receiver.received[1]?.raw ?? Buffer.alloc(0))).toBe(true);
    expect((await app.rest.apps.getWebhookDelivery({ delivery_id: Number(latest[0]?.id) })).data.request.payload).toMatchObject({ action: 'labeled' });
  });

  it('time out when nobody answers', async () => {
    await using hasty = await createStandInGitHub({ webhookUrl: receiver.url, webhookTimeoutMs: 100 });
    receiver.answer = null;
    const repository = await hasty.seedRepository({ files: { a: 'a' } });
    await repository.createIssue({ as: 'ada', title: 'Crash' });
    await hasty.webhooks.settled();

    expect(hasty.webhooks.deliveries.at(-1)).toMatchObject({ event: 'issues', statusCode: 504, status: 'timed out' });
  });

  it('fail to connect when nobody listens', async () => {
    const { repository, issue } = await seedWithIssue();
    const before = standIn.webhooks.url;
    standIn.webhooks.url = 'http://127.0.0.1:1/';
    await repository.label({ as: 'ada', issue, label: 'one' });
    await standIn.webhooks.settled();
    standIn.webhooks.url = before;

    expect(standIn.webhooks.deliveries.at(-1)).toMatchObject({ statusCode: 502, status: 'failed to connect to host' });
  });

  it('can be held, reordered, duplicated and replayed under another GUID', async () => {
    const { repository, issue } = await seedWithIssue();
    standIn.webhooks.hold();
    await repository.label({ as: 'ada', issue, label: 'mayfly' });
    await repository.unlabel({ as: 'ada', issue, label: 'mayfly' });
    expect(receiver.received).toEqual([]);

    standIn.webhooks.release([1]);
    await standIn.webhooks.settled();
    expect(receiver.names()).toEqual(['issues.unlabeled']);
    const [unlabeled] = standIn.webhooks.deliveries.slice(-1);
    await Promise.all([standIn.webhooks.redeliver(unlabeled?.id ?? 0), standIn.webhooks.redeliver(unlabeled?.id ?? 0)]);
    const guid = randomUUID();
    await standIn.webhooks.replay(unlabeled?.id ?? 0, { guid });

    expect(receiver.received.map(({ headers }) => headers['x-github-delivery'])).toEqual([unlabeled?.guid, unlabeled?.guid, unlabeled?.guid, guid]);
  });
});
