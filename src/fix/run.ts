/**
 * One run, as the product's sentence goes: boot, clone, setup, solve, patch, prove, discard. It knows no GitHub: who
 * asked and where the patch goes is the caller's business, so `mayfly fix` and the worker run the same code.
 */
import { startAgent } from '../agent/loop.ts';
import type { AgentLimits, Attempt, Transcript } from '../agent/loop.ts';
import { addStep, startSpend } from '../agent/spend.ts';
import { asFixError } from '../errors.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome, Patch, Proof } from '../job.ts';
import type { Log, Secrets } from '../log.ts';
import type { Model } from '../model/model.ts';
import type { Provider } from '../sandbox/sandbox.ts';
import { commitBaseline, fetchPatch, listChanges } from './patch.ts';
import { makePlan } from './plan.ts';
import type { Plan, Wishes } from './plan.ts';
import { dropUnchanged, judgeContent, judgeEntries } from './policy.ts';
import type { PatchLimits } from './policy.ts';
import { timed } from './report.ts';
import type { RunEvent, RunReport } from './report.ts';
import { nothingToRun, prove } from '../proof/prove.ts';
import { openWorkspace } from './workspace.ts';
import type { GuestSurroundings, Workspace } from './workspace.ts';

export interface RunLimits {
  readonly agent: AgentLimits;
  readonly patch: PatchLimits;
  readonly setupTimeoutMs: number;
  readonly proofTimeoutMs: number;
  /** How many ancestors of the base commit the guest gets. */
  readonly ancestors: number;
}

/** What a process has once and every run uses. */
export interface RunTools {
  readonly provider: Provider;
  /** Why that one: half a sentence that follows "because". */
  readonly providerReason: string;
  readonly model: Model;
  readonly openGateway: (options: { phase: string; allow: readonly string[]; log: Log }) => Gateway;
  readonly surroundings: GuestSurroundings;
  /** Of the guest template; a repository may ask for another. */
  readonly guestNodeVersion: string;
  readonly openTranscript: (runId: string) => Promise<Transcript>;
  readonly limits: RunLimits;
  readonly secrets: Secrets;
}

export interface RunRequest {
  readonly issue: { readonly title: string; readonly body: string; readonly instruction: string | null };
  readonly wishes: Wishes;
  /** The base commit, on the host. */
  readonly fetch: (signal: AbortSignal) => Promise<Snapshot>;
  readonly report: RunReport;
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What is ready to be published, or why there is nothing to publish. */
export type RunResult = { readonly kind: 'ready'; readonly patch: Patch; readonly plan: Plan } | { readonly kind: 'ended'; readonly outcome: FixOutcome };

const maxBaseFileBytes = 4 * 2 ** 20;
const proofAttempts = 2;

const ended = (outcome: FixOutcome): RunResult => ({ kind: 'ended', outcome });

/** Everything up to publishing. The report is filled in on the way, also when this throws. */
export async function runFix(request: RunRequest, tools: RunTools): Promise<RunResult> {
  const { report, onEvent, signal, log } = request;
  report.providerReason = tools.providerReason;
  const snapshot = await timed(report, onEvent, 'fetch', () => request.fetch(signal));
  const { surroundings, guestNodeVersion } = tools;
  const made = await makePlan(snapshot, request.wishes, { registryHosts: surroundings.registryHosts, guestNodeVersion, signal });
  if ('problem' in made) return ended({ kind: 'refused', reason: 'settings_invalid', detail: made.problem });
  const { plan } = made;
  report.notes.push(...plan.gaps);
  const open = (suffix: string): Promise<Workspace> =>
    openWorkspace({
      id: `${report.runId}-${suffix}`,
      provider: tools.provider,
      openGateway: (phase, allow) => tools.openGateway({ phase, allow, log }),
      surroundings,
      guestNodeVersion,
      snapshot,
      plan,
      limits: tools.limits,
      report,
      onEvent,
      signal,
    });

  const worked = await work(request, tools, { snapshot, plan, open });
  if (worked.kind === 'ended') return worked;
  report.proof = await proveApart(request, tools, { patch: worked.patch, plan, snapshot, open });
  onEvent({ kind: 'proved', proof: report.proof });
  log.info({ verdict: report.proof.verdict }, 'proof finished');
  return report.proof.verdict === 'regressed' ? ended({ kind: 'refused', reason: 'regressed' }) : worked;
}

/** In a second VM. The patch is worth more than its proof: one that cannot be made is said to be so, and the patch goes on. */
async function proveApart(
  { report, onEvent, signal, log }: RunRequest,
  tools: RunTools,
  { patch, plan, snapshot, open }: { patch: Patch; plan: Plan; snapshot: Snapshot; open: (suffix: string) => Promise<Workspace> },
): Promise<Proof> {
  if (plan.test === null) return nothingToRun;
  const { command, source } = plan.test;
  const readBase = async (path: string): Promise<string | null> => (await snapshot.readFile(path, maxBaseFileBytes, signal))?.toString('utf8') ?? null;
  for (let attempt = 1; ; attempt++) {
    try {
      await using workspace = await open(attempt === 1 ? 'proof' : `proof${attempt}`);
      const { sandbox, gateway, setUpAgain } = workspace;
      const enter = (): void => gateway.enter('proof', plan.allow.proof);
      const again = async (): ReturnType<typeof setUpAgain> => await setUpAgain().finally(enter);
      enter();
      return await timed(report, onEvent, 'prove', () =>
        prove(sandbox, { command, source, patch, readBase, timeoutMs: tools.limits.proofTimeoutMs, setUpAgain: again, signal }),
      );
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asFixError(thrown);
      log.warn({ err: error, cause: error.cause, details: error.details, code: error.code, attempt }, 'proof could not be made');
      if (error.row.retry === 'later' && attempt < proofAttempts) continue;
      return { ...nothingToRun, verdict: 'could_not_run', reason: `the proof could not be made (${error.code})`, source };
    }
  }
}

/** The first VM: the agent works, the patch comes out, the policy judges it. */
async function work(
  request: RunRequest,
  tools: RunTools,
  context: { snapshot: Snapshot; plan: Plan; open: (suffix: string) => Promise<Workspace> },
): Promise<RunResult> {
  const { report, onEvent, signal } = request;
  await using workspace = await context.open('agent');
  const baselineSha = await commitBaseline(workspace.sandbox, signal);
  workspace.gateway.enter('agent', context.plan.allow.agent);
  const take = (): Promise<Taken> => takePatch(request, tools, { ...context, workspace, baselineSha });
  const attempt = await timed(report, onEvent, 'solve', () => askAgent(request, tools, { ...context, workspace })).catch(async (error: unknown) => {
    // A model that went away in the middle does not take the work so far with it.
    if (!signal.aborted && !workspace.sandbox.lost.aborted) await take().catch(() => {});
    throw error;
  });
  if (attempt.ended.kind === 'submitted') report.summary = attempt.ended.submission.summary;
  if (attempt.ended.kind === 'submitted' && attempt.ended.submission.noChange) return ended({ kind: 'no_change' });
  if (attempt.ended.kind === 'stopped') report.notes.push('The agent stopped without handing its work in.');
  const taking = timed(report, onEvent, 'patch', take);
  if (attempt.ended.kind === 'limit') {
    // A limit ends the run, but what was done so far stays in the report, if the machine still gives it.
    await taking.catch(() => signal.throwIfAborted());
    return ended({ kind: 'gave_up', limit: attempt.ended.limit });
  }
  const taken = await taking;
  if (taken.kind === 'ended') return taken;
  if (attempt.ended.kind === 'submitted')
    noteUnnamed(report, taken.patch, { named: attempt.ended.submission.files, base: await context.snapshot.tree(signal) });
  return { ...taken, plan: context.plan };
}

/** New files that the agent did not name may be there by mistake: a person should look at them. */
function noteUnnamed(report: RunReport, patch: Patch, { named, base }: { named: readonly string[]; base: ReadonlyMap<string, unknown> }): void {
  const known = new Set(named.map((path) => path.replace(/^(?:\/workspace\/|\.\/)/, '')));
  const unnamed = patch.files.filter(({ path, change }) => change.kind === 'write' && !base.has(path) && !known.has(path));
  if (unnamed.length > 0) report.notes.push(`New files that the agent did not name: ${unnamed.map(({ path }) => path).join(', ')}.`);
}

/** Counts what the model costs into the report as it goes: also a run that fails has spent it. */
function metered(model: Model, report: RunReport): Model {
  const spend = startSpend();
  return {
    name: model.name,
    cost: (usage) => model.cost(usage),
    async ask(question) {
      const reply = await model.ask(question);
      addStep(spend, reply.usage, model);
      Object.assign(report, spend);
      return reply;
    },
  };
}

async function askAgent(request: RunRequest, tools: RunTools, context: { plan: Plan; workspace: Workspace }): Promise<Attempt> {
  const { report, signal, log, onEvent } = request;
  const transcript = await tools.openTranscript(report.runId);
  report.transcriptFile = transcript.file;
  const { plan } = context;
  const { sandbox, node } = context.workspace;
  return await startAgent({
    task: {
      ...request.issue,
      instructions: plan.instructions,
      testCommand: plan.test?.command ?? null,
      setup: plan.setup,
      remarks: [...(node.remark === null ? [] : [node.remark]), ...plan.gaps],
      slow: sandbox.info.isolation === 'emulation',
      allowedHosts: plan.allow.agent,
    },
    sandbox,
    model: metered(tools.model, report),
    limits: tools.limits.agent,
    transcript,
    signal,
    log,
    onStep: ({ number, line }) => onEvent({ kind: 'step', number, line }),
  }).work();
}

type Taken = { readonly kind: 'ready'; readonly patch: Patch } | { readonly kind: 'ended'; readonly outcome: FixOutcome };

async function takePatch(
  { report, signal }: RunRequest,
  tools: RunTools,
  context: { snapshot: Snapshot; workspace: Workspace; baselineSha: string },
): Promise<Taken> {
  const tooLarge: Taken = { kind: 'ended', outcome: { kind: 'refused', reason: 'patch_too_large' } };
  const { sandbox } = context.workspace;
  const listed = await listChanges(sandbox, context.baselineSha, signal);
  if (listed === 'too_large') return tooLarge;
  const base = await context.snapshot.tree(signal);
  const entries = dropUnchanged(listed, base);
  if (entries.length === 0) return { kind: 'ended', outcome: { kind: 'no_change' } };
  const allowed = judgeEntries(entries, base, tools.limits.patch);
  if (!allowed.ok) return { kind: 'ended', outcome: { kind: 'refused', reason: allowed.reason, detail: allowed.detail } };
  const patch = await fetchPatch(sandbox, entries, { baseSha: context.snapshot.sha, maxBytes: tools.limits.patch.maxBytes, signal });
  if (patch === 'too_large') return tooLarge;
  const clean = judgeContent(patch, tools.secrets.scrub);
  if (!clean.ok) return { kind: 'ended', outcome: { kind: 'refused', reason: clean.reason, detail: clean.detail } };
  report.patch = patch;
  return { kind: 'ready', patch };
}
