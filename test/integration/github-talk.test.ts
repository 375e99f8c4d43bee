import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { failOnViolations } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';

const never = new AbortController().signal;
const marker = '<!-- mayfly:status -->';
let standIn: StandInGitHub;
shareStandIn((made) => (standIn = made));

async function openIssue(): Promise<{ seeded: StandInRepository; issue: number }> {
  const seeded = await standIn.seedRepository({ files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });
  return { seeded, issue: await seeded.createIssue({ as: 'ada', title: 'It breaks', labels: [] }) };
}

const bodies = async (seeded: StandInRepository, issue: number) => (await seeded.comments(issue)).map((comment: { body: string }) => comment.body);

test('the permission of a person is what GitHub says it is, and an outsider has none', async () => {
  const roles = ['read', 'triage', 'write', 'maintain', 'admin'] as const;
  const seeded = await standIn.seedRepository({ private: true, files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });
  const { repository } = openPort(standIn, seeded);
  const seen: string[] = [];
  for (const role of roles) {
    await seeded.setPermission('bob', role);
    seen.push(await repository.permission('bob'));
  }

  expect(seen).toEqual(['read', 'read', 'write', 'maintain', 'admin']);
  expect(await repository.permission('mallory')).toBe('none');
  expect(await repository.permission('nobody-of-this-name')).toBe('none');
  standIn.fault({ path: /collaborators/, status: 500, times: 3 });
  await expect(repository.permission('ada')).rejects.toMatchObject({ code: 'github_unavailable' });
});

test('an issue is open, closed, or gone', async () => {
  const { seeded, issue } = await openIssue();
  const { repository } = openPort(standIn, seeded);

  expect(await repository.issue(issue)).toEqual({ open: true, locked: false, isPullRequest: false, labels: [], title: 'It breaks', body: '' });
  await seeded.closeIssue({ as: 'ada', issue });
  expect(await repository.issue(issue)).toMatchObject({ open: false });
  expect(await repository.issue(9999)).toMatchObject({ open: false });
});

test('a reaction is left once, on the issue and on a comment', async () => {
  const { seeded, issue } = await openIssue();
  const comment = await seeded.comment({ as: 'ada', issue, body: '/agent fix' });
  const { repository } = openPort(standIn, seeded);

  for (let time = 0; time < 2; time++) {
    await repository.react({ kind: 'issue', id: issue }, 'eyes');
    await repository.react({ kind: 'issue_comment', id: comment }, 'rocket');
  }

  expect(seeded.reactions(issue)).toEqual(['eyes']);
});

test('a label is taken away, and one that is gone already is fine', async () => {
  const { seeded, issue } = await openIssue();
  await seeded.label({ as: 'ada', issue, label: 'mayfly' });
  const { repository } = openPort(standIn, seeded);

  await repository.removeLabel(issue, 'mayfly');
  await repository.removeLabel(issue, 'mayfly');

  expect((await seeded.issue(issue)).labels).toEqual([]);
});

test('there is one living comment, edited in place, whoever else quotes its marker', async () => {
  const { seeded, issue } = await openIssue();
  await seeded.comment({ as: 'ada', issue, body: `I found this: ${marker}` });
  const { repository } = openPort(standIn, seeded);

  await repository.livingComment(issue, marker, `${marker}\nqueued`);
  await repository.livingComment(issue, marker, 'running');
  await repository.livingComment(issue, marker, 'running');

  expect(await bodies(seeded, issue)).toEqual([`I found this: ${marker}`, `running\n\n${marker}`]);
});

test('a living comment that a person deleted is written again', async () => {
  const { seeded, issue } = await openIssue();
  const { repository } = openPort(standIn, seeded);
  await repository.livingComment(issue, marker, 'queued');
  standIn.fault({ method: 'PATCH', path: /issues\/comments/, status: 404, body: { message: 'Not Found' } });

  await repository.livingComment(issue, marker, 'running');

  expect(await bodies(seeded, issue)).toContain(`running\n\n${marker}`);
});

test('two workers that write the living comment at once leave one', async () => {
  const { seeded, issue } = await openIssue();
  const ports = Array.from({ length: 4 }, () => openPort(standIn, seeded));

  await Promise.all(ports.map(async ({ repository }, index) => await repository.livingComment(issue, marker, `worker ${index}`)));

  expect(await bodies(seeded, issue)).toHaveLength(1);
});

test.each([
  ['502', { status: 502 }],
  ['reset', { reset: true }],
  ['timeout', { hang: true }],
])('a comment whose answer was lost (%s) is found, not repeated', async (_name, loss) => {
  const { seeded, issue } = await openIssue();
  // A limit that is reached by hand: by the clock, every other answer of the stand-in would have to come within it as well.
  let limit = new AbortController();
  const limited: typeof fetch = (input, init) => fetch(input, { ...init, signal: AbortSignal.any([limit.signal, ...(init?.signal ? [init.signal] : [])]) });
  const { repository } = openPort(standIn, seeded, { fetch: limited });
  const loseAnswer = async (write: () => Promise<unknown>, comments: number): Promise<void> => {
    standIn.fault({ method: 'POST', path: /\/comments$/, afterSuccess: true, ...loss });
    const written = write();
    await expect.poll(() => bodies(seeded, issue)).toHaveLength(comments);
    const reached = limit;
    limit = new AbortController();
    if ('hang' in loss) reached.abort(new DOMException('the time is over', 'TimeoutError'));
    await written;
  };

  await loseAnswer(() => repository.livingComment(issue, marker, 'queued'), 1);
  await loseAnswer(() => repository.reply(issue, 'It was not possible.'), 2);

  expect(await bodies(seeded, issue)).toEqual([expect.stringContaining('queued'), expect.stringContaining('not possible')]);
  expect(standIn.faults.unused).toBe(0);
});

test('a comment that really failed is asked for again, a bounded number of times', async () => {
  const { seeded, issue } = await openIssue();
  const { repository } = openPort(standIn, seeded);
  standIn.fault({ method: 'POST', path: /\/comments$/, status: 502, times: 2 });
  await repository.reply(issue, 'It was not possible.');

  expect(await bodies(seeded, issue)).toHaveLength(1);
  standIn.fault({ method: 'POST', path: /\/comments$/, status: 502, times: 3 });
  await expect(repository.reply(issue, 'Other words.')).rejects.toMatchObject({ code: 'github_unavailable' });
  expect(standIn.faults.unused).toBe(0);
});

test('a reply is said once per run, and again in another run', async () => {
  const { seeded, issue } = await openIssue();
  for (const deliveryId of ['one', 'one', 'two']) await openPort(standIn, seeded, { deliveryId }).repository.reply(issue, '@ada nothing to change.');

  expect(await bodies(seeded, issue)).toHaveLength(2);
});

test('deliveries that never arrived are asked for again once, those that did are not', async () => {
  const statuses = [500, 200, 500];
  const received: string[] = [];
  const receiver = createServer((request, response) => {
    request.resume();
    received.push(String(request.headers['x-github-delivery']));
    response.writeHead(statuses.shift() ?? 200).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  await using hooked = await createStandInGitHub({ webhookUrl: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}` });
  const seeded = await hooked.seedRepository({ files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });
  for (const title of ['lost', 'arrived', 'lost too']) {
    await seeded.createIssue({ as: 'ada', title });
    await hooked.webhooks.settled();
  }
  const { github } = openPort(hooked, seeded);
  const [first, second, third] = received;

  const future = await github.redeliverFailed(new Date(Date.now() + 60_000), never);
  const asked = await github.redeliverFailed(new Date(Date.now() - 60_000), never);
  await expect.poll(() => received.length).toBe(5);
  await hooked.webhooks.settled();
  const again = await github.redeliverFailed(new Date(Date.now() - 60_000), never);
  receiver.closeAllConnections();
  receiver.close();

  expect([future, asked, again]).toEqual([0, 2, 0]);
  expect(new Set(received.slice(3))).toEqual(new Set([first, third]));
  expect(second).not.toBe(first);
  failOnViolations(hooked);
});
