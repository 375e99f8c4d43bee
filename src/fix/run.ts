/**
 * One run, as the product's sentence goes: boot, clone, setup, solve, patch, prove, discard. It knows no GitHub: who
 * asked and where the patch goes is the caller's business, so `mayfly fix` and the worker run the same code.
 */
import { asFixError } from '../errors.ts';
import { setbackMessage } from '../agent/feedback.ts';
import type { Agent } from '../agent/loop.ts';
import { findReached, lessSpent, startSpend } from '../agent/spend.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome, Patch, PatchFile } from '../job.ts';
import { startRunUsage } from '../gateway/run-usage.ts';
import type { Model, Models } from '../model/model.ts';
import type { Effective } from '../settings/resolve.ts';
import { applyPatch } from '../proof/apply.ts';
import { askedTest, endedEarly, isPersonsStop, noteOtherCommand } from './agent-end.ts';
import { narrowLimits, readBaseSettings, refuseBroken, refuseBySettings } from './base-settings.ts';
import { tryTests } from './base-tests.ts';
import { describeGrants } from './capabilities.ts';
import { withComparison } from './compare-files.ts';
import { openHeld } from './held.ts';
import type { HeldWork } from './held.ts';
import { openAgent } from './open-agent.ts';
import { createPackageNames } from './repository-package-names.ts';
import { commitBaseline } from './patch.ts';
import { makePlan } from './plan.ts';
import type { Plan } from './plan.ts';
import { prepareImage } from './prepare-image.ts';
import { asSetback, proveApart } from './prove-apart.ts';
import { createTimer } from './report.ts';
import type { RunReport } from './report.ts';
import type { Home, Opened } from './repository-template.ts';
import type { RunRequest, RunResult, RunTools } from './run-request.ts';
import { takeAtStop, takePatch } from './take-patch.ts';
import type { Taking } from './take-patch.ts';
import { openWorkspace } from './workspace.ts';
import type { Workspace, WorkspaceOptions } from './workspace.ts';

const ended = (outcome: FixOutcome): RunResult => ({ kind: 'ended', outcome });

/** Everything up to publishing. The report is filled in on the way, also when this throws. */
export async function runFix(request: RunRequest, tools: RunTools): Promise<RunResult> {
  const { report, signal } = request;
  report.providerReason = tools.providerReason;
  const resume = request.resume === true;
  const start = await createTimer(request)('fetch', () => fetchStart(request, tools, resume));
  if (start === null) return ended({ kind: 'refused', reason: resume ? 'held_moved' : 'stale_base' });
  const snapshot = start.base;
  const rules = (await request.rules?.(signal)) ?? snapshot;
  const read = request.settings ? { effective: request.settings } : await readBaseSettings({ snapshot: rules, organization: null }, tools.operator, signal);
  if ('problems' in read) return ended(refuseBroken(read.problems));
  const { values } = read.effective;
  const unwanted = refuseBySettings(values, tools.isolation);
  if (unwanted !== null) return ended(unwanted);
  const limits = narrowLimits(tools.limits, values);
  const spent = report.earlier ?? startSpend();
  const reached = findReached(spent, limits.agent, 0);
  if (reached !== null) return ended({ kind: 'gave_up', limit: reached });
  const left = { ...limits, agent: lessSpent(limits.agent, spent) };
  // What somebody put on a branch, or held work lies on, is no default branch.
  const isMain = !resume && (await rules.ancestor(snapshot.sha, signal)) !== null;
  const home = (isMain && request.home) || null;
  return await prepare(request, { ...tools, limits: left }, { snapshot, rules, laid: start.files, effective: read.effective, home });
}

async function prepare(
  request: RunRequest,
  tools: RunTools,
  { snapshot, rules, laid, effective, home }: Pick<Context, 'snapshot' | 'laid'> & { rules: Snapshot; effective: Effective; home: Home | null },
): Promise<RunResult> {
  const { report, signal, log } = request;
  const { surroundings, guestNodeVersion } = tools;
  const plan = await makePlan(snapshot, request.wishes, {
    rules,
    settings: effective.values,
    operator: tools.operator,
    registryHosts: surroundings.registryHosts,
    guestNodeVersion,
    signal,
  });
  const model = tools.models.open(plan.model);
  if (model === null) return ended({ kind: 'refused', reason: 'settings_invalid', detail: notAllowed(plan.model, tools.models) });
  report.notes.push(...plan.gaps);
  const isolation = { kind: tools.isolation, provider: tools.provider.name, reason: tools.providerReason };
  const credentials = await tools.credentialsOf(request.repository ?? null);
  report.grants = describeGrants({ plan, effective, asked: request.wishes.allow, credentials, registryHosts: surroundings.registryHosts, isolation });
  const isKnownPackage = createPackageNames(snapshot, signal);
  const ofRun = startRunUsage();
  const prepared = await prepareImage(request, tools, plan);
  if (prepared !== null && 'reason' in prepared) return ended(prepared);
  // Until the last proof is over: other runs may need the place.
  await using image = prepared;
  if (image !== null) report.notes.push(`The VMs are made of the image ${plan.sandbox.image}, which is sha256:${image.sha256.slice(0, 12)} now.`);
  const describe = (suffix: string): WorkspaceOptions => ({
    id: `${report.runId}-${suffix}`,
    timed: createTimer(request, suffix),
    provider: tools.provider,
    openGateway: (phase, allow, usage = ofRun) => tools.openGateway({ phase, allow, credentials, isKnownPackage, usage, log }),
    surroundings,
    guestNodeVersion,
    image,
    snapshot,
    plan,
    limits: tools.limits,
    report,
    signal,
  });
  let refresh: Opened['refresh'] = null;
  const openAgents = async (): Promise<Workspace> => {
    if (!home || !tools.repositoryTemplates) return await openWorkspace(describe('agent'));
    const opened = await tools.repositoryTemplates.open(describe('agent'), home);
    refresh = opened.refresh;
    return opened.workspace;
  };
  const openProof = async (suffix: string): Promise<Workspace> => await openWorkspace(describe(suffix));
  return await work(request, tools, { snapshot, laid, plan, model, openAgents, openProof }).finally(() => refresh?.());
}

/** Null when the branch is not any more where it was. */
async function fetchStart({ fetch, pinnedSha, signal }: RunRequest, { limits }: RunTools, resume: boolean): Promise<HeldWork | null> {
  const tip = await fetch(signal).catch((thrown: unknown) => {
    if (resume && asFixError(thrown).code === 'base_unknown') return null;
    throw thrown;
  });
  if (tip === null || (pinnedSha !== null && tip.sha !== pinnedSha)) return null;
  return resume ? await openHeld(tip, limits.patch, signal) : { base: tip, files: [] };
}

const notAllowed = (name: string | null, { names }: Models): string => `model: ${name?.slice(0, 100)} is not allowed here; choose one of: ${names.join(', ')}`;

interface Context {
  readonly snapshot: Snapshot;
  /** Work of an earlier run. */
  readonly laid: readonly PatchFile[];
  readonly plan: Plan;
  readonly model: Model;
  readonly openAgents: () => Promise<Workspace>;
  /** Begins with nothing but the template of all guests. */
  readonly openProof: (suffix: string) => Promise<Workspace>;
}

interface Place {
  readonly workspace: Workspace;
  readonly baselineSha: string;
}

/**
 * Rounds of work and proof. Between them the agent's VM waits, because a regression goes back to the agent with what the
 * host saw; before the last proof it is thrown away. Each proof has a VM of its own.
 */
async function work(request: RunRequest, tools: RunTools, context: Context): Promise<RunResult> {
  const { report, onEvent, signal, log } = request;
  const { plan, snapshot } = context;
  await using workspace = await context.openAgents();
  const baselineSha = await commitBaseline(workspace.sandbox, signal);
  workspace.gateway.enter('agent', plan.allow.agent);
  const tests = await tryBaseTests(tools, plan, { workspace, baselineSha, signal });
  // The base alone is what was tested: only now comes what the work begins with.
  const prepared = (await request.prepare?.(workspace, snapshot)) ?? [];
  const agent = await openAgent(request, tools, { ...context, workspace, tests, prepared });
  if (context.laid.length > 0) await applyPatch(workspace.sandbox, { baseSha: snapshot.sha, files: context.laid }, signal);
  if (request.issue.planOnly === true) return await makePlanOnly(request, tools, { agent, workspace });
  let proofs = 0;
  for (let round = 1, message: string | undefined; ; round++) {
    const scene = { ...context, workspace, baselineSha, agent, message };
    const worked = await workOnce(request, tools, scene).catch(async (error: unknown) => {
      if (isPersonsStop(signal)) await workspace.timed('patch', () => takeAtStop(takingOf(request, tools, scene), log));
      throw error;
    });
    if (worked.kind !== 'ready') return worked;
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
      open: () => context.openProof(++proofs === 1 ? 'proof' : `proof${proofs}`),
      onRun: (tree, run) => onEvent({ kind: 'tested', tree, run }),
    });
    onEvent({ kind: 'proved', proof: report.proof });
    log.info({ verdict: report.proof.verdict, round }, 'proof finished');
    if (report.proof.verdict !== 'regressed') return addedNothing(context, worked) ? judgeUnchanged(report, worked) : worked;
    if (isLast) return ended({ kind: 'refused', reason: 'regressed' });
    message = setbackMessage(asSetback(report.proof));
    onEvent({ kind: 'round', number: round + 1, of: tools.limits.proofRounds });
  }
}

function takingOf({ report }: RunRequest, { limits, secrets }: RunTools, context: Pick<Context, 'snapshot' | 'plan'> & Place): Taking {
  const { snapshot, plan, workspace, baselineSha } = context;
  return { report, snapshot, sandbox: workspace.sandbox, baselineSha, limits: limits.patch, protect: plan.protect, leaks: secrets.leaks };
}

/** What the agent changes stays in its VM. */
async function makePlanOnly(request: RunRequest, tools: RunTools, { agent, workspace }: { agent: Agent; workspace: Workspace }): Promise<RunResult> {
  const { ended: end } = await workspace.timed('solve', () => agent.work());
  const early = endedEarly(end, tools.limits.agent, request.budget);
  if (early !== null) return ended(early);
  if (end.kind !== 'submitted') return ended({ kind: 'stopped', reason: 'silent' });
  request.report.summary = end.submission.summary;
  return { kind: 'planned', text: end.submission.summary };
}

/** One round of the agent; then the patch comes out, and the policy judges it. */
async function workOnce(request: RunRequest, tools: RunTools, context: Context & Place & { agent: Agent; message: string | undefined }): Promise<RunResult> {
  const { report, signal } = request;
  const { workspace, agent, message } = context;
  const take = () => takePatch(takingOf(request, tools, context), signal);
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
  const early = endedEarly(attempt.ended, tools.limits.agent, request.budget);
  if (early !== null) {
    // It ends the run, but what was done so far stays in the report, if the machine still gives it.
    await taking.catch(() => signal.throwIfAborted());
    return ended(early);
  }
  const taken = await taking;
  if (attempt.ended.kind === 'stopped') {
    if (taken.kind === 'ended' ? taken.outcome.kind === 'no_change' : addedNothing(context, taken)) return ended(attempt.ended);
    report.notes.push('The agent stopped without handing its work in.');
  }
  if (taken.kind === 'ended') return taken;
  if (attempt.ended.kind === 'submitted') {
    if (addedNothing(context, taken) && !attempt.ended.submission.resolves) return ended({ kind: 'no_change' });
    const notes = withComparison(report.notes, taken.patch, attempt.ended.submission.files, await context.snapshot.tree(signal));
    report.notes.splice(0, report.notes.length, ...notes);
    noteOtherCommand(report, context.plan, attempt.ended.submission.testCommand);
  }
  return { ...taken, plan: { ...context.plan, test: context.plan.test ?? askedTest(attempt) } };
}

/** What comes out is what an earlier run had left. */
function addedNothing({ laid }: Pick<Context, 'laid'>, { patch }: { patch: Patch }): boolean {
  if (laid.length === 0 || laid.length !== patch.files.length) return false;
  const before = new Map(laid.map(({ path, change }) => [path, change]));
  return patch.files.every(({ path, change }) => {
    const earlier = before.get(path);
    if (earlier?.kind !== 'write' || change.kind !== 'write') return earlier?.kind === change.kind;
    return earlier.mode === change.mode && Buffer.compare(earlier.content, change.content) === 0;
  });
}

/** The agent says that it was complete: only the tests make that more than words. */
function judgeUnchanged(report: RunReport, worked: RunResult): RunResult {
  if (report.proof?.verdict !== 'proven') return ended({ kind: 'no_change' });
  report.notes.push('This run added nothing to what an earlier one had left: by the tests, that was complete.');
  return worked;
}

/** What the tests say before anything was changed; null when no command is known. */
async function tryBaseTests({ limits }: RunTools, { test }: Plan, { workspace, baselineSha, signal }: Place & { signal: AbortSignal }) {
  if (test === null) return null;
  const trial = { baselineSha, proofTimeoutMs: limits.proofTimeoutMs, signal };
  return await workspace.timed('tests', () => tryTests(workspace.sandbox, test.command, trial));
}
