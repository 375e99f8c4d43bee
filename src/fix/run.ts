/**
 * One run, as the product's sentence goes: boot, clone, setup, solve, patch, prove, discard. It knows no GitHub: who
 * asked and where the patch goes is the caller's business, so `mayfly fix` and the worker run the same code.
 */
import { setbackMessage } from '../agent/feedback.ts';
import { startAgent } from '../agent/loop.ts';
import type { Agent, AgentLimits, Attempt, Transcript } from '../agent/loop.ts';
import type { TaskText } from '../agent/task.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { BudgetShare, FixOutcome, Patch } from '../job.ts';
import type { Log, Secrets } from '../log.ts';
import type { Model, Models } from '../model/model.ts';
import type { Provider, SandboxInfo } from '../sandbox/sandbox.ts';
import type { Operator } from '../settings/operator.ts';
import type { Effective } from '../settings/resolve.ts';
import type { Values } from '../settings/values.ts';
import { makeTask } from './agent-task.ts';
import type { AskedIssue } from './agent-task.ts';
import { narrowLimits, readBaseSettings, refuseBroken, refuseBySettings } from './base-settings.ts';
import { tryTests } from './base-tests.ts';
import { capByBudget, findBudget } from './budget.ts';
import { withComparison } from './compare-files.ts';
import { meter } from './meter.ts';
import { commitBaseline } from './patch.ts';
import { makePlan } from './plan.ts';
import type { Plan, Wishes } from './plan.ts';
import type { PatchLimits } from './policy.ts';
import { asSetback, proveApart } from './prove-apart.ts';
import { createTimer } from './report.ts';
import type { RunEvent, RunReport } from './report.ts';
import { takePatch } from './take-patch.ts';
import type { Taken } from './take-patch.ts';
import { openWorkspace } from './workspace.ts';
import type { GuestSurroundings, Workspace } from './workspace.ts';

export interface RunLimits {
  readonly agent: AgentLimits;
  readonly patch: PatchLimits;
  readonly setupTimeoutMs: number;
  /** All runs of the tests of one proof together. */
  readonly proofTimeoutMs: number;
  /** How often the host judges: after all but the last time, the agent hears of a regression and works on. At least 1. */
  readonly proofRounds: number;
  /** How many ancestors of the base commit the guest gets. */
  readonly ancestors: number;
}

/** What a process has once and every run uses. */
export interface RunTools {
  readonly provider: Provider;
  /** Why that one: half a sentence that follows "because". */
  readonly providerReason: string;
  /** What separates its VMs from this host. */
  readonly isolation: SandboxInfo['isolation'];
  /** What the operator says about settings. */
  readonly operator: Operator;
  readonly models: Models;
  readonly openGateway: (options: { phase: string; allow: readonly string[]; log: Log }) => Gateway;
  readonly surroundings: GuestSurroundings;
  /** Of the guest template; a repository may ask for another. */
  readonly guestNodeVersion: string;
  /** Debian packages that the operator added to the template. */
  readonly guestPackages: readonly string[];
  readonly openTranscript: (runId: string) => Promise<Transcript>;
  readonly limits: RunLimits;
  readonly secrets: Secrets;
}

export interface RunRequest {
  readonly issue: AskedIssue;
  /** Where settings and instructions come from, when the base is a branch that anybody may have written. */
  readonly rules?: (signal: AbortSignal) => Promise<Snapshot>;
  /** Puts more into the workspace before the agent begins: part of its patch. Returns what the agent is told of it. */
  readonly prepare?: (workspace: Workspace, snapshot: Snapshot) => Promise<readonly TaskText[]>;
  readonly wishes: Wishes;
  /** Read before, from the default branch; those of the base commit where nobody did. */
  readonly settings?: Effective;
  /** The base commit, on the host. */
  readonly fetch: (signal: AbortSignal) => Promise<Snapshot>;
  /** The commit that the base has to be; null takes what there is. */
  readonly pinnedSha: string | null;
  readonly report: RunReport;
  /** Of the day; null when there are no budgets. Whoever opened it closes it. */
  readonly budget: BudgetShare | null;
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What is ready to be published, or why there is nothing to publish. */
export type RunResult = { readonly kind: 'ready'; readonly patch: Patch; readonly plan: Plan } | { readonly kind: 'ended'; readonly outcome: FixOutcome };

const ended = (outcome: FixOutcome): RunResult => ({ kind: 'ended', outcome });

/** Everything up to publishing. The report is filled in on the way, also when this throws. */
export async function runFix(request: RunRequest, tools: RunTools): Promise<RunResult> {
  const { report, signal } = request;
  report.providerReason = tools.providerReason;
  const snapshot = await createTimer(request)('fetch', () => request.fetch(signal));
  if (request.pinnedSha !== null && snapshot.sha !== request.pinnedSha) return ended({ kind: 'refused', reason: 'stale_base' });
  const rules = (await request.rules?.(signal)) ?? snapshot;
  const read = request.settings ? { effective: request.settings } : await readBaseSettings({ snapshot: rules, organization: null }, tools.operator, signal);
  if ('problems' in read) return ended(refuseBroken(read.problems));
  const { values } = read.effective;
  const unwanted = refuseBySettings(values, tools.isolation);
  if (unwanted !== null) return ended(unwanted);
  return await prepare(request, { ...tools, limits: narrowLimits(tools.limits, values) }, { snapshot, rules, settings: values });
}

async function prepare(
  request: RunRequest,
  tools: RunTools,
  { snapshot, rules, settings }: { snapshot: Snapshot; rules: Snapshot; settings: Values },
): Promise<RunResult> {
  const { report, signal, log } = request;
  const { surroundings, guestNodeVersion } = tools;
  const plan = await makePlan(snapshot, request.wishes, { rules, settings, registryHosts: surroundings.registryHosts, guestNodeVersion, signal });
  const model = tools.models.open(plan.model);
  if (model === null) return ended({ kind: 'refused', reason: 'settings_invalid', detail: notAllowed(plan.model, tools.models) });
  report.notes.push(...plan.gaps);
  const open = (suffix: string): Promise<Workspace> =>
    openWorkspace({
      id: `${report.runId}-${suffix}`,
      timed: createTimer(request, suffix),
      provider: tools.provider,
      openGateway: (phase, allow) => tools.openGateway({ phase, allow, log }),
      surroundings,
      guestNodeVersion,
      snapshot,
      plan,
      limits: tools.limits,
      report,
      signal,
    });
  return await work(request, tools, { snapshot, plan, model, open });
}

const notAllowed = (name: string | null, { names }: Models): string => `model: ${name?.slice(0, 100)} is not allowed here; choose one of: ${names.join(', ')}`;

interface Context {
  readonly snapshot: Snapshot;
  readonly plan: Plan;
  readonly model: Model;
  readonly open: (suffix: string) => Promise<Workspace>;
}

/**
 * Rounds of work and proof. Between them the agent's VM waits, because a regression goes back to the agent with what the
 * host saw; before the last proof it is thrown away. Each proof has a VM of its own.
 */
async function work(request: RunRequest, tools: RunTools, context: Context): Promise<RunResult> {
  const { report, onEvent, signal, log } = request;
  const { plan, model, snapshot } = context;
  await using workspace = await context.open('agent');
  const baselineSha = await commitBaseline(workspace.sandbox, signal);
  workspace.gateway.enter('agent', plan.allow.agent);
  const agent = await openAgent(request, tools, { snapshot, plan, model, workspace, baselineSha });
  let proofs = 0;
  for (let round = 1, message: string | undefined; ; round++) {
    const worked = await workOnce(request, tools, { ...context, workspace, baselineSha, agent, message });
    if (worked.kind === 'ended') return worked;
    const isLast = round >= tools.limits.proofRounds;
    if (isLast) await workspace[Symbol.asyncDispose]();
    report.proof = await proveApart({
      patch: worked.patch,
      test: worked.plan.test,
      setup: plan.setup,
      allow: plan.allow.proof,
      snapshot,
      timeoutMs: tools.limits.proofTimeoutMs,
      signal,
      log,
      open: () => context.open(++proofs === 1 ? 'proof' : `proof${proofs}`),
      onRun: (tree, run) => onEvent({ kind: 'tested', tree, run }),
    });
    onEvent({ kind: 'proved', proof: report.proof });
    log.info({ verdict: report.proof.verdict, round }, 'proof finished');
    if (report.proof.verdict !== 'regressed') return worked;
    if (isLast) return ended({ kind: 'refused', reason: 'regressed' });
    message = setbackMessage(asSetback(report.proof));
    onEvent({ kind: 'round', number: round + 1, of: tools.limits.proofRounds });
  }
}

/** One round of the agent; then the patch comes out, and the policy judges it. */
async function workOnce(
  request: RunRequest,
  tools: RunTools,
  context: Context & { workspace: Workspace; baselineSha: string; agent: Agent; message: string | undefined },
): Promise<RunResult> {
  const { report, signal } = request;
  const { workspace, agent, message } = context;
  const take = (): Promise<Taken> => takePatch({ ...context, report, limits: tools.limits.patch, leaks: tools.secrets.leaks, signal });
  const attempt = await workspace
    .timed('solve', () => agent.work(message))
    .catch(async (error: unknown) => {
      // A model that went away in the middle does not take the work so far with it.
      if (!signal.aborted && !workspace.sandbox.lost.aborted) await take().catch(() => {});
      throw error;
    });
  if (attempt.ended.kind === 'submitted') {
    const { summary, resolves, replies } = attempt.ended.submission;
    if (tools.secrets.leaks(summary)) return ended({ kind: 'refused', reason: 'patch_secret', detail: "it is in the agent's summary" });
    Object.assign(report, { summary, resolves, replies });
  }
  if (attempt.ended.kind === 'submitted' && attempt.ended.submission.noChange) {
    // After a setback these words mean that it cannot be mended.
    return ended(message === undefined ? { kind: 'no_change' } : { kind: 'refused', reason: 'regressed' });
  }
  const taking = workspace.timed('patch', take);
  const early = endedEarly(attempt.ended, request, tools);
  if (early !== null) {
    // It ends the run, but what was done so far stays in the report, if the machine still gives it.
    await taking.catch(() => signal.throwIfAborted());
    return ended(early);
  }
  const taken = await taking;
  if (attempt.ended.kind === 'stopped') {
    if (taken.kind === 'ended' && taken.outcome.kind === 'no_change') return ended(attempt.ended);
    report.notes.push('The agent stopped without handing its work in.');
  }
  if (taken.kind === 'ended') return taken;
  if (attempt.ended.kind === 'submitted') {
    const notes = withComparison(report.notes, taken.patch, attempt.ended.submission.files, await context.snapshot.tree(signal));
    report.notes.splice(0, report.notes.length, ...notes);
    noteOtherCommand(report, context.plan, attempt.ended.submission.testCommand);
  }
  return { ...taken, plan: { ...context.plan, test: context.plan.test ?? askedTest(attempt) } };
}

/** What the agent found to work, where the host ran something else. */
function noteOtherCommand(report: RunReport, { test }: Plan, command: string | null): void {
  if (test === null || command === null || command.trim() === test.command) return;
  const note = `The agent tested with ${JSON.stringify(command.slice(0, 300))}; the host did not run that.`;
  if (!report.notes.includes(note)) report.notes.push(note);
}

/** The last resort: whoever wrote the patch also says how it is judged, so the report names the source. */
function askedTest({ ended: end }: Attempt): Plan['test'] {
  const command = end.kind === 'submitted' ? end.submission.testCommand : null;
  return command === null ? null : { command, source: 'the agent' };
}

/** An agent that only falls silent may have finished its work: what it left goes on to the proof. Any other end but a submission leaves it unfinished. */
function endedEarly(how: Attempt['ended'], { budget }: RunRequest, { limits }: RunTools): FixOutcome | null {
  if (how.kind === 'submitted' || (how.kind === 'stopped' && how.reason === 'silent')) return null;
  if (how.kind === 'stopped') return how;
  const spent = findBudget(how.limit, limits.agent, budget);
  return spent === null ? { kind: 'gave_up', limit: how.limit } : { kind: 'gave_up', limit: 'daily_budget', budget: spent };
}

async function openAgent(
  request: RunRequest,
  tools: RunTools,
  context: { snapshot: Snapshot; plan: Plan; model: Model; workspace: Workspace; baselineSha: string },
): Promise<Agent> {
  const { report, budget, signal, log, onEvent } = request;
  const transcript = await tools.openTranscript(report.runId);
  report.transcriptFile = transcript.file;
  const { plan, baselineSha } = context;
  const { sandbox, node, timed } = context.workspace;
  const command = plan.test?.command;
  const trial = { baselineSha, proofTimeoutMs: tools.limits.proofTimeoutMs, signal };
  const tests = command === undefined ? null : await timed('tests', () => tryTests(sandbox, command, trial));
  // After the tests, which put the tree back.
  const prepared = (await request.prepare?.(context.workspace, context.snapshot)) ?? [];
  const agent = startAgent({
    run: { id: report.runId, baseSha: context.snapshot.sha },
    task: makeTask({ ...request.issue, texts: [...(request.issue.texts ?? []), ...prepared] }, plan, {
      info: sandbox.info,
      node,
      packages: tools.guestPackages,
      tests,
    }),
    sandbox,
    model: meter(context.model, { report, budget }),
    limits: capByBudget(tools.limits.agent, budget),
    transcript,
    signal,
    log,
    onStep: ({ number, line }) => onEvent({ kind: 'step', number, line }),
  });
  report.context = agent.seen;
  return agent;
}
