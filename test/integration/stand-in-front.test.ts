import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAppClient, createBotClient, createClient, refusal } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { createStandInGitHub, type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;
const at = ({ owner, name }: StandInRepository) => ({ owner, repo: name });

beforeAll(async () => {
  standIn = await createStandInGitHub({ webhookUrl: 'http://127.0.0.1:1/hook' });
});
afterAll(() => standIn.close());

/** Runs a request that is wrong, and takes its violations out of the list. */
async function violationsOf(run: () => Promise<unknown>): Promise<{ refused: { status: number; message: string }; violations: string[] }> {
  const before = standIn.violations.length;
  const refused = await refusal(run());
  return { refused, violations: standIn.violations.slice(before) };
}

describe('GitHub’s description of its API', () => {
  it.each([
    ['a parameter that is not one of its words', 'GET /repos/{owner}/{repo}/issues', { state: 'opn' }, /query\/state/],
    ['a parameter that it does not have', 'GET /repos/{owner}/{repo}/issues', { labelz: 'x' }, /labelz/],
    ['a body without a required key', 'POST /repos/{owner}/{repo}/pulls', { title: 'x', head: 'x' }, /base/],
    [
      'a body with a key of the wrong type',
      'POST /repos/{owner}/{repo}/pulls',
      { title: 'x', head: 'x', base: 'main', draft: 'yes' },
      /draft: must be boolean/,
    ],
    ['a body with a key that it does not know', 'POST /repos/{owner}/{repo}/git/refs', { ref: 'refs/heads/x', sha: 'x', forced: true }, /forced/],
    ['a reaction that does not exist', 'POST /repos/{owner}/{repo}/issues/{issue_number}/reactions', { issue_number: 1, content: 'wink' }, /content/],
    ['a number that is none', 'GET /repos/{owner}/{repo}/issues/{issue_number}', { issue_number: 'seven' }, /issue_number: must be integer/],
  ] as const)('refuses %s, and remembers it', async (_name, route, parameters, problem) => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(standIn);

    const { refused, violations } = await violationsOf(() => bot.request(route, { ...at(repository), ...parameters } as never));

    expect(refused.status).toBe(422);
    expect(violations.join('\n')).toMatch(problem);
  });

  it('refuses a level of permission that is none', async () => {
    const app = await createAppClient(standIn);
    const body = { installation_id: standIn.app.installationId, permissions: { contents: 'admin' as never } };

    const { refused, violations } = await violationsOf(() => app.rest.apps.createInstallationAccessToken(body));

    expect(refused.status).toBe(422);
    expect(violations[0]).toContain('permissions/contents');
  });

  it('knows no path that GitHub does not have, and says of what it does not stand in for that it does not', async () => {
    const bot = await createBotClient(standIn);
    const repository = await standIn.seedRepository({ files: { a: 'a' } });

    const unknown = await violationsOf(() => bot.request('GET /repos/{owner}/{repo}/isues', at(repository)));
    const absent = await violationsOf(() => bot.rest.pulls.merge({ ...at(repository), pull_number: 1 }));
    // Mayfly asks one question by GraphQL: whoever begins to ask another is told at once.
    const graphql = await violationsOf(() => bot.request('POST /graphql', { query: '{ viewer { login } }' }));

    expect(unknown).toMatchObject({ refused: { status: 404 }, violations: [expect.stringContaining('no such operation')] });
    expect(absent).toMatchObject({
      refused: { status: 501 },
      violations: [expect.stringContaining('the stand-in has no PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge')],
    });
    expect(graphql).toMatchObject({ refused: { status: 422 }, violations: [expect.stringContaining('knows no such query')] });
  });
});

describe('what the emulator answers 404 to', () => {
  it('is there: hook configuration, statuses, rulesets, branch rules, dispatches', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const { main = '' } = await repository.branches();
    await using wide = await createStandInGitHub({ permissions: { contents: 'write', statuses: 'write' } });
    const other = await wide.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(wide);
    const app = await createAppClient(standIn);
    const sha = (await other.branches())['main'] ?? '';

    expect((await app.rest.apps.getWebhookConfigForApp()).data).toMatchObject({ content_type: 'json', url: 'http://127.0.0.1:1/hook' });
    await bot.rest.repos.createCommitStatus({ ...at(other), sha, state: 'success', context: 'ci' });
    expect((await bot.rest.repos.getCombinedStatusForRef({ ...at(other), ref: 'main' })).data).toMatchObject({ state: 'success', total_count: 1 });
    expect((await bot.rest.repos.getRepoRulesets(at(other))).data).toEqual([]);
    expect((await bot.rest.repos.getBranchRules({ ...at(other), branch: 'main' })).data).toEqual([]);
    expect((await bot.rest.repos.createDispatchEvent({ ...at(other), event_type: 'x' })).status).toBe(204);
    expect(await refusal((await createBotClient(standIn)).rest.repos.createCommitStatus({ ...at(repository), sha: main, state: 'success' }))).toMatchObject({
      status: 403,
    });
    expect(wide.violations).toEqual([]);
  });

  it('and what it has: check runs on a commit that it never saw', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const { main = '' } = await repository.branches();
    const bot = await createBotClient(standIn, { permissions: { checks: 'write', contents: 'read' } });

    const { data: check } = await bot.rest.checks.create({ ...at(repository), name: 'Mayfly', head_sha: main, status: 'in_progress' });
    await bot.rest.checks.update({ ...at(repository), check_run_id: check.id, status: 'completed', conclusion: 'success' });
    const { data: list } = await bot.rest.checks.listForRef({ ...at(repository), ref: 'main' });

    expect(list.check_runs).toMatchObject([{ name: 'Mayfly', head_sha: main, conclusion: 'success' }]);
    expect(await refusal(bot.rest.checks.create({ ...at(repository), name: 'Mayfly', head_sha: 'f'.repeat(40) }))).toMatchObject({ status: 422 });
  });
});

describe('scripted faults', () => {
  it('answer instead of GitHub, as often as they are told, with the headers they are told', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(standIn);
    standIn.fault({ method: 'GET', path: /\/issues$/, times: 2, status: 429, headers: { 'retry-after': '7' }, body: { message: 'slow down' } });
    const list = () => bot.rest.issues.listForRepo(at(repository));

    expect(await refusal(list())).toMatchObject({ status: 429, message: 'slow down' });
    expect(standIn.faults.unused).toBe(1);
    expect(await refusal(list())).toMatchObject({ status: 429 });
    await expect(list()).resolves.toMatchObject({ status: 200 });
    expect(standIn.faults.unused).toBe(0);
  });

  it('can lose the answer to what was done', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const issue = await repository.createIssue({ as: 'ada', title: 'x' });
    const bot = await createBotClient(standIn);
    const comment = () => bot.rest.issues.createComment({ ...at(repository), issue_number: issue, body: 'x' });
    standIn.fault({ method: 'POST', path: /\/comments$/, afterSuccess: true, status: 502 });
    standIn.fault({ method: 'POST', path: /\/comments$/, afterSuccess: true, reset: true });
    standIn.fault({ method: 'POST', path: /\/comments$/, reset: true });

    expect(await refusal(comment())).toMatchObject({ status: 502 });
    expect((await refusal(comment())).status).toBe(500);
    expect((await refusal(comment())).status).toBe(500);

    expect(await repository.comments(issue)).toHaveLength(2);
  });

  it('can hang until the caller gives up', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(standIn);
    standIn.fault({ path: /\/issues$/, hang: true });

    const waiting = bot.rest.issues.listForRepo({ ...at(repository), request: { signal: AbortSignal.timeout(50) } });

    await expect(waiting).rejects.toThrow(/aborted|timeout/i);
  });

  it('reach git as well', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    standIn.fault({ path: /\/info\/refs$/, status: 503 });

    const response = await fetch(`${repository.cloneUrl}/info/refs?service=git-upload-pack`);

    expect(response.status).toBe(503);
  });
});

describe('the recorder', () => {
  it('remembers who asked what with which token, and no token’s value', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(standIn);
    await bot.rest.repos.get(at(repository));
    await createClient(standIn).rest.repos.get(at(repository));

    expect(standIn.requests.slice(-3)).toMatchObject([
      { method: 'POST', path: `/app/installations/${standIn.app.installationId}/access_tokens`, token: 'app', status: 201 },
      { method: 'GET', path: `/repos/${repository.fullName}`, token: standIn.tokens.at(-1)?.id, status: 200 },
      { method: 'GET', path: `/repos/${repository.fullName}`, token: null, status: 200 },
    ]);
    expect(JSON.stringify([standIn.requests, standIn.tokens])).not.toMatch(/gh[sp]_|eyJ/);
  });
});

describe('the rate limit', () => {
  it('is told with every answer and counts down to a 403', async () => {
    await using small = await createStandInGitHub({ rateLimit: 2 });
    const repository = await small.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(small);
    const ask = () => bot.rest.repos.get(at(repository));

    const [first, second] = [await ask(), await ask()];

    expect([first, second].map(({ headers }) => headers['x-ratelimit-remaining'])).toEqual(['1', '0']);
    expect(first.headers).toMatchObject({ 'x-ratelimit-limit': '2', 'x-ratelimit-resource': 'core', 'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/) });
    expect(await refusal(ask())).toMatchObject({ status: 403, message: expect.stringContaining('API rate limit exceeded') });
  });
});
