/** GitHub goes away when the work is done: what was paid for is neither lost nor done twice. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { createUserClient, failOnViolations } from '../support/github/clients.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';
import type { IssueWorld, RunChange } from '../support/issue-world.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: finished work during an outage was not tested: ${reason}\n`);

const work = () => [bash('echo good > src.txt; chmod +x src.txt; rm gone.bin; printf "\\377\\000" > new.bin'), submit({ files: ['src.txt', 'new.bin'] })];

describe.skipIf(reason)('finished work', { timeout: 120_000 }, () => {
  let world: IssueWorld;
  beforeEach(async () => (world = await createIssueWorld({ 'gone.bin': 'x' })));
  afterEach(async () => {
    failOnViolations(world.standIn);
    await world[Symbol.asyncDispose]();
  });

  /** An attempt that does the work, and that GitHub then turns away. */
  const turnAway = async (fault: { status: number; headers?: Record<string, string> }, change: RunChange = {}): Promise<FixError> => {
    world.standIn.faults.add({ method: 'POST', path: /\/git\/trees$/, times: 3, ...fault });
    const thrown: unknown = await world.run(work(), change).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(FixError);
    expect(world.standIn.faults.unused).toBe(fault.status === 500 ? 0 : 2);
    world.standIn.faults.clear();
    return thrown as FixError;
  };

  it('is published by the next attempt, to the byte, with its proof and its cost, and no agent works again', async () => {
    expect(await turnAway({ status: 500 })).toMatchObject({ code: 'github_unavailable', details: { waits: true } });

    const { report, boots, model } = await world.run([]);

    expect(boots).toEqual([]);
    expect(model.questions).toEqual([]);
    expect(report).toMatchObject({ outcome: { kind: 'published' }, proof: { verdict: 'proven' }, steps: 2 });
    const [pull] = await world.repository.pullRequests();
    expect(pull.body).toContain('**Proven: the tests fail without the patch and pass with it.**');
    const { data } = await createUserClient(world.standIn, 'ada').rest.git.getTree({
      owner: world.repository.owner,
      repo: world.repository.name,
      tree_sha: pull.head.ref as string,
    });
    expect(data.tree.map(({ path, mode }) => `${mode} ${path}`)).toEqual(['100644 Makefile', '100644 new.bin', '100755 src.txt']);
    const [comment] = await world.comments();
    expect(comment).toContain('**Mayfly: done.**');
  });

  it('says how long GitHub wants to be left alone', async () => {
    const now = Math.floor(Date.now() / 1000);
    const headers = { 'x-ratelimit-remaining': '0', date: new Date(now * 1000).toUTCString(), 'x-ratelimit-reset': String(now + 2400) };

    expect(await turnAway({ status: 403, headers })).toMatchObject({ code: 'github_unavailable', details: { waits: true, waitMs: 40 * 60_000 } });
  });

  it('is kept on a branch in the end, when no more waiting is allowed and nothing comes after', async () => {
    world.standIn.faults.add({ method: 'POST', path: /\/pulls$/, times: 6, status: 500 });

    const { report } = await world.run(work(), { attempt: { canWait: false, lastAttempt: true } });

    expect(report).toMatchObject({ outcome: { kind: 'failed', code: 'github_unavailable' }, heldBranch: 'mayfly/issue-1-held' });
  });

  it('does not make a run wait that has spent something and whose work could not be kept', async () => {
    const full = { keep: () => Promise.resolve(false), recall: () => Promise.resolve(null), drop: () => Promise.resolve() };

    expect((await turnAway({ status: 500 }, { vault: full })).details).not.toHaveProperty('waits');
  });
});
