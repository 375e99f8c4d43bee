import { describe, expect, it } from 'vitest';
import { createBotClient, createClient, createUserClient, refusal } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import { type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;
const at = ({ owner, name }: StandInRepository) => ({ owner, repo: name });
shareStandIn((made) => (standIn = made));

describe('a token of the App', () => {
  it('cannot tell a private repository outside of its scope from none: 404', async () => {
    const inside = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const outside = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const notInstalled = await standIn.seedRepository({ private: true, files: { a: 'a' }, installed: false });
    const bot = await createBotClient(standIn, { repositoryIds: [inside.id] });
    const wide = await createBotClient(standIn);

    await bot.rest.repos.get(at(inside));

    expect(await refusal(bot.rest.repos.get(at(outside)))).toMatchObject({ status: 404, message: 'Not Found' });
    expect(await refusal(wide.rest.repos.get(at(notInstalled)))).toMatchObject({ status: 404 });
    expect(await refusal(bot.rest.repos.get({ owner: 'acme', repo: 'nowhere' }))).toMatchObject({ status: 404 });
  });

  it('reads a public repository outside of its scope, and writes nothing there', async () => {
    const inside = await standIn.seedRepository({ files: { a: 'a' } });
    const outside = await standIn.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(standIn, { repositoryIds: [inside.id] });

    await bot.rest.repos.getContent({ ...at(outside), path: 'a' });

    expect(await refusal(bot.rest.issues.create({ ...at(outside), title: 'x' }))).toMatchObject({
      status: 403,
      message: 'Resource not accessible by integration',
    });
  });

  it.each([
    ['writes with a read permission', { contents: 'read' }, 'POST /repos/{owner}/{repo}/git/blobs', { content: 'x' }],
    ['reads without the permission', { issues: 'read' }, 'GET /repos/{owner}/{repo}/contents/{path}', { path: 'a' }],
    [
      'comments without issues or pull_requests',
      { contents: 'write' },
      'POST /repos/{owner}/{repo}/issues/{issue_number}/comments',
      { issue_number: 1, body: 'x' },
    ],
    ['opens a pull request with contents alone', { contents: 'write' }, 'POST /repos/{owner}/{repo}/pulls', { title: 'x', head: 'x', base: 'main' }],
    ['writes a check without checks', { contents: 'write' }, 'POST /repos/{owner}/{repo}/check-runs', { name: 'x', head_sha: 'x' }],
  ] as const)('is refused with 403 when it %s', async (_name, permissions, route, parameters) => {
    const repository = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const bot = await createBotClient(standIn, { permissions });

    const refused = await refusal(bot.request(route, { ...at(repository), ...parameters } as never));

    expect(refused).toMatchObject({ status: 403, message: 'Resource not accessible by integration' });
  });

  it('does not put a workflow into a tree, nor a ref on a commit with one, without `workflows`', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const branches = await repository.branches();
    const base = branches['main'] ?? '';
    const bot = await createBotClient(standIn, { permissions: { contents: 'write' } });
    const owner = createUserClient(standIn, 'acme-owner');
    const tree = [{ path: '.github/workflows/ci.yml', mode: '100644' as const, type: 'blob' as const, content: 'on: push\n' }];

    const refused = await refusal(bot.rest.git.createTree({ ...at(repository), base_tree: base, tree }));
    const made = await owner.rest.git.createTree({ ...at(repository), base_tree: base, tree });
    const commit = await bot.rest.git.createCommit({ ...at(repository), message: 'ci', tree: made.data.sha, parents: [base] });
    const ref = await refusal(bot.rest.git.createRef({ ...at(repository), ref: 'refs/heads/ci', sha: commit.data.sha }));

    expect(refused).toMatchObject({ status: 403, message: 'Resource not accessible by integration' });
    expect(ref).toMatchObject({ status: 403, message: 'Resource not accessible by integration' });
    await owner.rest.git.createRef({ ...at(repository), ref: 'refs/heads/ci', sha: commit.data.sha });
  });

  it('keeps a workflow that was there before in a new tree', async () => {
    const repository = await standIn.seedRepository({ files: { '.github/workflows/ci.yml': 'on: push\n', a: 'a' } });
    const { main = '' } = await repository.branches();
    const bot = await createBotClient(standIn, { permissions: { contents: 'write' } });

    const tree = await bot.rest.git.createTree({ ...at(repository), base_tree: main, tree: [{ path: 'a', mode: '100644', type: 'blob', content: 'b' }] });
    const commit = await bot.rest.git.createCommit({ ...at(repository), message: 'a', tree: tree.data.sha, parents: [main] });

    await expect(bot.rest.git.createRef({ ...at(repository), ref: 'refs/heads/a', sha: commit.data.sha })).resolves.toMatchObject({ status: 201 });
  });
});

describe('people', () => {
  it('have a permission that is told even of strangers', async () => {
    const collaborators = [
      { login: 'ada', permission: 'write' },
      { login: 'bob', permission: 'triage' },
    ] as const;
    const open = await standIn.seedRepository({ files: { a: 'a' }, collaborators });
    const closed = await standIn.seedRepository({ private: true, files: { a: 'a' }, collaborators });
    const bot = await createBotClient(standIn, { permissions: { issues: 'write' } });
    const ask = async (repository: StandInRepository, username: string): Promise<[string, string]> => {
      const { data } = await bot.rest.repos.getCollaboratorPermissionLevel({ ...at(repository), username });
      return [data.permission, data.role_name];
    };

    expect(await ask(open, 'acme-owner')).toEqual(['admin', 'admin']);
    expect(await ask(open, 'ada')).toEqual(['write', 'write']);
    expect(await ask(open, 'bob')).toEqual(['read', 'triage']);
    expect(await ask(open, 'mallory')).toEqual(['read', 'read']);
    expect(await ask(closed, 'mallory')).toEqual(['none', 'none']);
    expect(await refusal(ask(open, 'no-such-person'))).toMatchObject({ status: 404 });
    expect(await refusal(ask(open, 'renovate[bot]'))).toMatchObject({ status: 404, message: 'renovate[bot] is not a user' });
    await open.setPermission('ada', null);
    expect(await ask(open, 'ada')).toEqual(['read', 'read']);
    await open.setPermission('ada', 'maintain');
    expect(await ask(open, 'ada')).toEqual(['write', 'maintain']);
  });

  it('cannot label without triage: 403 on a public repository, 404 on a private one', async () => {
    const open = await standIn.seedRepository({ files: { a: 'a' }, collaborators: [{ login: 'bob', permission: 'triage' }] });
    const closed = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const issue = await open.createIssue({ as: 'mallory', title: 'x' });
    const hidden = await closed.createIssue({ as: 'acme-owner', title: 'x' });
    const mallory = createUserClient(standIn, 'mallory');

    const refused = await refusal(mallory.rest.issues.addLabels({ ...at(open), issue_number: issue, labels: ['mayfly'] }));
    const unseen = await refusal(mallory.rest.issues.addLabels({ ...at(closed), issue_number: hidden, labels: ['mayfly'] }));
    await open.label({ as: 'bob', issue, label: 'mayfly' });

    expect(refused.status).toBe(403);
    expect(unseen.status).toBe(404);
    expect((await open.issue(issue)).labels).toHaveLength(1);
  });

  it('who only report get their issue without the labels they wished for', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });

    const stranger = await repository.createIssue({ as: 'mallory', title: 'x', labels: ['mayfly'] });
    const writer = await repository.createIssue({ as: 'ada', title: 'x', labels: ['mayfly'] });

    expect((await repository.issue(stranger)).labels).toEqual([]);
    expect((await repository.issue(writer)).labels).toHaveLength(1);
  });

  it('close their own issues and no others', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'bob', title: 'x' });
    const mallory = createUserClient(standIn, 'mallory');

    expect(await refusal(mallory.rest.issues.update({ ...at(repository), issue_number: issue, state: 'closed' }))).toMatchObject({ status: 403 });
    await repository.closeIssue({ as: 'bob', issue });
    expect((await repository.issue(issue)).state).toBe('closed');
  });

  it('without a token read what is public, write nothing, and see nothing private', async () => {
    const open = await standIn.seedRepository({ files: { a: 'a' } });
    const closed = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const nobody = createClient(standIn);

    await nobody.rest.repos.getContent({ ...at(open), path: 'a' });

    expect(await refusal(nobody.rest.repos.get(at(closed)))).toMatchObject({ status: 404 });
    expect(await refusal(nobody.rest.issues.create({ ...at(open), title: 'x' }))).toMatchObject({ status: 401 });
  });
});
