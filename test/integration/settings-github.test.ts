/** Settings on the stand-in GitHub: read over its API, an issue while they are broken, a check on a pull request that changes them. */
import { afterEach, describe, expect, it } from 'vitest';
import { takeInSettings } from '../../src/bot/settings-events.ts';
import { readRepositorySettings } from '../../src/bot/repository-settings.ts';
import type { Operator } from '../../src/settings/operator.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareWithRepository } from '../support/github/shared.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';
import { alone } from '../support/in-turn.ts';
import { captureLog } from '../support/capture-log.ts';

const path = '.github/mayfly.yml';
let standIn: StandInGitHub;
let seeded: StandInRepository;
shareWithRepository((...made) => ([standIn, seeded] = made));
afterEach(() => {
  if (standIn.tokens.some((token) => !token.revoked)) throw new Error('a token was not revoked');
});

const read = async (ref?: string) => {
  const { repository } = openPort(standIn, seeded);
  return await readRepositorySettings({ github: repository, owner: seeded.owner, operator: silentOperator, ...(ref !== undefined && { ref }) });
};
const commit = async (text: string | null, branch = 'main'): Promise<string> => await seeded.commit({ branch, message: 'settings', files: { [path]: text } });
const tell = async (
  pull?: { number: number; headSha: string; fork?: boolean; by?: string },
  port: Parameters<typeof openPort>[2] = {},
  operator: Operator = silentOperator,
): Promise<void> => {
  const { owner, name, id } = seeded;
  const repository = { id, owner, name, private: true, defaultBranch: 'main' };
  const { installationId } = standIn.app;
  const event = {
    deliveryId: 'd-1',
    installationId,
    repository,
  };
  const tools = { github: openPort(standIn, seeded, port).github, operator, inTurn: alone, signal: new AbortController().signal };
  const { log } = captureLog();
  if (pull === undefined) return await takeInSettings({ ...event, kind: 'pushed' }, tools, log);
  const { by = 'ada', fork = false, number, headSha } = pull;
  await takeInSettings({ ...event, kind: 'settings_proposed', actor: { login: by }, pull: { number, headSha, fork } }, tools, log);
};
/** Open and closed, the oldest first. */
async function issues(): Promise<readonly { title: string; state: string; body: string }[]> {
  const found: { title: string; state: string; body: string }[] = [];
  for (let number = 1; number < 9; number++) {
    const issue = (await seeded.issue(number).catch(() => null)) as { title: string; state: string; body: string; pull_request?: unknown } | null;
    if (issue && issue.pull_request === undefined) found.push(issue);
  }
  return found;
}

describe('settings over the API', () => {
  it('test 32 of the threat model: come from the default branch, whatever a pull request says', async () => {
    await commit('test: npm test\n');
    const head = await commit('test: curl evil.example\n', 'evil');

    expect(await read()).toMatchObject({ effective: { values: { test: 'npm test' }, origins: { test: 'repository, line 1' } } });
    expect(await read(head)).toMatchObject({ effective: { values: { test: 'curl evil.example' } } });
  });

  it('are the defaults where there is no file, and a problem where it is too large', async () => {
    expect(await read()).toMatchObject({ effective: { values: { enabled: true } } });
    await commit('#'.repeat(40_000));
    expect(await read()).toMatchObject({ problems: [{ message: expect.stringContaining('larger than 32768 bytes') }] });
  });

  it.each([true, false])('take the rest from the repository .github of the organization, installed there: %s', async (installed) => {
    await using world = await createStandInGitHub();
    const shared = await world.seedRepository({ name: '.github', private: installed, installed, files: { [path]: 'ci: run\ntest: make\n' } });
    const own = await world.seedRepository({ private: true, files: { [path]: 'extends: organization\ntest: npm test\n' } });

    const { repository } = openPort(world, own);
    const resolved = await readRepositorySettings({ github: repository, owner: own.owner, operator: silentOperator });

    expect(shared.fullName).toBe('acme/.github');
    expect(resolved).toMatchObject({
      effective: { values: { ci: 'run', test: 'npm test' }, origins: { ci: 'organization acme/.github, line 1', test: 'repository, line 2' } },
    });
    expect(world.violations).toEqual([]);
  });

  it('do without an organization that has none', async () => {
    await commit('extends: organization\n');

    expect(await read()).toMatchObject({ effective: { values: { ci: 'hold' } } });
  });
});

describe('a push to the default branch', () => {
  it('opens one issue when the settings are broken, keeps it up to date, and closes it when they are right', async () => {
    await commit('tset: npm test\n');
    await tell();
    await tell();
    expect(await issues()).toEqual([expect.objectContaining({ title: 'Action required: correct .github/mayfly.yml', state: 'open' })]);
    expect((await issues())[0]?.body).toContain('| `.github/mayfly.yml` | 1:1 | `tset` | `there is no such key; did you mean test?` |');

    await commit('test: npm test\n\nci: maybe\n');
    await tell();
    expect((await issues()).map(({ body }) => /3:1 .*ci/.test(body))).toEqual([true]);

    await commit('test: npm test\n');
    await tell();
    expect((await issues()).map(({ state }) => state)).toEqual(['closed']);

    expect((await issues())[0]?.body).toContain('Corrected: Mayfly understands every key');

    await commit('tset: npm test\n');
    await tell();
    expect((await issues()).map(({ state }) => state)).toEqual(['open']);
  });

  it('opens nothing when there is nothing to say', async () => {
    await tell();
    await commit('test: npm test\n');
    await tell();

    expect(await issues()).toEqual([]);
  });

  it('leaves an issue alone that only looks like ours', async () => {
    await seeded.createIssue({ as: 'ada', title: 'Mine', body: '<!-- mayfly:settings -->' });
    await commit('test: npm test\n');
    await tell();

    expect((await issues()).map(({ state, title }) => `${title} ${state}`)).toEqual(['Mine open']);
  });
});

describe('a pull request', () => {
  it('that changes the settings gets a check with what would hold, and whose word it is', async () => {
    await commit('test: npm test\n');
    const headSha = await commit('test: npm run all\nlimits: {steps: 50}\n', 'change');
    const number = await openPull('change');

    await tell({ number, headSha });
    await tell({ number, headSha });

    const checks = await seeded.checks(headSha);
    expect(checks).toMatchObject([{ name: 'Mayfly settings', conclusion: 'success', output: { title: 'Every key is understood' } }]);
    expect((checks[0] as { output: { summary: string } }).output.summary).toContain('| `limits.steps` | `50` | `repository, line 2` |');
  });

  it('with mistakes in them gets a check that fails and says which', async () => {
    const headSha = await commit('limits: {step: 50}\n', 'change');

    await tell({ number: await openPull('change'), headSha });

    const [check] = (await seeded.checks(headSha)) as { conclusion: string; output: { title: string; summary: string } }[];
    expect(check).toMatchObject({ conclusion: 'failure', output: { title: '1 problem' } });
    expect(check?.output.summary).toContain('did you mean steps?');
    expect(await issues()).toEqual([]);
  });

  it.each([
    ['comes from a fork', { fork: true }],
    ['is by somebody who may not write here', { by: 'mallory' }],
  ])('that %s gets a check of its form: no word of the organization or the operator', async (_what, from) => {
    const hosts = { value: ['npm.corp.internal'], variable: 'MAYFLY_ALLOWED_HOSTS', given: true };
    const operator: Operator = { ...silentOperator, ceilings: { 'allow.setup': hosts }, models: ['secret/model'] };
    const headSha = await commit('extends: organization\nmodel: other/model\nallow: [registry.npmjs.org]\n', 'change');
    const number = await openPull('change');
    const before = standIn.requests.length;

    await tell({ number, headSha, ...from }, {}, operator);

    const [check] = (await seeded.checks(headSha)) as { conclusion: string; output: { title: string; summary: string } }[];
    expect(check).toMatchObject({ conclusion: 'success', output: { title: 'Every key is understood' } });
    expect(check?.output.summary).not.toMatch(/corp|MAYFLY|secret|registry|\|/);
    expect(standIn.requests.slice(before).some(({ path: target }) => target.includes('/acme/.github'))).toBe(false);
  });

  it('with other files gets none', async () => {
    const headSha = await seeded.commit({ branch: 'change', message: 'x', files: { 'a.txt': 'b' } });

    await tell({ number: await openPull('change'), headSha });

    expect(await seeded.checks(headSha)).toEqual([]);
  });

  it.each([
    [{ '.github/mayfly.yml': 'test: npm test\n' }, 1],
    [{ 'a.txt': 'b' }, 0],
  ])('with more files than GitHub lists costs a few requests: %j', async (files, checks) => {
    const headSha = await seeded.commit({ branch: 'change', message: 'x', files });
    const number = await openPull('change');
    const before = standIn.requests.length;
    const send: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (typeof input !== 'string' || !input.includes('/compare/')) return response;
      const compared = (await response.json()) as object;
      const listed = Array.from({ length: 300 }, (_, index) => ({ filename: `${index}.txt`, status: 'added' }));
      return Response.json({ ...compared, files: listed });
    };

    await tell({ number, headSha }, { fetch: send });

    const asked = standIn.requests.slice(before).map(({ path: target }) => target);
    expect(asked.filter((target) => /\/(?:compare|contents|pulls)\b/.test(target)).length).toBeLessThanOrEqual(3 + checks);
    expect(await seeded.checks(headSha)).toHaveLength(checks);
  });

  async function openPull(head: string): Promise<number> {
    const response = await fetch(`${standIn.apiUrl}/repos/${seeded.fullName}/pulls`, {
      method: 'POST',
      headers: {
        authorization: `token ${standIn.userToken('ada')}`,
        'content-type': 'application/json',
        accept: 'application/vnd.github+json',
        'user-agent': 'ada',
      },
      body: JSON.stringify({ title: 'Change', head, base: 'main' }),
    });
    return ((await response.json()) as { number: number }).number;
  }
});
