import { describe, expect, it } from 'vitest';
import { createBotClient, createUserClient, refusal } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import { createStandInGitHub, type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;
const at = ({ owner, name }: StandInRepository) => ({ owner, repo: name });
shareStandIn((made) => (standIn = made));

async function seedWithBranch(): Promise<StandInRepository> {
  const files = { 'a.txt': 'one\n', 'gone.txt': 'gone\n', 'old name.txt': 'the same text, long enough to be found again\n' };
  const repository = await standIn.seedRepository({ private: true, files, collaborators: [{ login: 'ada', permission: 'write' }] });
  const renamed = { 'old name.txt': null, 'new name.txt': 'the same text, long enough to be found again\n' };
  await repository.commit({ branch: 'fix', message: 'Fix', files: { 'a.txt': 'two\n', 'gone.txt': null, 'b/c.bin': new Uint8Array([0, 1, 2]), ...renamed } });
  return repository;
}

describe('a pull request', () => {
  it('shows the files that git finds, which the emulator does not', async () => {
    const repository = await seedWithBranch();
    const bot = await createBotClient(standIn);

    const { data: pull } = await bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main', draft: true });
    const { data: files } = await bot.rest.pulls.listFiles({ ...at(repository), pull_number: pull.number });

    expect(pull).toMatchObject({
      draft: true,
      changed_files: 4,
      commits: 1,
      additions: 1,
      deletions: 2,
      mergeable_state: 'draft',
      user: { login: 'mayfly[bot]', type: 'Bot' },
    });
    expect(pull.head).toMatchObject({ ref: 'fix', label: 'acme:fix', sha: (await repository.branches())['fix'] });
    expect(files.map(({ filename, status }) => [filename, status])).toEqual([
      ['a.txt', 'modified'],
      ['b/c.bin', 'added'],
      ['gone.txt', 'removed'],
      ['new name.txt', 'renamed'],
    ]);
    expect(files[0]?.patch).toBe('@@ -1 +1 @@\n-one\n+two');
    expect(files[1]).not.toHaveProperty('patch');
    expect(files[3]?.previous_filename).toBe('old name.txt');
  });

  it('comes as diff or patch when the media type asks for it', async () => {
    const repository = await seedWithBranch();
    const ada = createUserClient(standIn, 'ada');
    const { data: pull } = await ada.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'acme:fix', base: 'main' });

    const diff = await ada.rest.pulls.get({ ...at(repository), pull_number: pull.number, mediaType: { format: 'diff' } });
    const patch = await ada.rest.pulls.get({ ...at(repository), pull_number: pull.number, mediaType: { format: 'patch' } });

    expect(diff.data).toMatch(/^diff --git a\/a.txt b\/a.txt\n[^]*\+two/);
    expect(patch.data).toMatch(/^From [0-9a-f]{40} [^]*Subject: \[PATCH\] Fix/);
    expect((await repository.pullRequest(pull.number)).diff).toBe(diff.data);
  });

  it('is refused a second time for the same branches with what GitHub says, and accepted again once the first is closed', async () => {
    const repository = await seedWithBranch();
    const bot = await createBotClient(standIn);
    const create = () => bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main' });
    const first = await create();

    expect(await refusal(create())).toMatchObject({
      status: 422,
      message: 'Validation Failed',
      errors: [{ resource: 'PullRequest', code: 'custom', message: 'A pull request already exists for acme:fix.' }],
    });
    await bot.rest.pulls.update({ ...at(repository), pull_number: first.data.number, state: 'closed' });
    await expect(create()).resolves.toMatchObject({ status: 201 });
  });

  it('needs two branches that exist and differ', async () => {
    const repository = await seedWithBranch();
    const bot = await createBotClient(standIn);
    const create = (head: string, base: string) => refusal(bot.rest.pulls.create({ ...at(repository), title: 'Fix', head, base }));

    expect(await create('nowhere', 'main')).toMatchObject({ status: 422, errors: [{ field: 'head', code: 'invalid' }] });
    expect(await create('fix', 'nowhere')).toMatchObject({ status: 422, errors: [{ field: 'base', code: 'invalid' }] });
    expect(await create('main', 'main')).toMatchObject({ status: 422, errors: [{ message: 'No commits between main and main' }] });
  });

  it('cannot be a draft where the plan has none', async () => {
    await using plain = await createStandInGitHub({ drafts: false });
    const repository = await plain.seedRepository({ files: { a: 'a' } });
    await repository.commit({ branch: 'fix', message: 'b', files: { a: 'b' } });
    const bot = await createBotClient(plain);
    const create = (draft: boolean) => bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main', draft });

    expect(await refusal(create(true))).toMatchObject({ status: 422, message: 'Draft pull requests are not supported in this repository.' });
    await expect(create(false)).resolves.toMatchObject({ status: 201 });
  });

  it('asks collaborators for a review, and nobody else', async () => {
    const repository = await seedWithBranch();
    const bot = await createBotClient(standIn);
    const { data: pull } = await bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main' });
    const ask = (reviewer: string) => bot.rest.pulls.requestReviewers({ ...at(repository), pull_number: pull.number, reviewers: [reviewer] });

    const asked = await ask('ada');

    expect(asked.status).toBe(201);
    expect(asked.data.requested_reviewers?.map(({ login }) => login)).toEqual(['ada']);
    expect((await refusal(ask('mallory'))).status).toBe(422);
  });

  it('follows its branch, keeps refs/pull/N/head, and closes when the branch is deleted', async () => {
    const repository = await seedWithBranch();
    const bot = await createBotClient(standIn);
    const { data: pull } = await bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main' });
    const { data: tree } = await bot.rest.git.createTree({
      ...at(repository),
      base_tree: pull.head.sha,
      tree: [{ path: 'd', mode: '100644', type: 'blob', content: 'd' }],
    });
    const { data: commit } = await bot.rest.git.createCommit({ ...at(repository), message: 'More', tree: tree.sha, parents: [pull.head.sha] });

    await bot.rest.git.updateRef({ ...at(repository), ref: 'heads/fix', sha: commit.sha });
    const moved = await bot.rest.pulls.get({ ...at(repository), pull_number: pull.number });
    await bot.rest.git.deleteRef({ ...at(repository), ref: 'heads/fix' });
    const closed = await bot.rest.pulls.get({ ...at(repository), pull_number: pull.number });

    expect(moved.data).toMatchObject({ commits: 2, head: { sha: commit.sha }, state: 'open' });
    expect(closed.data).toMatchObject({ state: 'closed', head: { sha: commit.sha } });
    expect(await bot.rest.git.listMatchingRefs({ ...at(repository), ref: 'pull/' })).toMatchObject({ data: [{ object: { sha: commit.sha } }] });
  });

  it('is also an issue: by number, in the list, with labels and comments', async () => {
    const repository = await seedWithBranch();
    const bot = await createBotClient(standIn);
    const issue = await repository.createIssue({ as: 'ada', title: 'A real issue' });
    const { data: pull } = await bot.rest.pulls.create({ ...at(repository), title: 'Fix', head: 'fix', base: 'main' });

    await repository.label({ as: 'ada', issue: pull.number, label: 'mayfly' });
    await repository.comment({ as: 'ada', issue: pull.number, body: '/agent stop' });
    const list = await bot.rest.issues.listForRepo({ ...at(repository) });
    const one = await bot.rest.issues.get({ ...at(repository), issue_number: pull.number });

    expect(list.data.map(({ number, pull_request }) => [number, pull_request !== undefined])).toEqual([
      [pull.number, true],
      [issue, false],
    ]);
    expect(one.data.pull_request?.url).toBe(pull.url);
    expect(one.data.labels).toMatchObject([{ name: 'mayfly' }]);
    expect(await repository.comments(pull.number)).toHaveLength(1);
    expect((await bot.rest.pulls.list({ ...at(repository), head: 'acme:fix' })).data).toMatchObject([{ number: pull.number, head: { sha: pull.head.sha } }]);
  });
});
