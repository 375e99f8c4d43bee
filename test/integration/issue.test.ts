/** A queued run from its job to what people read of it, on the stand-in GitHub with real git; the VMs are folders of this host. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { FixError } from '../../src/errors.ts';
import { takeIn } from '../../src/fix/intake.ts';
import type { Intake, IntakeTools } from '../../src/fix/intake.ts';
import { fixIssue } from '../../src/fix/issue.ts';
import type { Attempt, IssueTools } from '../../src/fix/issue.ts';
import type { RunReport } from '../../src/fix/report.ts';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import { createSecrets } from '../../src/log.ts';
import type { FixJob } from '../../src/job.ts';
import { createFolder } from '../support/git-repository.ts';
import { failOnViolations } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { openPort } from '../support/github-port.ts';
import { createHostProvider } from '../support/host-provider.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { aJob } from '../support/jobs.ts';
import { calls, createScriptedModel } from '../support/scripted-model.ts';
import type { PlannedReply } from '../support/scripted-model.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: runs on folders of this host were not tested: ${reason}\n`);

const log = pino({ level: 'silent' });
const bash = (command: string): PlannedReply => calls(['bash', { command }]);
const submit = (more: object = {}): PlannedReply => calls(['submit', { summary: 'Done.', files: ['src.txt'], commands: [], ...more }]);
/** Tests pass when src.txt says good. */
const manifest = JSON.stringify({ name: 'x', scripts: { test: 'grep -q good src.txt' } });

describe.skipIf(reason)('a queued run', () => {
  let standIn: StandInGitHub;
  let seeded: StandInRepository;
  let stack: AsyncDisposableStack;
  let job: FixJob;
  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    standIn = stack.use(await createStandInGitHub());
    await seed({});
  });
  afterEach(async () => {
    failOnViolations(standIn);
    await stack.disposeAsync();
  });

  async function seed(files: Record<string, string>): Promise<void> {
    const all = { 'package.json': manifest, 'src.txt': 'bad\n', ...files };
    seeded = await standIn.seedRepository({ private: true, files: all, collaborators: [{ login: 'ada', permission: 'write' }] });
    const number = await seeded.createIssue({ as: 'ada', title: 'It is bad', body: 'It should be good.' });
    await seeded.label({ as: 'ada', issue: number, label: 'mayfly' });
    const { owner, name, id } = seeded;
    job = { ...aJob({ installationId: standIn.app.installationId, issue: number }), repository: { id, owner, name, private: true, defaultBranch: 'main' } };
  }

  interface Change {
    readonly onBoot?: (id: string) => void;
    readonly attempt?: Partial<Attempt>;
  }

  async function runWith(replies: readonly PlannedReply[], { onBoot, attempt }: Change = {}): Promise<{ report: RunReport; boots: readonly string[] }> {
    const folder = createFolder();
    stack.defer(() => folder[Symbol.dispose]());
    const boots: string[] = [];
    let report: RunReport | null = null;
    const tools: IssueTools = {
      providerReason: 'the test says so',
      provider: createHostProvider((id) => {
        boots.push(id.replace(`${job.runId}-`, ''));
        onBoot?.(id);
      }),
      model: createScriptedModel(replies, { usdPerToken: 0.001 }),
      openGateway: () => ({ accept: () => {}, enter: () => {}, ledger: [], unlisted: 0, close: () => Promise.resolve() }),
      surroundings: { caPem: '', guestEnv: {}, registryHosts: [], install: { path: '', argv: [] } },
      guestNodeVersion: '26.10.0',
      openTranscript: () => Promise.resolve({ file: '', write: () => Promise.resolve() }),
      limits: {
        agent: { steps: 20, costUsd: 5, tokens: 100_000, commandTimeoutMs: 20_000, softTimeMs: 60_000, hardTimeMs: 90_000 },
        patch: { maxFiles: 100, maxBytes: 2 ** 20 },
        setupTimeoutMs: 20_000,
        proofTimeoutMs: 20_000,
        ancestors: 50,
      },
      secrets: createSecrets(),
      github: openPort(standIn, seeded).github,
      mirrors: createMirrors({ directory: folder.path, environment: { PATH: '/usr/bin:/bin' }, log }),
      onEvent: () => {},
      onReport: (made) => (report = made),
    };
    const { signal } = new AbortController();
    await fixIssue(job, { lastAttempt: false, signal, log, ownsRun: () => Promise.resolve(true), ...attempt }, tools);
    expect(standIn.tokens.filter((token) => !token.revoked)).toEqual([]);
    if (report === null) throw new Error('no report');
    return { report, boots };
  }

  const commentsOf = async (): Promise<readonly string[]> => (await seeded.comments(job.issue.number)).map((comment) => comment.body as string);

  it('proves with the scripts of the base, and says that the patch changes them', async () => {
    const cheat = `sed -i 's/grep -q good src.txt/true/' package.json; echo worse > src.txt`;

    const { report } = await runWith([bash(cheat), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'still_failing', patched: { exitCode: 1 } });
    const [pull] = await seeded.pullRequests();
    expect(pull.body).toContain('Not proven');
    expect(pull.body).toContain('The patch changes the scripts of package.json');
  });

  it('tells of new files that the agent did not name', async () => {
    await runWith([bash('echo good > src.txt; echo x > debug.log; echo y > named.txt'), submit({ files: ['src.txt', '/workspace/named.txt'] })]);

    const [pull] = await seeded.pullRequests();
    expect(pull.body).toContain('did not name: debug.log.');
  });

  it('publishes a patch whose proof could not be made, after a second try, and says so', async () => {
    const onBoot = (id: string): void => {
      if (id.includes('proof')) throw new FixError('sandbox_boot');
    };

    const { report, boots } = await runWith([bash('echo good > src.txt'), submit()], { onBoot });

    expect(boots).toEqual(['agent', 'proof', 'proof2']);
    expect(report).toMatchObject({ outcome: { kind: 'published' }, proof: { verdict: 'could_not_run' } });
    const [pull] = await seeded.pullRequests();
    expect(pull.body).toMatch(/Not proven: the tests could not be run to their end\..*sandbox\\_boot/s);
  });

  it('opens no pull request for what lies around when the agent says that nothing is to be changed', async () => {
    const { report } = await runWith([bash('echo tried > repro.txt'), submit({ noChange: true, summary: 'It is meant so.' })]);

    expect(report.outcome).toEqual({ kind: 'no_change' });
    expect(await seeded.pullRequests()).toEqual([]);
    expect((await commentsOf())[0]).toContain('> It is meant so.');
  });

  it('tells what was spent also when the model goes away', async () => {
    const gone = (): never => {
      throw new FixError('model_refused');
    };

    const { report } = await runWith([bash('echo good > src.txt'), gone]);

    expect(report).toMatchObject({ outcome: { kind: 'failed', code: 'model_refused' }, steps: 1, costUsd: 0.11 });
    expect(report.patch?.files.map(({ path }) => path)).toEqual(['src.txt']);
    expect((await commentsOf())[0]).toContain('1 steps, 110 tokens, 0.11 USD');
  });

  it('tells which setup command failed, and with what', async () => {
    await seed({ '.github/mayfly.yml': 'setup: ["true", "echo no such package; exit 3"]\n' });

    const { report } = await runWith([]);

    expect(report.outcome).toEqual({ kind: 'failed', code: 'setup_failed' });
    const [living, reply] = await commentsOf();
    expect(living).toContain('exit 3" ended with exit code 3');
    expect(reply).toMatch(/^@ada A setup command failed/);
  });

  it('boots nothing for invalid settings, and the label is off again', async () => {
    await seed({ '.github/mayfly.yml': 'tests: npm test\n' });

    const { report, boots } = await runWith([]);

    expect(boots).toEqual([]);
    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'settings_invalid' });
    expect((await commentsOf()).at(-1)).toMatch(/^@ada Not done: the settings file .*tests/);
    expect((await seeded.issue(job.issue.number)).labels).toEqual([]);
  });

  it('does not work twice when it crashed between publishing and telling', async () => {
    await runWith([bash('echo good > src.txt'), submit()]);

    const { report, boots } = await runWith([]);

    expect(boots).toEqual([]);
    expect(report.outcome).toMatchObject({ kind: 'published' });
    expect(await seeded.pullRequests()).toHaveLength(1);
  });

  const failing = (code: 'sandbox_boot' | 'lock_lost') => (): never => {
    throw new FixError(code);
  };

  it.each([
    ['it will be tried again', 'sandbox_boot', false],
    ['another worker has it', 'lock_lost', true],
  ] as const)('goes back in silence when %s', async (_name, code, lastAttempt) => {
    await expect(runWith([], { onBoot: failing(code), attempt: { lastAttempt } })).rejects.toMatchObject({ code });

    expect(await commentsOf()).toEqual([expect.stringContaining('**Mayfly: running.**')]);
  });

  it('ends with a sentence after the last try', async () => {
    await runWith([], { onBoot: failing('sandbox_boot'), attempt: { lastAttempt: true } });

    expect(await commentsOf()).toEqual([expect.stringContaining('**Mayfly: failed.**'), expect.stringMatching(/^@ada .*several times/)]);
  });

  it.each([
    ['run_lost', 'given up'],
    ['cancelled', 'was stopped'],
  ] as const)('that begins with %s tells it and boots nothing', async (code, words) => {
    const { boots } = await runWith([], { attempt: { signal: AbortSignal.abort(new FixError(code)) } });

    expect(boots).toEqual([]);
    expect((await commentsOf()).at(-1)).toContain(words);
  });

  it('is stopped in the middle of a command of the agent', async () => {
    const stop = new AbortController();
    const stopping: PlannedReply = () => {
      setImmediate(() => stop.abort(new FixError('cancelled')));
      return calls(['bash', { command: 'sleep 60' }]);
    };

    const { report } = await runWith([stopping], { attempt: { signal: stop.signal } });

    expect(report.outcome).toEqual({ kind: 'cancelled' });
  });

  describe('at its intake', () => {
    const event = (change: Partial<Intake> = {}): Intake => ({
      kind: 'labeled',
      key: job.key,
      deliveryId: job.deliveryId,
      installationId: job.installationId,
      repository: job.repository,
      issue: { ...job.issue, isPullRequest: false },
      actor: job.actor,
      receivedAt: job.requestedAt,
      label: 'mayfly',
      ...change,
    });
    const stopEvent = (): Intake => event({ kind: 'command', command: 'stop', label: undefined });
    const take = async (intake: Intake, queue: Partial<IntakeTools['queue']> = {}): Promise<void> =>
      await takeIn(
        intake,
        {
          github: openPort(standIn, seeded).github,
          label: 'mayfly',
          signal: new AbortController().signal,
          queue: { addRun: () => Promise.resolve(true), hasRun: () => Promise.resolve(false), cancelIssue: () => Promise.resolve([]), ...queue },
        },
        log,
      );

    it('leaves the comment of a run alone when the same event comes again', async () => {
      await take(event());
      await runWith([submit({ noChange: true })]);

      await take(event(), { hasRun: () => Promise.resolve(true) });

      expect((await commentsOf())[0]).toContain('**Mayfly: no change.**');
    });

    it('lets a running run tell its own end, and tells it for one that waited', async () => {
      await take(event());

      await take(stopEvent(), { cancelIssue: () => Promise.resolve([{ runId: job.runId, waited: false }]) });
      expect((await commentsOf())[0]).toContain('**Mayfly: queued.**');
      await take(stopEvent(), { cancelIssue: () => Promise.resolve([{ runId: job.runId, waited: true }]) });

      expect((await commentsOf())[0]).toContain('**Mayfly: stopped.**');
      expect((await seeded.issue(job.issue.number)).labels).toEqual([]);
    });

    it('says so when there is nothing to stop', async () => {
      await take(stopEvent());

      expect(await commentsOf()).toEqual([expect.stringContaining('No run of this issue')]);
    });

    it('works also when GitHub takes no reaction, because the comment is gone', async () => {
      const added: FixJob[] = [];
      const addRun = (run: FixJob): Promise<boolean> => Promise.resolve(added.push(run) > 0);

      await take(event({ kind: 'command', command: 'fix', commentId: 4_000_000, instruction: 'now' }), { addRun });

      expect(added).toMatchObject([{ trigger: { kind: 'comment', instruction: 'now' } }]);
    });
  });
});
