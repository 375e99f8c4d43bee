/**
 * `mayfly demo`: one whole run as a user sees it. Web, queue, worker, git, gateway and micro-VMs are the real ones;
 * GitHub is the stand-in, and the model too when there is no key.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandContext } from '../../src/command-line.ts';
import type { Config } from '../../src/config.ts';
import { proofSentence, sentence } from '../../src/fix/messages.ts';
import type { RunEvent, RunReport } from '../../src/fix/report.ts';
import { createTimeline } from '../../src/timeline.ts';
import type { Timeline } from '../../src/timeline.ts';
import { startWeb } from '../../src/web.ts';
import { startWorker } from '../../src/worker.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { processesNaming } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { startScriptedEndpoint } from '../support/scripted-endpoint.ts';
import type { PullRequestView, StandInRepository } from '../support/github/repository.ts';
import { issue, replies, repository as story } from './story.ts';

const asker = 'octocat';
/** A run of the demo takes a minute or two under emulation; much longer means that something hangs, and that is shown. */
const runTimeoutMs = 20 * 60_000;

/** Returns the exit code: 0 only when the pull request exists and nothing is left over. */
export async function runDemo(context: CommandContext, { json }: { json: boolean }): Promise<number> {
  const print = json ? console.error : console.log;
  const timeline = createTimeline(print, (json ? process.stderr : process.stdout).isTTY);
  await using parts = new AsyncDisposableStack();
  const stage = await buildStage(context, parts, print);
  const report = await watchRun(stage, timeline, context.signal);
  const shown = report.outcome?.kind === 'published' ? await stage.repository.pullRequest(report.outcome.pullRequest.number) : null;
  await parts.disposeAsync();
  const result = await summarize(stage, report);
  if (json) console.log(JSON.stringify(result));
  else printResult({ report, result, shown }, print);
  return result.outcome === 'published' && result.leftovers.length === 0 ? 0 : 1;
}

interface Stage {
  readonly standIn: StandInGitHub;
  readonly repository: StandInRepository;
  readonly config: Config;
  readonly context: CommandContext;
  readonly stateDir: string;
  readonly parts: AsyncDisposableStack;
}

/** Everything that has to run before a user can label an issue; taken down in reverse order. */
async function buildStage(context: CommandContext, parts: AsyncDisposableStack, print: (line: string) => void): Promise<Stage> {
  const stateDir = await mkdtemp(join(tmpdir(), 'mayfly-demo-'));
  parts.defer(() => rm(stateDir, { recursive: true, force: true }));
  const redisUrl = context.config.REDIS_URL ?? (await ownRedis(parts));
  const standIn = await createStandInGitHub({ users: [asker], organizations: [story.owner] });
  parts.defer(() => standIn.close());
  const repository = await standIn.seedRepository({ ...story, collaborators: [{ login: asker, permission: 'write' }] });
  const model = await chooseModel(context.config, parts, print);
  const config: Config = {
    ...context.config,
    ...model,
    REDIS_URL: redisUrl,
    MAYFLY_STATE_DIR: stateDir,
    WEBHOOK_SECRET: standIn.app.webhookSecret,
    MAYFLY_JOB_KEY: randomBytes(32).toString('hex'),
    APP_ID: standIn.app.appId,
    privateKey: standIn.app.privateKey,
    apiUrl: standIn.apiUrl,
    webUrl: standIn.webUrl,
    PORT: 0,
  };
  return { standIn, repository, config, context, stateDir, parts };
}

async function ownRedis(parts: AsyncDisposableStack): Promise<string> {
  const redis = await startRedis();
  parts.defer(() => redis.stop());
  return redis.url;
}

/** The user's own model when there is a key; a scripted one, said plainly, when there is none. */
async function chooseModel(config: Config, parts: AsyncDisposableStack, print: (line: string) => void): Promise<Partial<Config>> {
  const own = config.ANTHROPIC_API_KEY ? 'anthropic/claude-sonnet-4-5' : config.OPENAI_API_KEY ? 'openai/gpt-5' : null;
  if (own !== null) {
    const name = config.MAYFLY_MODEL ?? own;
    print(`The model is ${name}.`);
    return { MAYFLY_MODEL: name };
  }
  print('There is no ANTHROPIC_API_KEY or OPENAI_API_KEY, so the model’s replies are scripted. Everything they cause is real.');
  const endpoint = await startScriptedEndpoint(replies);
  parts.defer(() => endpoint.close());
  return { MAYFLY_MODEL: 'anthropic/scripted', ANTHROPIC_API_KEY: 'scripted-replies', ANTHROPIC_BASE_URL: endpoint.baseUrl };
}

async function watchRun({ standIn, repository, config, context, parts }: Stage, timeline: Timeline, stop: AbortSignal): Promise<RunReport> {
  const { log, secrets } = context;
  const signal = AbortSignal.any([stop, AbortSignal.timeout(runTimeoutMs)]);
  const finished = Promise.withResolvers<RunReport>();
  signal.addEventListener('abort', () => finished.reject(signal.reason as Error), { once: true });
  const web = await startWeb(config, { log, signal });
  parts.defer(() => web.close());
  const onEvent = (_runId: string, event: RunEvent): void => timeline.event(event);
  const worker = await startWorker(config, { log, secrets, signal, onEvent, onReport: finished.resolve });
  parts.defer(() => worker.close(30_000));
  standIn.webhooks.url = web.url;
  timeline.say('web, queue, worker and the stand-in GitHub run on this machine');
  const number = await repository.createIssue({ as: asker, ...issue });
  timeline.say(`${asker} labels issue #${number} of ${repository.fullName}: ${issue.title}`);
  await repository.label({ as: asker, issue: number, label: config.MAYFLY_LABEL });
  await standIn.webhooks.settled();
  timeline.say('the signed webhook is accepted, the run is queued');
  return await finished.promise;
}

interface Result {
  readonly outcome: string;
  readonly leftovers: readonly string[];
  readonly [name: string]: unknown;
}

async function summarize({ standIn, stateDir }: Stage, report: RunReport): Promise<Result> {
  const { outcome, proof, sandbox, timingsMs } = report;
  const vms = await readdir(join(stateDir, 'vms')).catch(() => []);
  const pullRequest = outcome?.kind === 'published' ? { ...outcome.pullRequest, files: report.patch?.files.map((file) => file.path) } : null;
  return {
    outcome: outcome?.kind ?? 'none',
    pullRequest,
    proof: proof && { base: { exitCode: proof.base?.exitCode }, patched: { exitCode: proof.patched?.exitCode }, verdict: proof.verdict },
    sandbox,
    tokens: standIn.tokens.map(({ repositories, permissions, revoked }) => ({ repositories, permissions, revoked })),
    leftovers: [...report.leftovers, ...vms, ...(await processesNaming(report.runId))],
    timingsMs,
  };
}

interface Ending {
  readonly report: RunReport;
  readonly result: Result;
  readonly shown: PullRequestView | null;
}

function printResult({ report, result, shown }: Ending, print: (line: string) => void): void {
  const { outcome, proof, sandbox } = report;
  print('');
  if (shown) print([`#${shown.body.number} ${shown.body.title}${shown.body.draft ? '  [draft]' : ''}`, '', shown.body.body, '', shown.diff].join('\n'));
  if (outcome) print(sentence(outcome));
  if (proof) print(proofSentence(proof));
  if (sandbox) print(`VM: ${sandbox.provider}/${sandbox.accel}, isolation by ${sandbox.isolation}, ${sandbox.networkCards} network cards, ${sandbox.restored ? 'restored' : 'booted'} in ${sandbox.bootMs} ms.`);
  if (sandbox?.isolation === 'emulation') print('This host has no usable KVM: the VM is emulated, which is slow and by QEMU’s own policy not a security boundary.');
  print(result.leftovers.length === 0 ? 'Left behind on this machine: nothing.' : `Left behind: ${result.leftovers.join(', ')}`);
}
