/** Failed checks on commits of ours: what starts a run, what is only said, and how workflows are released. */
import { expect, it } from 'vitest';
import { releaseCi } from '../../src/bot/release-ci.ts';
import type { Release } from '../../src/bot/release-ci.ts';
import type { FixJob } from '../../src/job.ts';
import { describeFollow } from '../support/follow-world.ts';
import { openPort } from '../support/github-port.ts';
import { bash, submit } from '../support/issue-world.ts';

describeFollow('checks of a pull request of ours', {}, (world) => {
  const head = async (): Promise<string> => (await world.repository.branches())[world.branch] ?? '';
  const release = async (saidAt = new Date().toISOString(), change: Partial<Release> = {}): Promise<string> => {
    const { repository } = openPort(world.standIn, world.repository);
    const asked = { number: world.pull, actor: world.job.actor, saidAt, lastRunAt: null, defaultBranch: 'main', signal: new AbortController().signal };
    return await releaseCi(repository, { ...asked, ...change });
  };
  const fail = async (runs: readonly { name: string; conclusion: string; log?: string }[]): Promise<readonly FixJob[]> => {
    await world.repository.runWorkflows({ sha: await head(), conclusion: 'failure', runs });
    return await world.takeIn();
  };
  const broken = { name: 'build', conclusion: 'failure', log: '2026-01-02T03:04:05.0000000Z ##[error]src.txt should say better\n' };
  const said = async (): Promise<string> => (await world.repository.comments(world.pull)).at(-1)?.body ?? '';

  it('are held until somebody releases them, by a commit with the same files that forces nothing', async () => {
    await expect(world.repository.runWorkflows({ sha: world.headSha, conclusion: 'failure', runs: [broken] })).rejects.toThrow('skip-checks');

    // Nobody has read a commit that came after the words.
    expect(await release('2026-01-02T03:04:05Z')).toMatch(/^[0-9a-f]{7} came after you asked/);
    // Made before the words, but the branch moved to it after them.
    expect(await release(undefined, { lastRunAt: new Date(Date.now() + 5000).toISOString() })).toMatch(/^[0-9a-f]{7} came after you asked/);
    expect(await release(undefined, { defaultBranch: world.branch })).toMatch(/^Mayfly holds nothing back on /);
    expect(await head()).toBe(world.headSha);

    const sentence = await release();

    const { commits, files } = await world.repository.pullRequest(world.pull);
    expect(commits).toHaveLength(2);
    expect(commits[1].parents[0].sha).toBe(world.headSha);
    expect(commits[1].commit.tree.sha).toBe(commits[0].commit.tree.sha);
    expect(commits[1].commit.message).not.toContain('skip-checks');
    expect(files).toHaveLength(1);
    expect(sentence).toContain((await head()).slice(0, 7));
    expect(await release()).toMatch(/^Workflows are not held on /);
    await expect(world.repository.runWorkflows({ sha: await head(), conclusion: 'success', runs: [] })).resolves.toBeUndefined();
  });

  it('that fail because of the change start one run, which sees the logs and pushes one commit', async () => {
    await release();
    const releasedSha = await head();

    const [job, ...more] = await fail([broken, { ...broken, name: 'lint', log: 'curl: (6) Could not resolve host: registry\n' }]);
    world.atWork.push('working');
    await world.repository.runWorkflows({ sha: releasedSha, conclusion: 'failure', runs: [broken] });
    const again = await world.takeIn();
    const { report, model } = await world.run([bash('echo good, better > src.txt'), submit()], { job });

    expect([...more, ...again]).toEqual([]);
    expect(job).toMatchObject({
      work: { kind: 'repair', attempt: 1 },
      actor: { login: 'ada' },
      pull: { headSha: releasedSha },
      trigger: { kind: 'event', name: 'checks' },
    });
    const told = JSON.stringify(model.questions[0]?.messages);
    expect(told).toContain('build\\"\\n##[error]src.txt should say better');
    expect(told).not.toContain('Could not resolve host');
    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    const { commits } = await world.repository.pullRequest(world.pull);
    expect(commits.at(-1).commit.message).toMatch(
      /^Repair the checks of pull request \d+\n\n\nCo-authored-by: ada <.*>\nMayfly-run: r\w+\nMayfly-repair: 1\nskip-checks: true$/,
    );
    // Logs lie on another host, which must not see our token.
    expect(world.standIn.requests.filter(({ path }) => path.startsWith('/job-logs/')).every(({ status, token }) => status === 200 && token === null)).toBe(
      true,
    );
  });

  it('that somebody runs again, and that fail again, have up to three runs for one head, and then a sentence', async () => {
    await release();
    const keys: string[] = [];
    for (let time = 1; time <= 4; time++) keys.push(...(await fail([broken])).map(({ key }) => key));

    expect(new Set(keys).size).toBe(3);
    expect(keys).toHaveLength(3);
    expect(world.queued.map(({ work }) => work)).toEqual([1, 2, 3].map(() => ({ kind: 'repair', attempt: 1 })));
    const { id } = world.repository;
    const checks = { kind: 'checks', key: 'again', number: world.pull, headSha: await head() } as const;
    const { deliveryId, installationId, repository, actor, requestedAt: receivedAt } = world.job;
    await world.take({ ...checks, deliveryId, installationId, repository: { ...repository, id }, actor, receivedAt });
    expect(world.queued).toHaveLength(3);
  });

  it('are waited for until the last suite has ended', async () => {
    await release();
    await world.repository.runWorkflows({ sha: await head(), conclusion: null, runs: [{ name: 'slow', conclusion: null }] });

    expect(await fail([broken])).toEqual([]);
    expect(await world.repository.comments(world.pull)).toEqual([]);
  });

  it.each([
    ['a runner that was lost', [{ ...broken, log: 'The runner has received a shutdown signal.' }], 'ended for a reason outside of the code'],
    ['a job that somebody cancelled', [{ ...broken, conclusion: 'cancelled' }], 'ended for a reason outside of the code'],
    ['a check without a log', [{ name: 'build', conclusion: 'failure' }], 'has no log that Mayfly can read'],
  ])('start no run for %s, and one sentence says so', async (_what, runs, words) => {
    await release();

    expect(await fail(runs)).toEqual([]);
    expect(await said()).toMatch(/^<!-- mayfly:status -->\n\*\*Mayfly: checks failed on [0-9a-f]{7}; no run was started\.\*\*/);
    expect(await said()).toContain(`- \`build\` ${words}`);
  });

  it('start no run when the base fails in the same job', async () => {
    await release();
    const { main = '' } = await world.repository.branches();
    await world.repository.runWorkflows({ sha: main, conclusion: 'failure', runs: [broken] });

    expect(await fail([broken])).toEqual([]);
    expect(await said()).toContain('- `build` fails on `main` as well');
  });

  it('are repaired three times in a row at most; a push by a person is nobody’s to repair', async () => {
    await release();
    const releasedSha = await head();
    const { repository } = openPort(world.standIn, world.repository);
    const commitMessage = 'Repair\n\n\nCo-authored-by: ada <3+ada@users.noreply.github.com>\nMayfly-repair: 3\n';
    const { signal } = new AbortController();
    await repository.pulls.push({ branch: world.branch, headSha: releasedSha, mergedSha: null, files: [], commitMessage, signal });

    expect(await fail([broken])).toEqual([]);
    expect(await said()).toContain('still fails after 3 repairs in a row');

    await world.repository.commit({ branch: world.branch, message: 'By hand', files: { 'src.txt': 'good by hand\n' }, by: 'ada' });
    expect(await fail([broken])).toEqual([]);
  });

  it('are left alone when the settings say so', async () => {
    await release();
    await world.settings({ checks: false });

    expect(await fail([broken])).toEqual([]);
    expect(await world.repository.comments(world.pull)).toEqual([]);
  });
});
