/**
 * `mayfly demo`: one whole run as a user sees it. Web, queue, worker, git, gateway and micro-VMs are the real ones;
 * GitHub is the stand-in, and the model too when there is no key.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandContext } from '../../src/command-line.ts';
import type { Config } from '../../src/config.ts';
import { sentence } from '../../src/fix/outcome-text.ts';
import { proofSentence } from '../../src/fix/proof-text.ts';
import type { RunReport } from '../../src/fix/report.ts';
import { createTimeline } from '../../src/timeline.ts';
import type { Timeline } from '../../src/timeline.ts';
import type { PullRequestView } from '../support/github/repository.ts';
import { processesNaming } from '../support/processes.ts';
import { startScriptedEndpoint } from '../support/scripted-endpoint.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';
import { issue, replies, repository } from './story.ts';

const asker = 'octocat';
/** A run of the demo takes a minute or two under emulation; much longer means that something hangs, and that is shown. */
const runTimeoutMs = 20 * 60_000;

/** Returns the exit code: 0 only when the pull request exists and nothing is left over. */
export async function runDemo(context: CommandContext, { json }: { json: boolean }): Promise<number> {
  const print = json ? console.error : console.log;
  const timeline = createTimeline(print, (json ? process.stderr : process.stdout).isTTY);
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(runTimeoutMs)]);
  const { name, config, endpoint } = await chooseModel(context.config);
  print(
    endpoint
      ? 'There is no ANTHROPIC_API_KEY or OPENAI_API_KEY, so the model’s replies are scripted. Everything that they cause is real.'
      : `The model is ${name}.`,
  );
  await using _endpoint = endpoint;
  const system = await startSystem({
    ...context,
    // The micro-VM is what there is to see, unless the operator names another; and so is its start.
    config: { ...config, MAYFLY_POOL_SIZE: 0, MAYFLY_PROVIDER: config.MAYFLY_PROVIDER === 'auto' ? 'qemu' : config.MAYFLY_PROVIDER },
    signal,
    users: [asker],
    repository: { ...repository, collaborators: [{ login: asker, permission: 'write' }] },
    onEvent: (_runId, event) => timeline.event(event),
  });
  const seen = await watch(system, timeline);
  const result = await summarize(system, seen.report);
  if (json) console.log(JSON.stringify(result));
  else printResult({ ...seen, result }, print);
  return result.outcome === 'published' && result.leftovers.length === 0 ? 0 : 1;
}

interface Choice {
  readonly name: string;
  readonly config: Config;
  /** Present when the replies are scripted. */
  readonly endpoint: AsyncDisposable | null;
}

/** The user's own model when there is a key; scripted replies when there is none. */
async function chooseModel(config: Config): Promise<Choice> {
  const own = config.ANTHROPIC_API_KEY ? 'anthropic/claude-sonnet-4-5' : config.OPENAI_API_KEY ? 'openai/gpt-5' : null;
  if (own !== null) {
    const name = config.MAYFLY_MODEL ?? own;
    return { name, config: { ...config, MAYFLY_MODEL: name }, endpoint: null };
  }
  const endpoint = await startScriptedEndpoint(replies);
  const name = 'anthropic/scripted';
  return {
    name,
    config: { ...config, MAYFLY_MODEL: name, ANTHROPIC_API_KEY: 'scripted-replies', ANTHROPIC_BASE_URL: endpoint.baseUrl },
    endpoint: { [Symbol.asyncDispose]: () => endpoint.close() },
  };
}

interface Seen {
  readonly report: RunReport;
  readonly pullRequest: PullRequestView | null;
}

/** A person labels the issue; everything after that Mayfly does. All is taken down when it returns. */
async function watch(system: System, timeline: Timeline): Promise<Seen> {
  await using _system = system;
  const { standIn, repository: github, config } = system;
  timeline.say('web, queue, worker and the stand-in GitHub run on this machine');
  const number = await github.createIssue({ as: asker, ...issue });
  timeline.say(`${asker} labels issue #${number} of ${github.fullName}: ${issue.title}`);
  await github.label({ as: asker, issue: number, label: config.MAYFLY_LABEL });
  await standIn.webhooks.settled();
  timeline.say('the signed webhook is accepted, the run is queued');
  const report = await system.nextReport();
  const pullRequest = report.outcome?.kind === 'published' ? await github.pullRequest(report.outcome.pullRequest.number) : null;
  return { report, pullRequest };
}

interface Result {
  readonly outcome: string;
  readonly leftovers: readonly string[];
  readonly [name: string]: unknown;
}

async function summarize({ standIn, stateDir }: System, report: RunReport): Promise<Result> {
  const { outcome, proof, sandbox, timingsMs } = report;
  const vms = await readdir(join(stateDir, 'vms')).catch(() => []);
  const pullRequest = outcome?.kind === 'published' ? { ...outcome.pullRequest, files: report.patch?.files.map((file) => file.path) } : null;
  return {
    outcome: outcome?.kind ?? 'none',
    pullRequest,
    proof: proof && { base: { exitCode: proof.base?.exitCode }, patched: { exitCode: proof.patched?.exitCode }, verdict: proof.verdict },
    sandbox: sandbox && { ...sandbox, reason: report.providerReason },
    tokens: standIn.tokens.map(({ repositories, permissions, revoked }) => ({ repositories, permissions, revoked })),
    leftovers: [...report.leftovers, ...vms, ...(await processesNaming(report.runId))],
    timingsMs,
  };
}

function printResult({ report, pullRequest, result }: Seen & { readonly result: Result }, print: (line: string) => void): void {
  const { outcome, proof, sandbox } = report;
  print('');
  if (pullRequest) {
    const { number, title, draft, body } = pullRequest.body;
    print([`#${number} ${title}${draft ? '  [draft]' : ''}`, '', body, '', pullRequest.diff].join('\n'));
  }
  if (outcome) print(sentence(outcome));
  if (proof) print(proofSentence(proof));
  if (sandbox) {
    const start = sandbox.restored ? 'restored' : 'booted';
    print(
      `VM: ${sandbox.provider}/${sandbox.accel}, isolation by ${sandbox.isolation}, ${sandbox.networkCards} network cards, ${start} in ${sandbox.bootMs} ms.`,
    );
    if (sandbox.isolation === 'emulation')
      print(
        'This host has no usable KVM: the VM is emulated, which is slow and by QEMU’s own policy not a security boundary. MAYFLY_PROVIDER=oci shows gVisor.',
      );
  }
  print(result.leftovers.length === 0 ? 'Left behind on this machine: nothing.' : `Left behind: ${result.leftovers.join(', ')}`);
}
