import examples from '@octokit/webhooks-examples' with { type: 'json' };
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createUserClient, failOnViolations } from '../support/github/clients.ts';
import { createReceiver, type Receiver } from '../support/github/receiver.ts';
import { createStandInGitHub, type StandInGitHub } from '../support/github/stand-in.ts';
import type { Json } from '../support/github/world.ts';

let standIn: StandInGitHub;
let receiver: Receiver;

/** One of everything happens once; the tests look at what was told of it. */
beforeAll(async () => {
  receiver = await createReceiver();
  standIn = await createStandInGitHub({ webhookUrl: receiver.url });
  const repository = await standIn.seedRepository({ files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });
  const target = { owner: repository.owner, repo: repository.name };
  const ada = createUserClient(standIn, 'ada');
  const issue = await repository.createIssue({ as: 'ada', title: 'Crash', body: 'It crashes.' });
  await repository.label({ as: 'ada', issue, label: 'mayfly' });
  await repository.unlabel({ as: 'ada', issue, label: 'mayfly' });
  await ada.rest.issues.update({ ...target, issue_number: issue, body: 'more' });
  const comment = await repository.comment({ as: 'ada', issue, body: 'one' });
  await ada.rest.issues.updateComment({ ...target, comment_id: comment, body: 'two' });
  await ada.rest.issues.deleteComment({ ...target, comment_id: comment });
  await repository.commit({ branch: 'fix', message: 'Fix', files: { a: 'b' } });
  await ada.rest.pulls.create({ ...target, title: 'Fix', head: 'fix', base: 'main' });
  await standIn.webhooks.settled();
});
afterEach(() => failOnViolations(standIn));
afterAll(async () => {
  await standIn.close();
  await receiver.close();
});

/** What the old examples have by chance of their data, or GitHub has dropped since. */
const optional =
  /license|milestone|\.assignee|\.description|\.homepage|\.language|\.closed_at|\.active_lock_reason|\.auto_merge|_team|^\.organization|^\.installation|permissions|issue\.draft/;

describe('payloads', () => {
  it.each([
    'issues.opened',
    'issues.labeled',
    'issues.unlabeled',
    'issues.edited',
    'issue_comment.created',
    'issue_comment.edited',
    'issue_comment.deleted',
    'pull_request.opened',
  ])('of %s have every field of GitHub’s example, of the same type', (name) => {
    const [event, action] = name.split('.');
    const groups = examples as unknown as { name: string; examples: Json[] }[];
    const real = groups
      .find((group) => group.name === event)
      ?.examples.find((example) => example.action === action && !example.changes?.title && !example.issue?.pull_request);

    const differences = [...missing(real, receiver.find(name), '')].filter((path) => !optional.test(path));

    expect(real).toBeDefined();
    expect(differences).toEqual([]);
  });

  it('are found wanting when a field is missing or of another type', () => {
    expect([...missing({ a: { b: 1, c: 'x' } }, { a: { c: 2 } }, '')]).toEqual(['.a.b', '.a.c: string, here number']);
  });
});

function* missing(real: Json, ours: Json, path: string): Generator<string> {
  if (real === null || real === undefined || ours === null) return;
  if (typeof real !== typeof ours) return yield `${path}: ${typeof real}, here ${typeof ours}`;
  if (typeof real !== 'object' || Array.isArray(real)) return;
  for (const [key, value] of Object.entries<Json>(real)) {
    if (!(key in ours)) yield `${path}.${key}`;
    else yield* missing(value, ours[key], `${path}.${key}`);
  }
}
