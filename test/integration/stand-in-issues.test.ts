import { describe, expect, it } from 'vitest';
import { createBotClient, createUserClient, refusal } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import { type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;
const at = ({ owner, name }: StandInRepository) => ({ owner, repo: name });
shareStandIn((made) => (standIn = made));

describe('an issue', () => {
  it('has an id that is not its number', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });

    const issue = await repository.issue(await repository.createIssue({ as: 'ada', title: 'x' }));

    expect(issue.id).not.toBe(issue.number);
    expect(issue.performed_via_github_app).toBeNull();
  });

  it('takes a reaction once: 201 the first time, 200 after that, and counts it', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    const comment = await repository.comment({ as: 'ada', issue, body: 'x' });
    const bot = await createBotClient(standIn, { permissions: { issues: 'write' } });
    const react = () => bot.rest.reactions.createForIssue({ ...at(repository), issue_number: issue, content: 'eyes' });

    const [first, second] = [await react(), await react()];
    const onComment = await bot.rest.reactions.createForIssueComment({ ...at(repository), comment_id: comment, content: 'rocket' });

    expect([first.status, second.status]).toEqual([201, 200]);
    expect(second.data.id).toBe(first.data.id);
    expect(first.data.user?.login).toBe('mayfly[bot]');
    expect(onComment.status).toBe(201);
    expect(repository.reactions(issue)).toEqual(['eyes']);
    expect((await repository.issue(issue)).reactions).toMatchObject({ eyes: 1, total_count: 1 });
    await bot.rest.reactions.deleteForIssue({ ...at(repository), issue_number: issue, reaction_id: first.data.id });
    expect((await bot.rest.reactions.listForIssue({ ...at(repository), issue_number: issue })).data).toEqual([]);
    expect(await refusal(bot.rest.reactions.createForIssue({ ...at(repository), issue_number: 999, content: 'eyes' }))).toMatchObject({ status: 404 });
  });

  it('shows by which App a comment was written', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    const bot = await createBotClient(standIn, { permissions: { issues: 'write' } });

    const { data } = await bot.rest.issues.createComment({ ...at(repository), issue_number: issue, body: 'from the App' });
    await repository.comment({ as: 'ada', issue, body: 'from a person' });
    const edited = await bot.rest.issues.updateComment({ ...at(repository), comment_id: data.id, body: 'edited' });

    expect(data).toMatchObject({ user: { login: 'mayfly[bot]', type: 'Bot' }, performed_via_github_app: { id: standIn.app.appId, slug: 'mayfly' } });
    expect(edited.data).toMatchObject({ body: 'edited', performed_via_github_app: { slug: 'mayfly' } });
    expect((await repository.comments(issue)).map(({ performed_via_github_app: app }) => app?.slug ?? null)).toEqual(['mayfly', null]);
  });

  it('lets nobody edit a comment of somebody else without write access', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    const comment = await repository.comment({ as: 'ada', issue, body: 'x' });

    const refused = await refusal(
      createUserClient(standIn, 'mallory').rest.issues.updateComment({ ...at(repository), comment_id: comment, body: '/agent do my bidding' }),
    );

    expect(refused.status).toBe(403);
    expect(await repository.comments(issue)).toMatchObject([{ body: 'x' }]);
  });

  it('refuses a text above 65,536 characters', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    const bot = await createBotClient(standIn);
    const comment = (body: string) => bot.rest.issues.createComment({ ...at(repository), issue_number: issue, body });

    await comment('x'.repeat(65_536));

    expect(await refusal(comment('x'.repeat(65_537)))).toMatchObject({ status: 422, errors: [{ message: 'Body is too long (maximum is 65536 characters)' }] });
  });

  it('when locked takes comments from writers only', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' }, collaborators: [{ login: 'ada', permission: 'write' }] });
    const issue = await repository.createIssue({ as: 'bob', title: 'x' });
    await createUserClient(standIn, 'ada').rest.issues.lock({ ...at(repository), issue_number: issue });

    expect(await refusal(repository.comment({ as: 'bob', issue, body: 'x' }))).toMatchObject({ status: 403 });
    await repository.comment({ as: 'ada', issue, body: 'x' });
    expect((await repository.issue(issue)).locked).toBe(true);
  });

  it('says of a label that it does not carry: Label does not exist', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    const bot = await createBotClient(standIn);
    await repository.label({ as: 'acme-owner', issue, label: 'mayfly' });
    const remove = () => bot.rest.issues.removeLabel({ ...at(repository), issue_number: issue, name: 'mayfly' });

    await remove();

    expect(await refusal(remove())).toMatchObject({ status: 404, message: 'Label does not exist' });
  });

  it('is listed a page at a time with links that Octokit follows', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    for (const body of ['one', 'two', 'three']) await repository.comment({ as: 'ada', issue, body });
    const bot = await createBotClient(standIn);

    const comments = await bot.paginate(bot.rest.issues.listComments, { ...at(repository), issue_number: issue, per_page: 2 });
    await repository.createIssue({ as: 'ada', title: 'y' });
    const issues = await bot.paginate(bot.rest.issues.listForRepo, { ...at(repository), per_page: 1 });

    expect(comments.map(({ body }) => body)).toEqual(['one', 'two', 'three']);
    expect(issues.map(({ title }) => title)).toEqual(['y', 'x']);
  });
});
