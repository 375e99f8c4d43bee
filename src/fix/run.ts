/**
 * One run, as the product's sentence goes: boot, clone, setup, solve, patch, prove, discard. It knows no GitHub: who
 * asked and where the patch goes is the caller's business, so `mayfly fix` and the worker run the same code.
 */
import { solve } from '../agent/loop.ts';
import type { AgentLimits, Attempt, Transcript } from '../agent/loop.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome, Patch } from '../job.ts';
import type { Log, Secrets } from '../log.ts';
import type { Model } from '../model/model.ts';
import type { Provider } from '../sandbox/sandbox.ts';
import { commitBaseline, fetchPatch, listChanges } from './patch.ts';
import { makePlan } from './plan.ts';
import type { Plan, Wishes } from './plan.ts';
import { dropUnchanged, judgeContent, judgeEntries } from './policy.ts';
import type { PatchLimits } from './policy.ts';
import { nothingToRun, prove } from './proof.ts';
import { timed } from './report.ts';
import type { RunEvent, RunReport } from './report.ts';
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
  readonly model: Model;
  readonly openGateway: (options: { phase: string; allow: readonly string[]; log: Log }) => Gateway;
  readonly surroundings: GuestSurroundings;
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

const ended = (outcome: FixOutcome): RunResult => ({ kind: 'ended', outcome });

/** Everything up to publishing. The report is filled in on the way, also when this throws. */
export async function runFix(request: RunRequest, tools: RunTools): Promise<RunResult> {
  const { report, onEvent, signal, log } = request;
  const snapshot = await timed(report, onEvent, 'fetch', () => request.fetch(signal));
  const made = await makePlan(snapshot, request.wishes, { registryHosts: tools.surroundings.registryHosts, signal });
  if ('problem' in made) return ended({ kind: 'refused', reason: 'settings_invalid', detail: made.problem });
  const { plan } = made;
  const open = (suffix: string): Promise<Workspace> =>
    openWorkspace({
      id: `${report.runId}-${suffix}`,
      provider: tools.provider,
      openGateway: (phase, allow) => tools.openGateway({ phase, allow, log }),
      surroundings: tools.surroundings,
      snapshot,
      plan,
      limits: tools.limits,
      report,
      onEvent,
      signal,
    });

  const worked = await work(request, tools, { snapshot, plan, open });
  if (worked.kind === 'ended') return worked;
  if (plan.test === null) report.proof = nothingToRun;
  else {
    await using second = await open('proof');
    const options = { plan, patch: worked.patch, timeoutMs: tools.limits.proofTimeoutMs, signal };
    report.proof = await timed(report, onEvent, 'prove', () => prove(second, options));
  }
  log.info({ verdict: report.proof.verdict }, 'proof finished');
  return report.proof.verdict === 'regressed' ? ended({ kind: 'refused', reason: 'regressed' }) : worked;
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
  Object.assign(report, { steps: attempt.steps, usage: attempt.usage, costUsd: attempt.costUsd });
  if (attempt.ended.kind === 'submitted') report.summary = attempt.ended.submission.summary;
  const taken = await timed(report, onEvent, 'patch', take);
  // A limit ends the run, but what was done so far stays in the report.
  if (attempt.ended.kind === 'limit') return ended({ kind: 'gave_up', limit: attempt.ended.limit });
  return taken.kind === 'ready' ? { ...taken, plan: context.plan } : taken;
}

async function askAgent(request: RunRequest, tools: RunTools, context: { plan: Plan; workspace: Workspace }): Promise<Attempt> {
  const { report, signal, log, onEvent } = request;
  const transcript = await tools.openTranscript(report.runId);
  report.transcriptFile = transcript.file;
  const { plan } = context;
  const { sandbox } = context.workspace;
  return await solve({
    task: {
      ...request.issue,
      instructions: plan.instructions,
      testCommand: plan.test,
      setup: plan.setup,
      slow: sandbox.info.isolation === 'emulation',
      allowedHosts: plan.allow.agent,
    },
    sandbox,
    model: tools.model,
    limits: tools.limits.agent,
    transcript,
    signal,
    log,
    onStep: ({ number, line }) => onEvent({ kind: 'step', number, line }),
  });
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
