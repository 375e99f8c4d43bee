/** A queued run from its job to what people read of it, on the stand-in GitHub with real git; the VMs are folders of this host. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { FixError } from '../../src/errors.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import { takeIn } from '../../src/bot/intake.ts';
import type { Intake, IntakeTools } from '../../src/bot/scene.ts';
import type { FixJob } from '../../src/job.ts';
import { failOnViolations } from '../support/github/clients.ts';
import { openPort } from '../support/github-port.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { alone } from '../support/in-turn.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';
import type { IssueWorld } from '../support/issue-world.ts';
import { calls } from '../support/scripted-model.ts';
import type { PlannedReply } from '../support/scripted-model.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: runs on folders of this host were not tested: ${reason}\n`);

const log = pino({ level: 'silent' });

describe.skipIf(reason)('a queued run', () => {
  let world: IssueWorld;
  beforeEach(async () => (world = await createIssueWorld()));
  afterEach(async () => {
    failOnViolations(world.standIn);
    await world[Symbol.asyncDispose]();
  });

  it('shows the plan that it made, and makes no other one, when it is taken up again', async () => {
    const job = { work: { kind: 'plan' as const, instruction: null } };
    await world.run([submit({ summary: 'Do it.' })], { job });

    const { boots, report } = await world.run([], { job });

    expect(boots).toEqual([]);
    expect(report.outcome).toEqual({ kind: 'planned' });
    expect((await world.comments()).filter((text) => text.includes('This is the plan'))).toHaveLength(1);
  });

  async function seed(files: Record<string, string>): Promise<void> {
    await world[Symbol.asyncDispose]();
    world = await createIssueWorld(files);
  }

  it('proves with the scripts of the base, and says that the patch changes them', async () => {
    await seed({ 'package.json': JSON.stringify({ name: 'x', scripts: { test: 'grep -q good src.txt' } }) });
    const cheat = `sed -i 's/grep -q good src.txt/true/' package.json; echo worse > src.txt`;

    const { report } = await world.run([bash(cheat), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'still_failing', patched: { exitCode: 1 } });
    const [pull] = await world.repository.pullRequests();
    expect(pull.body).toContain('Not proven');
    expect(pull.body).toContain('The patch changes what decides how tests are run: scripts of package.json.');
  });

  it('begins its work while its first words are on their way', async () => {
    const boot = Promise.withResolvers<void>();
    let asked = 0;
    // The first to ask is whoever writes the comment.
    const ownsRun = async (): Promise<boolean> => {
      if (++asked === 1) await boot.promise;
      return true;
    };

    const { boots } = await world.run([bash('echo good > src.txt'), submit()], { attempt: { ownsRun }, onBoot: () => boot.resolve() });

    expect(boots).toEqual(['agent', 'proof']);
    expect((await world.comments()).at(-1)).toContain('Mayfly: done');
  });

  it('tells of new files that the agent did not name', async () => {
    await world.run([bash('echo good > src.txt; echo x > debug.log; echo y > named.txt'), submit({ files: ['src.txt', '/workspace/named.txt'] })]);

    const [pull] = await world.repository.pullRequests();
    expect(pull.body).toContain('did not name: debug.log.');
  });

  it('publishes a patch whose proof could not be made, after a second try, and says so', async () => {
    const onBoot = (id: string): void => {
      if (id.includes('proof')) throw new FixError('sandbox_boot');
    };

    const { report, boots } = await world.run([bash('echo good > src.txt'), submit()], { onBoot });

    expect(boots).toEqual(['agent', 'proof', 'proof2']);
    expect(report).toMatchObject({ outcome: { kind: 'published' }, proof: { verdict: 'could_not_run' } });
    const [pull] = await world.repository.pullRequests();
    expect(pull.body).toMatch(/Not proven: the proof could not be made \(sandbox_boot\)/);
  });

  it('opens no pull request for what lies around when the agent says that nothing is to be changed', async () => {
    const { report } = await world.run([bash('echo tried > repro.txt'), submit({ noChange: true, summary: 'It is meant so.' })]);

    expect(report.outcome).toEqual({ kind: 'no_change' });
    expect(await world.repository.pullRequests()).toEqual([]);
    expect((await world.comments())[0]).toContain('> It is meant so.');
  });

  it('tells what was spent also when the model goes away', async () => {
    const gone = (): never => {
      throw new FixError('model_refused');
    };

    const { report } = await world.run([bash('echo good > src.txt'), gone]);

    expect(report).toMatchObject({ outcome: { kind: 'failed', code: 'model_refused' }, steps: 1, costUsd: 0.11 });
    expect(report.patch?.files.map(({ path }) => path)).toEqual(['src.txt']);
    expect(report.heldBranch).toBe(`mayfly/issue-${world.job.issue.number}-held`);
    expect((await world.comments())[0]).toContain('1 step, 110 tokens, 0.11 USD');
  });

  it('tells which setup command failed, and with what', async () => {
    await seed({ '.github/mayfly.yml': 'setup: ["true", "echo no such package; exit 3"]\n' });

    const { report } = await world.run([]);

    expect(report.outcome).toEqual({ kind: 'failed', code: 'setup_failed' });
    const [living, reply] = await world.comments();
    expect(living).toContain('exit 3" ended with exit code 3');
    expect(reply).toMatch(/^@ada A setup command failed/);
  });

  it('boots nothing for invalid settings, and the label is off again', async () => {
    await seed({ '.github/mayfly.yml': 'tests: npm test\n' });

    const { report, boots } = await world.run([]);

    expect(boots).toEqual([]);
    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'settings_invalid' });
    expect((await world.comments()).at(-1)).toMatch(/^@ada Not done: the settings file .*tests/);
    expect((await world.repository.issue(world.job.issue.number)).labels).toEqual([]);
  });

  it('takes the label off at its end when GitHub did not let it before', async () => {
    world.standIn.fault({ method: 'DELETE', path: /\/labels\/mayfly$/, status: 502, times: 3 });

    const { report } = await world.run([submit({ noChange: true })]);

    expect(report.outcome).toEqual({ kind: 'no_change' });
    expect(world.standIn.faults.unused).toBe(0);
    expect((await world.repository.issue(world.job.issue.number)).labels).toEqual([]);
  });

  it('does not work twice when it crashed between publishing and telling', async () => {
    await world.run([bash('echo good > src.txt'), submit()]);

    const { report, boots } = await world.run([]);

    expect(boots).toEqual([]);
    expect(report.outcome).toMatchObject({ kind: 'published' });
    expect(await world.repository.pullRequests()).toHaveLength(1);
  });

  const failing = (code: 'sandbox_boot' | 'lock_lost') => (): never => {
    throw new FixError(code);
  };

  it.each([
    ['it will be tried again', 'sandbox_boot', false],
    ['another worker has it', 'lock_lost', true],
  ] as const)('goes back in silence when %s', async (_name, code, lastAttempt) => {
    await expect(world.run([], { onBoot: failing(code), attempt: { lastAttempt } })).rejects.toMatchObject({ code });

    expect(await world.comments()).toEqual([expect.stringContaining('**Mayfly: running.**')]);
  });

  it('that is tried again has the rest of what one run may use, and tells the sum', async () => {
    const lost = { onBoot: failing('sandbox_boot') };
    const limits = (steps: number) => ({
      limits: { agent: { steps, costUsd: 5, tokens: 100_000, commandTimeoutMs: 20_000, softTimeMs: 60_000, hardTimeMs: 90_000 } },
    });
    const away: PlannedReply = () => Promise.reject(new FixError('model_unavailable'));
    await expect(world.run([bash('true'), bash('true'), away], limits(4))).rejects.toMatchObject({ code: 'model_unavailable' });
    await expect(world.run([], { ...lost, ...limits(4) })).rejects.toMatchObject({ code: 'sandbox_boot' });

    const { report, model } = await world.run([bash('true'), bash('true'), submit()], limits(4));

    expect(model.questions).toHaveLength(2);
    expect(report).toMatchObject({ outcome: { kind: 'gave_up', limit: 'steps' }, steps: 4 });
    expect(report.costUsd).toBeCloseTo(0.44);
    expect((await world.comments())[0]).toContain('4 steps, 440 tokens, 0.44 USD');
    const spent = await world.run([], limits(4));
    expect(spent.boots).toEqual([]);
    expect(spent.report.outcome).toEqual({ kind: 'gave_up', limit: 'steps' });
  });

  it('ends with a sentence after the last try', async () => {
    await world.run([], { onBoot: failing('sandbox_boot'), attempt: { lastAttempt: true } });

    expect(await world.comments()).toEqual([expect.stringContaining('**Mayfly: failed.**'), expect.stringMatching(/^@ada .*several times/)]);
  });

  it.each([
    ['run_lost', 'given up'],
    ['cancelled', 'was stopped'],
  ] as const)('that begins with %s tells it and boots nothing', async (code, words) => {
    const { boots } = await world.run([], { attempt: { signal: AbortSignal.abort(new FixError(code)) } });

    expect(boots).toEqual([]);
    expect((await world.comments()).at(-1)).toContain(words);
  });

  it('is stopped in the middle of a command of the agent', async () => {
    const stop = new AbortController();
    const stopping: PlannedReply = () => {
      setImmediate(() => stop.abort(new FixError('cancelled')));
      return calls(['bash', { command: 'sleep 60' }]);
    };

    const { report } = await world.run([stopping], { attempt: { signal: stop.signal } });

    expect(report.outcome).toEqual({ kind: 'cancelled' });
  });

  describe('at its intake', () => {
    const idleQueue: IntakeTools['queue'] = {
      addRun: () => Promise.resolve(true),
      hasRun: () => Promise.resolve(false),
      cancelIssue: () => Promise.resolve([]),
      find: () => Promise.resolve([]),
      tell: () => Promise.resolve('none'),
    };
    const event = (change: Partial<Intake> = {}): Intake => ({
      kind: 'labeled',
      key: world.job.key,
      deliveryId: world.job.deliveryId,
      installationId: world.job.installationId,
      repository: world.job.repository,
      issue: { ...world.job.issue, isPullRequest: false },
      actor: world.job.actor,
      receivedAt: world.job.requestedAt,
      label: 'mayfly',
      ...change,
    });
    const stopEvent = (): Intake => event({ kind: 'command', command: 'stop', label: undefined });
    const take = async (intake: Intake, queue: Partial<IntakeTools['queue']> = {}): Promise<void> =>
      await takeIn(
        intake,
        {
          github: openPort(world.standIn, world.repository).github,
          operator: silentOperator,
          signal: new AbortController().signal,
          queue: { ...idleQueue, ...queue },
          memory: world.memory,
          inTurn: alone,
          countOutsider: () => 1,
        },
        log,
      );

    it('leaves the comment of a run alone when the same event comes again', async () => {
      await take(event());
      await world.run([submit({ noChange: true })]);

      await take(event(), { hasRun: () => Promise.resolve(true) });

      expect((await world.comments())[0]).toContain('**Mayfly: no change.**');
    });

    it('lets a running run tell its own end, and tells it for one that waited', async () => {
      await take(event());

      await take(stopEvent(), { cancelIssue: () => Promise.resolve([{ runId: world.job.runId, waited: false }]) });
      expect((await world.comments())[0]).toContain('**Mayfly: queued.**');
      await take(stopEvent(), { cancelIssue: () => Promise.resolve([{ runId: world.job.runId, waited: true }]) });

      expect((await world.comments())[0]).toContain('**Mayfly: stopped.**');
      expect((await world.repository.issue(world.job.issue.number)).labels).toEqual([]);
    });

    it('says so when there is nothing to stop', async () => {
      await take(stopEvent());

      expect(await world.comments()).toEqual([expect.stringContaining('No run of this issue')]);
    });

    it('works also when GitHub takes no reaction, because the comment is gone', async () => {
      const added: FixJob[] = [];
      const addRun = (run: FixJob): Promise<boolean> => Promise.resolve(added.push(run) > 0);

      await take(event({ kind: 'command', command: 'fix', commentId: 4_000_000, instruction: 'now' }), { addRun });

      expect(added).toMatchObject([{ trigger: { kind: 'comment' }, work: { instruction: 'now' } }]);
    });
  });
});
