/** The first minutes of an installation: Mayfly hears of it, and opens, says and changes nothing until a person wants something. */
import examples from '@octokit/webhooks-examples' with { type: 'json' };
import { afterEach, beforeEach, expect, it } from 'vitest';
import { setStage } from '../support/stage.ts';
import type { Stage } from '../support/stage.ts';

let stop: AbortController;
let stack: AsyncDisposableStack;
let stage: Stage;
beforeEach(async () => {
  stop = new AbortController();
  stack = new AsyncDisposableStack();
  // A repository that gives a bot much to say: broken settings, and an issue that could be worked on.
  stage = await setStage([], { private: false, files: { '.github/mayfly.yml': 'tset: npm test\n' } }, { stack, signal: stop.signal });
});
afterEach(() => stack.disposeAsync());

/** Payloads as GitHub documents them, about this installation and this repository. */
function payloadsOf(name: string, action: string): readonly Record<string, unknown>[] {
  const { standIn, repository } = stage.system;
  const { id, name: repositoryName, fullName } = repository;
  const own = [{ id, node_id: 'R_x', name: repositoryName, full_name: fullName, private: false }];
  const documented = (examples as unknown as { name: string; examples: Record<string, unknown>[] }[]).find((one) => one.name === name)?.examples ?? [];
  return documented
    .filter((one) => one['action'] === action)
    .map((one) => ({
      ...one,
      installation: { ...(one['installation'] as object), id: standIn.app.installationId, app_id: standIn.app.appId },
      ...('repositories' in one && { repositories: own }),
      ...('repositories_added' in one && { repositories_added: own }),
    }));
}

/** What was asked of GitHub that changes anything; a token that is minted or revoked is none of it. */
const writes = (): readonly string[] =>
  stage.system.standIn.requests
    .filter(
      ({ method, path, userAgent }) =>
        userAgent.startsWith('mayfly') && !['GET', 'HEAD'].includes(method) && !/\/access_tokens$|^\/installation\/token$/.test(path),
    )
    .map(({ method, path }) => `${method} ${path}`);

it('opens nothing by itself, whatever it finds, until somebody touches the settings', { timeout: 120_000 }, async () => {
  const { standIn, repository } = stage.system;
  const issue = await repository.createIssue({ as: 'ada', title: 'It breaks', body: 'Whoever reads this knows what to do, in more than forty characters.' });
  await stage.idle();
  const before = standIn.webhooks.deliveries.length;

  for (const payload of payloadsOf('installation', 'created')) standIn.webhooks.emit('installation', payload);
  for (const payload of payloadsOf('installation_repositories', 'added')) standIn.webhooks.emit('installation_repositories', payload);
  await stage.idle();

  const sent = standIn.webhooks.deliveries.slice(before);
  expect(sent.map(({ event, statusCode }) => `${event} ${statusCode}`)).toEqual([
    'installation 200',
    'installation 200',
    'installation_repositories 200',
    'installation_repositories 200',
  ]);
  expect(writes()).toEqual([]);
  expect((await repository.allIssues()).map(({ number }) => number)).toEqual([issue]);
  expect(await repository.comments(issue)).toEqual([]);
  expect(standIn.tokens).toEqual([]);

  await repository.commit({ message: 'Settings', files: { '.github/mayfly.yml': 'test: npm test\ntset: x\n' }, by: 'ada' });
  await stage.idle();
  expect(writes()).toEqual([`POST /repos/${repository.fullName}/issues`]);
});
