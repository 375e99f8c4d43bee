/** A signed webhook goes in, a pull request comes out; in between everything is real but GitHub and the model. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commentMarker } from '../../src/bot/comment-texts.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { captureLog } from '../support/capture-log.ts';
import { isSkipped, lacksForGvisor } from '../support/guest.ts';
import type { ScriptedReply } from '../support/scripted-endpoint.ts';
import { expectNothingLeft, modelKey, setStage } from '../support/stage.ts';
import type { Stage, StageChange } from '../support/stage.ts';
import { issue, replies } from '../demo/story.ts';

/** Without the steps that only look around. */
const fix: readonly ScriptedReply[] = replies.filter((reply) => reply.tools?.some(({ name }) => name === 'edit' || name === 'submit'));
const submit = (summary: string, noChange = false): ScriptedReply => ({ tools: [{ name: 'submit', input: { summary, files: [], noChange } }] });
/**
 * A test that costs nothing, for what is tested around it: `npm test` is some seconds of a VM, and a run that publishes has
 * it four times. It fails before the fix of the story and passes after it.
 */
const quick = { '.github/mayfly.yml': "test: grep -F '^-|-$' src/slug.js\n" };
const passing = 'import { test } from "node:test";\nimport { slug } from "../src/slug.js";\ntest("it runs", () => slug("x").length || process.exit(1));\n';
const breaking: ScriptedReply = { tools: [{ name: 'bash', input: { command: `echo 'export const slug = () => "";' > src/slug.js` } }] };

const noGvisor = isSkipped('a run under gVisor', await lacksForGvisor());

let stop: AbortController;
let stack: AsyncDisposableStack;
beforeEach(() => {
  stop = new AbortController();
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const start = (script: readonly ScriptedReply[], change: StageChange = {}): Promise<Stage> => setStage(script, change, { stack, signal: stop.signal });

async function labelNewIssue({ system }: Stage, title: string = issue.title): Promise<number> {
  const number = await system.repository.createIssue({ as: 'ada', title, body: issue.body });
  await system.repository.label({ as: 'ada', issue: number, label: 'mayfly' });
  return number;
}

describe('a labelled issue', () => {
  // What tests of a repository do in a VM does not depend on who boots it, and under emulation they take half a minute.
  it.for([
    { provider: 'qemu', files: quick, source: '.github/mayfly.yml', sandbox: { provider: 'qemu', networkCards: 0, restored: true } },
    { provider: 'oci', files: {}, source: 'package.json', sandbox: { provider: 'oci', isolation: 'syscall', networkCards: 0 } },
  ] as const)(
    'becomes a proven draft pull request by VMs of $provider, and nothing else stays',
    async ({ provider, files: more, source, sandbox }, { skip }) => {
      if (provider === 'oci') skip(noGvisor);
      const stage = await start(fix, { provider, files: more });
      const { repository: github, standIn } = stage.system;

      const number = await labelNewIssue(stage);
      const report = await stage.system.nextReport();

      expect(report.outcome).toMatchObject({ kind: 'published', pullRequest: { draft: true, branch: `mayfly/issue-${number}` } });
      expect(report.proof).toMatchObject({ verdict: 'proven', source, base: { exitCode: 1 }, patched: { exitCode: 0 } });
      expect(report.sandbox).toMatchObject(sandbox);
      const [pull] = await github.pullRequests();
      const { body, files, commits } = await github.pullRequest(pull.number);
      expect(body).toMatchObject({ draft: true, title: `Fix #${number}: ${issue.title}`, user: { login: 'mayfly[bot]' } });
      expect(body.body).toContain('**Proven: the tests of the patch fail without its fix and pass with it.**');
      expect(body.requested_reviewers.map((one: { login: string }) => one.login)).toEqual(['ada']);
      expect(files.map((file) => file.filename)).toEqual(['src/slug.js', 'test/slug.test.js']);
      expect(commits).toHaveLength(1);
      expect(commits[0].commit.message).toMatch(/^Fix issue \d+\n\n\nCo-authored-by: ada <\d+\+ada@users\.noreply\.github\.com>\nskip-checks: true$/);
      expect(commits[0].commit.verification.verified).toBe(true);
      expect(github.reactions(number)).toEqual(['eyes', 'rocket']);
      expect((await github.issue(number)).labels).toEqual([]);
      const comments = await github.comments(number);
      expect(comments).toHaveLength(1);
      expect(comments[0].body).toContain(commentMarker);
      expect(comments[0].body).toContain(`Draft pull request #${pull.number} is ready for review.`);
      expect(standIn.tokens.every(({ repositories }) => repositories.length === 1 && repositories[0] === github.fullName)).toBe(true);
      await expectNothingLeft(stage, report.runId);
    },
  );

  it('ends with one sentence to the person who asked when there is nothing to change', async () => {
    const stage = await start([submit('The issue describes what the code is meant to do.', true)], { files: quick });

    const number = await labelNewIssue(stage);
    const report = await stage.system.nextReport();

    expect(report.outcome).toEqual({ kind: 'no_change' });
    const bodies = (await stage.system.repository.comments(number)).map((comment) => comment.body as string);
    expect(bodies).toHaveLength(2);
    expect(bodies[0]).toContain('**Mayfly: no change.**');
    expect(bodies[1]).toMatch(/^@ada The run ended without a change/);
    expect(await stage.system.repository.pullRequests()).toEqual([]);
    await expectNothingLeft(stage, report.runId);
  });

  it('publishes no patch that touches a protected file', async () => {
    const touch = 'mkdir -p .github/workflows && echo "on: push" > .github/workflows/x.yml && sed -i "s/slug/slug/" src/slug.js && echo "// x" >> src/slug.js';
    const stage = await start([{ tools: [{ name: 'bash', input: { command: touch } }] }, submit('Done.')], { files: quick });

    const number = await labelNewIssue(stage);
    const report = await stage.system.nextReport();

    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'patch_protected_path' });
    expect((await stage.system.repository.comments(number)).at(-1).body).toContain('protected');
    expect(Object.keys(await stage.system.repository.branches())).toEqual(['main']);
    await expectNothingLeft(stage, report.runId);
  });

  it('keeps a patch that breaks tests which passed before on a branch, when the agent cannot mend it', async () => {
    const stage = await start([breaking, submit('Done.'), submit('It cannot be done otherwise.')], { files: { 'test/slug.test.js': passing } });

    const number = await labelNewIssue(stage);
    const report = await stage.system.nextReport();

    expect(report).toMatchObject({ outcome: { kind: 'refused', reason: 'regressed' }, proof: { base: { exitCode: 0 }, patched: { exitCode: 1 } } });
    expect((await stage.system.repository.comments(number)).at(-1).body).toMatch(/^@ada Not done: tests that pass without the patch fail with it/);
    expect(Object.keys(await stage.system.repository.branches())).toEqual(['main', `mayfly/issue-${number}-held`]);
    expect(await stage.system.repository.pullRequests()).toEqual([]);
    await expectNothingLeft(stage, report.runId);
  });

  it('goes back to the agent when it breaks what passed, and the next patch is proven in a clean VM of its own', async () => {
    const ownTest = 'import assert from "node:assert";\\nimport { slug } from "../src/slug.js";\\nassert.equal(slug("x!"), "x");\\n';
    const command = `git checkout -q src/slug.js && sed -i 's|"-");|"-").replace(/-$/, "");|' src/slug.js && printf '${ownTest}' > test/end.test.js`;
    const script = [breaking, submit('Done.'), { tools: [{ name: 'bash', input: { command } }] }, submit('Mended.')];
    const stage = await start(script, { files: { 'test/slug.test.js': passing } });

    await labelNewIssue(stage);
    const report = await stage.system.nextReport();

    const proof = { verdict: 'proven', base: { exitCode: 0 }, tests: { exitCode: 1 }, patched: { exitCode: 0 } };
    const vms = [{ id: 'agent' }, { id: 'proof' }, { id: 'proof2' }];
    expect(report).toMatchObject({ outcome: { kind: 'published' }, summary: 'Mended.', proof, vms });
    expect(await readFile(report.transcriptFile ?? '', 'utf8')).toContain('Your patch was not taken: the tests pass without the patch and fail with it.');
    await expectNothingLeft(stage, report.runId);
  });

  it('waits without a VM when the budget of the day is spent, until midnight', async () => {
    const stage = await start([submit('It works as meant.', true)], { files: quick, config: { MAYFLY_DAILY_TOKENS_PER_REPOSITORY: 1000 } });
    await labelNewIssue(stage);
    await expect(stage.system.nextReport()).resolves.toMatchObject({ usage: { inputTokens: 1000, outputTokens: 100 } });
    const { config, repository, standIn, stateDir } = stage.system;
    const queue = await createWorkerQueue({ redisUrl: config.REDIS_URL ?? '', signingKey: config.MAYFLY_JOB_KEY ?? '', concurrency: 1, log: captureLog().log });
    stack.defer(() => queue.close(0));
    const issue = await labelNewIssue(stage, 'slug() leaves a dash at the beginning');
    const held = { state: 'waiting', place: 1, of: 1, heldBy: { limit: 'daily_budget', until: new Date(new Date().setUTCHours(24, 0, 0, 0)) } };
    await expect.poll(() => queue.find({ repositoryId: repository.id, issue }), { timeout: 60_000 }).toMatchObject([held]);
    await expect(readdir(join(stateDir, 'vms'))).resolves.toEqual([]);
    await expect.poll(() => standIn.tokens.filter((token) => !token.revoked)).toEqual([]);
    expect(await repository.comments(issue)).toHaveLength(1);
  });

  it('tells the person who asked which setup command failed', async () => {
    const stage = await start([], { files: { '.github/mayfly.yml': 'setup: ["ls /no-such-folder"]\n' } });

    const number = await labelNewIssue(stage);
    const report = await stage.system.nextReport();

    expect(report.outcome).toEqual({ kind: 'failed', code: 'setup_failed' });
    const bodies = (await stage.system.repository.comments(number)).map((comment) => comment.body as string);
    expect(bodies[0]).toContain('The setup command "ls /no-such-folder" ended with exit code 2.');
    expect(bodies[1]).toMatch(/^@ada A setup command failed/);
    await expectNothingLeft(stage, report.runId);
  });

  it('is refused before any VM boots when the settings file is not valid', async () => {
    const stage = await start([], { files: { '.github/mayfly.yml': 'test: npm test\nnetwork: open\n' } });

    const number = await labelNewIssue(stage);

    const lastComment = async () => (await stage.system.repository.comments(number)).at(-1)?.body ?? '';
    await expect.poll(lastComment, { timeout: 60_000 }).toMatch(/^@ada Not done: `.github\/mayfly.yml` on the default branch is broken. #\d+ says/);
    expect((await stage.system.repository.issue(number + 1)).body).toContain('| `.github/mayfly.yml` | 2:1 | `network` |');
    expect(stage.logged()).not.toContain('phase ended');
  });

  it('is stopped by a comment in the middle of a command, and what it has done is kept', async () => {
    const stage = await start([{ tools: [{ name: 'bash', input: { command: 'echo half > half.txt; sleep 600' } }] }], { files: quick });
    const working = stage.until((event) => event.kind === 'step');
    const number = await labelNewIssue(stage);
    await working;
    await stage.system.repository.comment({ as: 'ada', issue: number, body: '/agent stop' });
    const report = await stage.system.nextReport();

    expect(report).toMatchObject({ outcome: { kind: 'cancelled', by: 'ada' }, proof: null });
    expect(await stage.system.repository.file(report.heldBranch ?? '', 'half.txt')).toBe('half\n');
    expect((await stage.system.repository.comments(number)).at(-1).body).toMatch(/^@ada The run was stopped by `ada`/);
    await expectNothingLeft(stage, report.runId);
  });

  it('runs beside another one in the same repository: each has tokens of its own, both publish', async () => {
    const stage = await start(fix, { concurrency: 2, files: quick });

    await labelNewIssue(stage);
    await labelNewIssue(stage, 'slug() leaves a dash at the beginning');
    const reports = [await stage.system.nextReport(), await stage.system.nextReport()];

    expect(reports.map((report) => report.outcome?.kind)).toEqual(['published', 'published']);
    expect(await stage.system.repository.pullRequests()).toHaveLength(2);
    for (const { runId } of reports) await expectNothingLeft(stage, runId);
  });
});

describe('a comment', () => {
  it('with an instruction starts a run that leaves no secret in log, Redis, transcript or comments', async () => {
    const stage = await start(fix, { files: quick });
    const { config, standIn, repository: github } = stage.system;

    const number = await github.createIssue({ as: 'ada', title: issue.title, body: issue.body });
    await github.comment({ as: 'ada', issue: number, body: '/agent fix both ends, please' });
    const report = await stage.system.nextReport();

    expect(report.outcome).toMatchObject({ kind: 'published', pullRequest: { draft: true, branch: `mayfly/issue-${number}` } });
    const redis = new Redis(config.REDIS_URL ?? '');
    const keys = await redis.keys('*');
    const dumps = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
    await redis.quit();
    const places = [
      stage.logged(),
      Buffer.concat(dumps.filter((dump) => dump !== null)).toString('latin1'),
      await readFile(report.transcriptFile ?? '', 'utf8'),
      JSON.stringify(await github.comments(number)),
      JSON.stringify(await github.pullRequests()),
    ];
    expect(places[0]).toContain('run finished');
    const lines = stage
      .logged()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; phase?: string; deliveryId?: string; runId?: string });
    const ofRun = lines.filter((line) => line.runId === report.runId && line.msg === 'phase ended');
    expect(new Set(ofRun.map((line) => line.phase))).toEqual(new Set(['fetch', 'boot', 'clone', 'tests', 'solve', 'patch', 'prove', 'publish', 'discard']));
    const accepted = lines.filter((line) => line.msg === 'delivery accepted').map((line) => line.deliveryId);
    expect(new Set(ofRun.map((line) => line.deliveryId)).size).toBe(1);
    expect(accepted).toContain(ofRun[0]?.deliveryId);
    expect(places[2]).toContain('submit');
    expect(places[2]).toContain('both ends, please');
    for (const secret of [modelKey, config.MAYFLY_JOB_KEY ?? '', standIn.app.webhookSecret, standIn.app.privateKey.split('\n')[1] ?? '', 'ghs_']) {
      expect(places.filter((place) => place.includes(secret))).toEqual([]);
    }
  });
});

describe('an outsider', () => {
  it('gets silence: no comment, no reaction, no VM', async () => {
    const stage = await start([], { private: false });
    const { repository: github, standIn } = stage.system;
    const number = await github.createIssue({ as: 'mallory', title: 'Please run this', body: 'For me.' });

    await github.comment({ as: 'mallory', issue: number, body: '/agent fix' });
    await standIn.webhooks.settled();
    // A person with access comes after the outsider, so when she was served, he was too.
    await github.comment({ as: 'ada', issue: number, body: '/agent help' });
    await expect.poll(async () => (await github.comments(number)).length, { timeout: 60_000 }).toBe(3);

    const bodies = (await github.comments(number)).map((comment) => comment.body as string);
    expect(bodies.filter((body) => body.startsWith('/agent'))).toHaveLength(2);
    expect(stage.logged()).toContain('trigger ignored: no write access');
    expect(stage.logged()).not.toContain('run queued');
  });
});
