import { expect, test } from 'vitest';
import type { PatchFile } from '../../src/job.ts';
import { createBotClient, failOnViolations } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { aPublishRequest, openPort } from '../support/github-port.ts';

let standIn: StandInGitHub;
shareStandIn((made) => (standIn = made));

async function seed(): Promise<{ seeded: StandInRepository; baseSha: string }> {
  const files = { 'a.txt': 'a\n', 'keep.txt': 'keep\n', 'gone.txt': 'gone\n', 'src/deep/old.sh': { content: '#!/bin/sh\n', mode: '100755' as const } };
  const seeded = await standIn.seedRepository({ private: true, files, collaborators: [{ login: 'ada', permission: 'write' }] });
  return { seeded, baseSha: (await seeded.branches())['main'] ?? '' };
}

const write = (path: string, content: string | Uint8Array, mode: '100644' | '100755' = '100644'): PatchFile => ({
  path,
  change: { kind: 'write', mode, content: Buffer.from(content) },
});
const remove = (path: string): PatchFile => ({ path, change: { kind: 'delete' } });

/** The tree of a commit, as GitHub shows it. */
async function treeOf(seeded: StandInRepository, sha: string): Promise<Record<string, string>> {
  const client = await createBotClient(standIn);
  const { data } = await client.rest.git.getTree({ owner: seeded.owner, repo: seeded.name, tree_sha: sha, recursive: '1' });
  return Object.fromEntries(data.tree.filter(({ type }) => type === 'blob').map(({ path, mode }) => [path, mode]));
}

test('a patch becomes a branch with one signed commit and a draft pull request, byte by byte', async () => {
  const { seeded, baseSha } = await seed();
  const binary = Buffer.from([0, 1, 2, 255, 254, 10]);
  const latin = Buffer.from('caf\u00e9\r\n', 'latin1');
  const files = [
    write('a.txt', '\ufeffüñ\r\nlast line'),
    write('src/deep/new.sh', '#!/bin/sh\necho new\n', '100755'),
    write('img/x.bin', binary),
    write('latin.txt', latin),
    write('empty', ''),
    write('src/deep/old.sh', 'no longer run\n'),
    remove('gone.txt'),
  ];
  const { repository, records } = openPort(standIn, seeded);

  const pullRequest = await repository.publish(aPublishRequest(baseSha, { files, reviewers: ['ada'] }));

  expect(pullRequest).toMatchObject({
    number: expect.any(Number),
    title: 'Fix it',
    draft: true,
    branch: 'mayfly/issue-7',
    headSha: (await seeded.branches())['mayfly/issue-7'],
  });
  expect(await treeOf(seeded, pullRequest.headSha)).toEqual({
    'a.txt': '100644',
    'keep.txt': '100644',
    'src/deep/new.sh': '100755',
    'src/deep/old.sh': '100644',
    'img/x.bin': '100644',
    'latin.txt': '100644',
    empty: '100644',
  });
  const { body, commits } = await seeded.pullRequest(pullRequest.number);
  expect(body).toMatchObject({ draft: true, base: { ref: 'main' }, body: expect.stringContaining('<!-- mayfly:run'), requested_reviewers: [{ login: 'ada' }] });
  expect(commits).toMatchObject([{ parents: [{ sha: baseSha }], commit: { message: 'Fix it\n\nskip-checks: true', verification: { verified: true } } }]);
  expect(records).toEqual([
    { use: 'publish', repositories: [seeded.fullName], permissions: { contents: 'write', pull_requests: 'write', metadata: 'read' }, revoked: true },
  ]);
  const client = await createBotClient(standIn);
  const stored = await client.rest.repos.getContent({ owner: seeded.owner, repo: seeded.name, path: 'img/x.bin', ref: pullRequest.headSha });
  expect(Buffer.from((stored.data as { content: string }).content, 'base64')).toEqual(binary);
});

test.each([
  ['the tree', 'POST', /\/git\/trees$/],
  ['the commit', 'POST', /\/git\/commits$/],
  ['the branch', 'POST', /\/git\/refs$/],
  ['the pull request', 'POST', /\/pulls$/],
  ['the review request', 'POST', /\/requested_reviewers$/],
])('a crash before and after %s is taken up by the same request, once', async (_name, method, path) => {
  const { seeded, baseSha } = await seed();
  for (const afterSuccess of [false, true]) {
    const stop = new AbortController();
    const { repository } = openPort(standIn, seeded, { signal: stop.signal });
    const hung = () => standIn.requests.filter((seen) => seen.fault && path.test(seen.path) && seen.path.includes(seeded.fullName)).length;
    const before = hung();
    standIn.fault({ method, path, hang: true, afterSuccess });
    const request = aPublishRequest(baseSha, { reviewers: ['ada'] });
    const crashed = repository.publish(request).catch((error: unknown) => error);
    await expect.poll(hung, { timeout: 5000 }).toBe(before + 1);
    stop.abort();
    // Once the pull request is there, nothing makes it look as if it were not.
    expect(await crashed).toMatchObject(path.test('/requested_reviewers') ? { number: 1 } : { code: 'cancelled' });
  }

  const pullRequest = await openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha));
  const again = await openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha));

  expect(again).toEqual(pullRequest);
  expect(await seeded.pullRequests()).toHaveLength(1);
  expect(Object.keys(await seeded.branches())).toEqual(['main', 'mayfly/issue-7']);
});

test.each([
  ['502', { status: 502 }],
  ['reset', { reset: true }],
])('an answer that was lost (%s) at any write leads to the same one pull request', async (_name, loss) => {
  const { seeded, baseSha } = await seed();
  for (const path of [/\/git\/blobs$/, /\/git\/trees$/, /\/git\/commits$/, /\/git\/refs$/, /\/pulls$/])
    standIn.fault({ method: 'POST', path, afterSuccess: true, ...loss });

  const files = [write('a.txt', 'changed\n'), write('b.bin', Buffer.from([0, 1]))];
  const pullRequest = await openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha, { files }));

  expect(standIn.faults.unused).toBe(0);
  expect((await seeded.pullRequests()).map(({ number }) => number as number)).toEqual([pullRequest.number]);
  expect(Object.keys(await seeded.branches())).toEqual(['main', 'mayfly/issue-7']);
});

test('a branch that somebody else has is left alone: ours gets a suffix', async () => {
  const { seeded, baseSha } = await seed();
  const theirs = await seeded.commit({ branch: 'mayfly/issue-7', message: 'mine', files: { 'theirs.txt': 'x' }, by: 'ada' });
  await seeded.commit({ branch: 'mayfly/issue-7-2', message: 'mine', files: { 'theirs.txt': 'y' }, by: 'ada' });

  const pullRequest = await openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha));

  expect(pullRequest.branch).toBe('mayfly/issue-7-3');
  expect((await seeded.branches())['mayfly/issue-7']).toBe(theirs);
});

test('another run with the same result has a branch and a pull request of its own', async () => {
  const { seeded, baseSha } = await seed();
  const { repository } = openPort(standIn, seeded);
  const first = await repository.publish(aPublishRequest(baseSha));

  const second = await repository.publish(aPublishRequest(baseSha, { marker: '<!-- mayfly:run r00000000bbbbbbb -->' }));

  expect([first.branch, second.branch]).toEqual(['mayfly/issue-7', 'mayfly/issue-7-2']);
  expect(second.number).not.toBe(first.number);
});

test('the pull request of a run is found again after a person pushed to it', async () => {
  const { seeded, baseSha } = await seed();
  const { repository } = openPort(standIn, seeded);
  const first = await repository.publish(aPublishRequest(baseSha));
  const pushed = await seeded.commit({ branch: first.branch, message: 'on top', files: { 'more.txt': 'x' }, by: 'ada' });

  const again = await repository.publish(aPublishRequest(baseSha));

  expect(again).toMatchObject({ number: first.number, branch: first.branch });
  expect(await seeded.branches()).toMatchObject({ [first.branch]: pushed });
  expect(await seeded.pullRequests()).toHaveLength(1);
});

test('the open pull request of an issue is found by its branch, and knows its run', async () => {
  const { seeded, baseSha } = await seed();
  const { repository } = openPort(standIn, seeded);
  expect(await repository.openPullRequest('mayfly/issue-7')).toBeNull();
  await seeded.commit({ branch: 'mayfly/issue-7', message: 'mine', files: { 'theirs.txt': 'x' }, by: 'ada' });
  const published = await repository.publish(aPublishRequest(baseSha));

  const found = await repository.openPullRequest('mayfly/issue-7');

  expect(found?.pullRequest).toEqual(published);
  expect([found?.ours('<!-- mayfly:run r00000000aaaaaaa -->'), found?.ours('<!-- mayfly:run r00000000bbbbbbb -->')]).toEqual([true, false]);
  expect(await repository.openPullRequest('mayfly/issue')).toBeNull();
  expect(await repository.openPullRequest('mayfly/issue-70')).toBeNull();
});

test('where the plan has no drafts, a normal pull request says so', async () => {
  await using plain = await createStandInGitHub({ drafts: false });
  const seeded = await plain.seedRepository({ private: true, files: { a: 'a' } });

  const pullRequest = await openPort(plain, seeded).repository.publish(aPublishRequest((await seeded.branches())['main'] ?? ''));

  expect(pullRequest).toMatchObject({ draft: false, title: 'Draft: Fix it' });
  expect((await seeded.pullRequest(pullRequest.number)).body.body).toContain('has no draft pull requests');
  failOnViolations(plain);
});

test('a reviewer that GitHub refuses does not spoil the pull request', async () => {
  const { seeded, baseSha } = await seed();
  standIn.fault({ method: 'POST', path: /requested_reviewers$/, status: 422, body: { message: 'Reviews may only be requested from collaborators.' } });

  await expect(openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha, { reviewers: ['mallory'] }))).resolves.toMatchObject({ draft: true });
});

test('a worker that lost its run writes nothing more', async () => {
  const { seeded, baseSha } = await seed();
  const answers = [true, false];
  const { repository, records } = openPort(standIn, seeded);

  const published = repository.publish(aPublishRequest(baseSha, { ownsRun: async () => answers.shift() ?? false }));

  await expect(published).rejects.toMatchObject({ code: 'lock_lost' });
  expect(Object.keys(await seeded.branches())).toEqual(['main']);
  expect(records).toMatchObject([{ use: 'publish', revoked: true }]);
});

test.each(['main/../x', '--force', 'mayfly/Issue-7', 'a b', 'refs/heads/ä', 'x/', '/x', 'a//b', ''])(
  'the branch name %j is refused before anything is asked',
  async (branch) => {
    const { seeded, baseSha } = await seed();
    const before = standIn.requests.filter(({ path }) => path.includes('/git/')).length;

    await expect(openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha, { branch }))).rejects.toMatchObject({ code: 'internal' });
    expect(standIn.requests.filter(({ path }) => path.includes('/git/'))).toHaveLength(before);
  },
);

test('what GitHub refuses ends as a refusal: a workflow file, a base that is gone, a file that was never there', async () => {
  const { seeded, baseSha } = await seed();
  const { repository } = openPort(standIn, seeded);

  await expect(repository.publish(aPublishRequest('1'.repeat(40)))).rejects.toMatchObject({ code: 'base_unknown' });
  await expect(repository.publish(aPublishRequest(baseSha, { files: [remove('never-there')] }))).rejects.toMatchObject({ code: 'github_refused' });
  await expect(repository.publish(aPublishRequest(baseSha, { files: [write('.github/workflows/x.yml', 'on: push\n')] }))).rejects.toMatchObject({
    code: 'github_refused',
  });
  expect(Object.keys(await seeded.branches())).toEqual(['main']);
});

test('a tree that GitHub stored differently is not published', async () => {
  const { seeded, baseSha } = await seed();
  standIn.fault({
    method: 'GET',
    path: /\/git\/trees\//,
    status: 200,
    body: { sha: '1'.repeat(40), url: 'x', truncated: false, tree: [{ path: 'a.txt', mode: '100755', type: 'blob', sha: '2'.repeat(40) }] },
  });

  await expect(openPort(standIn, seeded).repository.publish(aPublishRequest(baseSha))).rejects.toMatchObject({ code: 'github_refused' });
  expect(Object.keys(await seeded.branches())).toEqual(['main']);
});

test('held work is a branch with one commit and no pull request, found again instead of made again', async () => {
  const { seeded, baseSha } = await seed();
  const { repository } = openPort(standIn, seeded);
  const { branch, files, commitMessage, signal } = aPublishRequest(baseSha);
  const request = { baseSha, files, commitMessage, signal, branch: `${branch}-held` };

  const held = await repository.hold(request);
  const again = await repository.hold(request);
  const other = await repository.hold({ ...request, files: [write('a.txt', 'otherwise\n')] });

  expect(again).toEqual(held);
  expect(Object.keys(await seeded.branches()).toSorted()).toEqual(['main', 'mayfly/issue-7-held-2']);
  expect(other.branch).toBe('mayfly/issue-7-held-2');
  expect(await seeded.pullRequests()).toEqual([]);
  await expect(repository.hold({ ...request, ownsRun: () => Promise.resolve(false), files: [write('b.txt', 'x')] })).rejects.toMatchObject({
    code: 'lock_lost',
  });
});

test('a check is on its commit once for each run', async () => {
  const { seeded, baseSha } = await seed();
  const { repository, records } = openPort(standIn, seeded);
  const request = { headSha: baseSha, name: 'Mayfly proof', externalId: 'r1', conclusion: 'neutral', title: 'Not proven', summary: 'Because.' } as const;

  await repository.check(request);
  await repository.check(request);

  const checks = await seeded.checks(baseSha);
  expect(checks).toMatchObject([
    { name: 'Mayfly proof', status: 'completed', conclusion: 'neutral', external_id: 'r1', output: { title: 'Not proven', summary: 'Because.' } },
  ]);
  expect(records.map(({ use, revoked }) => [use, revoked])).toEqual([
    ['check', true],
    ['check', true],
  ]);
});
