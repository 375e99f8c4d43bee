/** Real cases, one after the other: each is a whole run of the product, judged afterwards by tests that it never saw. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { CommandContext } from '../../src/command-line.ts';
import { FixError, asFixError, errorTable } from '../../src/errors.ts';
import { createReport } from '../../src/fix/report.ts';
import type { RunReport } from '../../src/fix/report.ts';
import { runFix } from '../../src/fix/run.ts';
import type { RunTools } from '../../src/fix/run-request.ts';
import { newRunId } from '../../src/job.ts';
import type { ProviderName } from '../../src/job.ts';
import { describeRun, openTools, patchText, settle } from '../../src/local.ts';
import { createTimeline } from '../../src/timeline.ts';
import type { Timeline } from '../../src/timeline.ts';
import { version } from '../../src/version.ts';
import { describeHost, formatHost } from '../bench/host.ts';
import { readCases } from './case.ts';
import { judgeCase, judgePatch, wishesOf } from './judge.ts';
import type { HiddenVerdict, JudgeOptions } from './judge.ts';
import { prepareCase } from './prepare.ts';
import type { PreparedCase } from './prepare.ts';
import { classify, countResults, formatResults } from './results.ts';
import type { CaseResult } from './results.ts';

export interface EvalOptions {
  readonly repos: string;
  readonly model?: string;
  readonly provider?: ProviderName;
  readonly json?: string;
  readonly only?: readonly string[];
}

/** Returns the exit code: 0 when every case ran to its end, whatever its result. Throws FixErrors for what stops all of them. */
export async function evaluate(casesDirectory: string, options: EvalOptions, context: CommandContext): Promise<number> {
  const { signal } = context;
  const cases = await readCases(casesDirectory, options.only ?? []);
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-eval-'));
  try {
    const prepared: PreparedCase[] = [];
    const place = { repos: resolve(options.repos), directory, environment: context.config.gitEnvironment, signal };
    for (const one of cases) prepared.push(await prepareCase(one, place));
    const host = await describeHost();
    const tools = await openTools(options, context);
    const [model = ''] = tools.models.names;
    const about = {
      command: 'eval',
      date: new Date().toISOString(),
      version,
      host,
      model,
      provider: tools.provider.name,
      providerReason: tools.providerReason,
      planned: cases.length,
    };
    // Written after every case: what a case cost is not lost by a later one.
    const save = async (results: readonly CaseResult[]): Promise<void> => {
      if (options.json === undefined) return;
      await writeFile(options.json, `${JSON.stringify({ ...about, n: results.length, totals: countResults(results), cases: results }, null, 2)}\n`);
    };
    await save([]).catch((cause: unknown) => {
      throw new FixError('usage', { cause, details: { reason: `--json names no file that can be written: ${options.json}` } });
    });
    const results = await runAll(prepared, { tools, context, save });
    console.log(`${model}, VMs by ${tools.provider.name}, ${about.date}\n${formatHost(host)}\n${formatResults(results)}`);
    signal.throwIfAborted();
    return exitCodeOf(results);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface Bench {
  readonly tools: RunTools;
  readonly context: CommandContext;
  readonly save: (results: readonly CaseResult[]) => Promise<void>;
}

/** Ends early, with what there is, when the signal comes: the case that it cuts short is not counted. */
async function runAll(prepared: readonly PreparedCase[], { tools, context, save }: Bench): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = [];
  for (const one of prepared) {
    if (context.signal.aborted) break;
    const timeline = createTimeline((line) => console.error(line), process.stderr.isTTY);
    timeline.say(`case ${results.length + 1} of ${prepared.length}: ${one.of.id}`);
    const result = await runCase(one, { tools, context, timeline }).catch((thrown: unknown) => {
      if (context.signal.aborted) return null;
      throw thrown;
    });
    if (result === null) break;
    results.push(result);
    await save(results);
  }
  return results;
}

interface CaseBench {
  readonly tools: RunTools;
  readonly context: CommandContext;
  readonly timeline: Timeline;
}

/** No model is asked about a case that can judge nothing. */
async function runCase(prepared: PreparedCase, bench: CaseBench): Promise<CaseResult> {
  const { timeline } = bench;
  const { signal } = bench.context;
  const { of, snapshot } = prepared;
  const report = createReport(newRunId());
  timeline.say('the case itself, in a clean VM: its hidden tests on the base and on the known fix');
  const checked = await ask(bench, () => judgeCase(prepared, judging(bench)));
  const sound = checked.hidden !== null && checked.hidden.broken === null;
  const startedAt = performance.now();
  const error = sound ? await runAgent(prepared, report, bench) : null;
  const durationMs = sound ? Math.round(performance.now() - startedAt) : 0;
  for (const name of report.leftovers) timeline.say(`left behind: ${name}`);
  signal.throwIfAborted();
  const patch = report.patch === null ? null : await patchText(report.patch, snapshot, signal);
  const judged = error === null ? await judgeRun(prepared, { report, checked }, bench) : { hidden: null, why: error.message, failure: error.code };
  const result = classify({ ...report, hidden: judged.hidden });
  timeline.say(`${of.id}: ${result}${judged.why === null ? '' : `: ${judged.why}`}`);
  const { outcome, proof, steps, usage, costUsd } = report;
  const spent = { steps, tokens: usage.inputTokens + usage.outputTokens, costUsd, durationMs };
  const leftovers = [...report.leftovers, ...((judged.hidden ?? checked.hidden)?.leftovers ?? [])];
  // The proof is long, and stands beside it.
  const run = sound ? { ...describeRun(report, error), proof: undefined } : {};
  return { id: of.id, repository: of.repository, result, ...judged, outcome, proof, ...spent, leftovers, patch, run };
}

async function runAgent({ of, snapshot }: PreparedCase, report: RunReport, { tools, context, timeline }: CaseBench): Promise<FixError | null> {
  const { signal, log } = context;
  const request = {
    issue: { ...of.issue, instruction: null, conversation: null },
    // Named, so that no settings of the repository take another one.
    wishes: { ...wishesOf(of), model: tools.models.names[0] ?? null },
    fetch: async () => snapshot,
    pinnedSha: null,
    report,
    budget: null,
    onEvent: timeline.event,
    signal,
    log,
  };
  return await settle(report, signal, () => runFix(request, tools));
}

type Judged = Pick<CaseResult, 'hidden' | 'why' | 'failure'>;

async function judgeRun(prepared: PreparedCase, { report, checked }: { report: RunReport; checked: Judged }, bench: CaseBench): Promise<Judged> {
  const { patch } = report;
  const { hidden: before } = checked;
  if (before === null || before.broken !== null || patch === null) return checked;
  bench.timeline.say('hidden tests on the patch, in another clean VM');
  return await ask(bench, () => judgePatch(prepared, { patch, before }, judging(bench)));
}

const judging = ({ tools, timeline, context: { signal, log } }: CaseBench): JudgeOptions => ({ tools, onEvent: timeline.event, signal, log });

async function ask({ context, timeline }: CaseBench, judge: () => Promise<HiddenVerdict>): Promise<Judged> {
  try {
    const hidden = await judge();
    for (const name of hidden.leftovers) timeline.say(`left behind: ${name}`);
    return { hidden, why: hidden.broken, failure: null };
  } catch (thrown) {
    context.signal.throwIfAborted();
    const error = asFixError(thrown);
    return { hidden: null, why: `the hidden tests could not be run (${error.code}). ${error.message}`, failure: error.code };
  }
}

/** A failure has the exit code of its row; a run that left something behind is one, too. */
function exitCodeOf(results: readonly CaseResult[]): number {
  const failure = results.find((one) => one.failure !== null)?.failure;
  if (failure) return errorTable[failure].exitCode;
  return results.some(({ leftovers }) => leftovers.length > 0) ? 1 : 0;
}
