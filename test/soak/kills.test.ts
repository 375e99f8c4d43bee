/**
 * `kill -9` of everything that there is to kill, at every moment of a run, with the real processes: each issue ends in
 * exactly one draft pull request, the host is as it was, and the next run is fine. The groups run beside each other,
 * because most of their time is spent in waiting: for locks that run out, and for the pace that GitHub asks for.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { isSkipped, lacksForGvisor } from '../support/guest.ts';
import { startInstallation } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import type { LogLine, MayflyProcess } from '../support/mayfly-process.ts';
import { redisIsMissing } from '../support/redis.ts';
import { replies } from '../demo/story.ts';

const skipped = isSkipped('kills of the whole system', redisIsMissing() ? 'redis-server is not installed' : await lacksForGvisor());

/** Longer than a busy machine keeps a worker from renewing it, which would be a second loss, and end the run. */
const lockSeconds = 20;
const small = { MAYFLY_PROVIDER: 'oci', MAYFLY_LOCK_SECONDS: String(lockSeconds) };
/** One edit, and a proof that costs nothing: what is tested here is what happens around them. */
const files = { '.github/mayfly.yml': "test: grep -F '^-|-$' src/slug.js\n" };
const fix = [replies[3], replies.at(-1)].filter((reply) => reply !== undefined);

type Moment = (worker: MayflyProcess, installation: Installation, issue: number) => Promise<unknown>;

const ended =
  (phase: string) =>
  (worker: MayflyProcess, _installation: Installation, issue: number): Promise<LogLine> =>
    worker.logged((line) => line.msg === 'phase ended' && line.phase === phase && line.issue === issue);
/** Once GitHub has answered such a request after the issue was made. */
const answered =
  (method: string, path: RegExp): Moment =>
  async (_worker, { standIn }, issue) => {
    const labelled = `/issues/${issue}/labels`;
    const seen = (): boolean => {
      const since = standIn.requests.findIndex((request) => request.method === 'POST' && request.path.endsWith(labelled));
      return standIn.requests.slice(since).some((request) => request.method === method && path.test(request.path));
    };
    await until(seen);
  };

async function start(settings: Readonly<Record<string, string>> = small): Promise<Installation> {
  const installation = await startInstallation({ settings, files, replies: () => fix });
  await installation.startWeb();
  return installation;
}

const finished = (worker: MayflyProcess, issue: number): Promise<LogLine> => worker.logged((line) => line.msg === 'run finished' && line.issue === issue);

/** How a run ended; with what its worker warned of, when that was not as it should be. */
async function endOf(worker: MayflyProcess, issue: number): Promise<string> {
  const { outcome } = await finished(worker, issue);
  if (outcome?.kind === 'published') return outcome.kind;
  return [JSON.stringify(outcome), ...worker.lines.filter((line) => /"level":[45]0/.test(line))].join('\n');
}

/** As it has to be at the end, whatever was killed on the way. */
async function expectDoneOnce({ repository, traces }: Installation, issues: readonly number[]): Promise<void> {
  const pulls = await repository.pullRequests();
  expect(pulls).toHaveLength(issues.length);
  expect(new Set(pulls.map((pull) => pull.head.ref))).toEqual(new Set(issues.map((issue) => `mayfly/issue-${issue}`)));
  expect(pulls.every((pull) => pull.draft)).toBe(true);
  expect(Object.keys(await repository.branches())).toHaveLength(1 + issues.length);
  for (const issue of issues) {
    const comments = await repository.comments(issue);
    expect(comments.map((comment) => comment.body)).toEqual([expect.stringContaining('**Mayfly: done.**')]);
  }
  expect(await traces()).toEqual([]);
}

describe.skipIf(skipped).concurrent('one draft pull request comes of each issue, and nothing is left,', () => {
  it.each<readonly [string, readonly Moment[]]>([
    ['boots a VM, works, or proves', [ended('fetch'), ended('clone'), ended('patch')]],
    [
      'takes the event in, has made the branch, or has opened the pull request',
      [answered('GET', /\/collaborators\/ada\/permission$/), answered('POST', /\/git\/refs$/), answered('POST', /\/pulls$/)],
    ],
  ])('when the worker is killed as it %s', async (_name, moments) => {
    await using installation = await start();
    let worker = await installation.startWorker();
    const issues: number[] = [];

    for (const moment of moments) {
      const issue = await installation.label();
      issues.push(issue);
      await moment(worker, installation, issue);
      await worker.kill();
      worker = await installation.startWorker();
      expect(await endOf(worker, issue)).toBe('published');
    }

    await expectDoneOnce(installation, issues);
  });

  it('when gVisor is killed as it boots, works, or proves', async () => {
    await using installation = await start();
    const worker = await installation.startWorker();
    const issues: number[] = [];

    for (const [phase, suffix] of [
      ['fetch', 'agent'],
      ['clone', 'agent'],
      ['patch', 'proof'],
    ] as const) {
      const issue = await installation.label();
      issues.push(issue);
      const { runId } = await ended(phase)(worker, installation, issue);
      await killGuest(`${runId}-${suffix}`, finished(worker, issue));
      expect(await endOf(worker, issue)).toBe('published');
    }

    await expectDoneOnce(installation, issues);
  });

  it('when QEMU is killed at work, and then its worker', async () => {
    await using installation = await start({ ...small, MAYFLY_PROVIDER: 'qemu' });
    const worker = await installation.startWorker();

    const issue = await installation.label();
    const { runId } = await ended('clone')(worker, installation, issue);
    await killGuest(`${runId}-agent`, finished(worker, issue));
    await worker.logged((line) => line.msg === 'phase ended' && line.phase === 'clone' && line.attempt === 2);
    await worker.kill();
    const next = await installation.startWorker();

    expect(await endOf(next, issue)).toBe('published');
    await expectDoneOnce(installation, [issue]);
  });

  it('when Redis is killed and comes back, at once or after the lock has run out', async () => {
    await using installation = await start();
    const worker = await installation.startWorker();
    const { redis } = installation;

    const first = await installation.label();
    await ended('clone')(worker, installation, first);
    await redis.kill();
    await redis.restart();
    await answered('POST', /\/git\/refs$/)(worker, installation, first);
    await redis.kill();
    await redis.restart();
    expect(await endOf(worker, first)).toBe('published');

    const second = await installation.label();
    await ended('clone')(worker, installation, second);
    await redis.kill();
    await pause((lockSeconds + 1) * 1000); // the outage is what is tested
    await redis.restart();
    expect(await endOf(worker, second)).toBe('published');

    await expectDoneOnce(installation, [first, second]);
  });

  it('when web, worker and Redis are killed at once, and another issue is labelled meanwhile', async () => {
    await using installation = await start();
    const worker = await installation.startWorker();
    const { redis, processes } = installation;

    const first = await installation.label();
    await ended('clone')(worker, installation, first);
    await Promise.all([...processes.map((one) => one.kill()), redis.kill()]);
    const second = await installation.label();
    await redis.restart();
    await installation.startWeb();
    const next = await installation.startWorker();

    expect(await endOf(next, first)).toBe('published');
    expect(await endOf(next, second)).toBe('published');
    await expectDoneOnce(installation, [first, second]);
  });

  it('when a worker with a pool is killed at work, and the next is told to stop', async () => {
    await using installation = await start({ ...small, MAYFLY_POOL_SIZE: '2', LOG_LEVEL: 'debug' });
    const worker = await installation.startWorker();
    // One that has to be booted for the run first is none of the pool.
    await worker.logged((line) => line.msg === 'a VM of the pool stands ready');

    const issue = await installation.label();
    const taken = await worker.logged((line) => line.msg === 'a VM of the pool is handed over' || (line.msg === 'run finished' && line.issue === issue));
    expect(taken).toMatchObject({ msg: 'a VM of the pool is handed over' });
    await worker.kill();
    const next = await installation.startWorker();

    expect(await endOf(next, issue)).toBe('published');
    expect(await next.stop()).toBe(0);
    await expectDoneOnce(installation, [issue]);
  });

  it('when the worker is told to stop: it takes nothing new, ends its run, and exits with 0', async () => {
    await using installation = await start();
    const worker = await installation.startWorker();

    const first = await installation.label();
    await ended('clone')(worker, installation, first);
    const stopped = worker.stop();
    await worker.logged((line) => line.msg === 'stopping');
    const second = await installation.label();

    expect(await stopped).toBe(0);
    expect(await endOf(worker, first)).toBe('published');
    expect(worker.lines.filter((line) => line.includes(`"issue":${second}`))).toEqual([]);
    expect(await finished(await installation.startWorker(), second)).toMatchObject({ outcome: { kind: 'published' } });
    await expectDoneOnce(installation, [first, second]);
  });

  it('when the worker is told to stop and has no time left: the run goes back, and the next worker does it', async () => {
    await using installation = await start({ ...small, MAYFLY_DRAIN_MINUTES: '0' });
    const worker = await installation.startWorker();

    const issue = await installation.label();
    await ended('clone')(worker, installation, issue);

    expect(await worker.stop()).toBe(0);
    expect(await installation.traces()).toEqual([]);
    const next = await installation.startWorker();
    expect(await finished(next, issue)).toMatchObject({ outcome: { kind: 'published' }, attempt: 1 });
    await expectDoneOnce(installation, [issue]);
  });
});

/** The process that the guest is, as soon as there is one. Throws when the run ends before. */
async function killGuest(id: string, end: Promise<LogLine>): Promise<void> {
  const kill = async (): Promise<boolean> => {
    for (const pid of await findProcesses(id)) {
      const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (/^(?:runsc-sandbox|qemu-system)/.test(argv)) return process.kill(pid, 'SIGKILL');
    }
    return false;
  };
  let outcome: LogLine['outcome'];
  end.then((line) => (outcome = line.outcome)).catch(() => {});
  await until(async () => {
    if (outcome) throw new Error(`the run ended before its guest was killed: ${JSON.stringify(outcome)}`);
    return await kill();
  });
}

/** Not `expect.poll`, which does not know its test where several run at once. A test's own time limit ends it. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(10);
}
