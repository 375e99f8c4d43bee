/** The patch comes out of the agent's VM, and the policy judges it. */
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome, Patch } from '../job.ts';
import type { Log } from '../log.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { fetchPatch, listChanges } from './patch.ts';
import type { Plan } from './plan.ts';
import { dropDebris, dropUnchanged, judgeContent, judgeEntries } from './policy.ts';
import type { PatchLimits } from './policy.ts';
import { createProtection } from './protect.ts';
import { createBaseReader } from './prove-apart.ts';
import type { RunReport } from './report.ts';
import { findSensitive } from './sensitive.ts';

/** Where it lies, and what it is judged by. */
export interface Taking {
  /** Gets the patch. */
  readonly report: RunReport;
  readonly snapshot: Snapshot;
  readonly sandbox: Sandbox;
  readonly baselineSha: string;
  readonly limits: PatchLimits;
  /** What the settings say of protected paths. */
  readonly protect: Plan['protect'];
  /** Whether a text holds a secret of this installation. */
  readonly leaks: (text: string) => boolean;
}

export type Taken = { readonly kind: 'ready'; readonly patch: Patch } | { readonly kind: 'ended'; readonly outcome: FixOutcome };

/** What a run that a person stops may still take for its patch. */
const stopGraceMs = 20_000;

/** Throws `patch_unreadable`, `sandbox_lost`. */
export async function takePatch({ report, snapshot, sandbox, baselineSha, limits, protect, leaks }: Taking, signal: AbortSignal): Promise<Taken> {
  const tooLarge: Taken = { kind: 'ended', outcome: { kind: 'refused', reason: 'patch_too_large' } };
  const listed = await listChanges(sandbox, baselineSha, signal);
  if (listed === 'too_large') return tooLarge;
  const base = await snapshot.tree(signal);
  const entries = dropDebris(dropUnchanged(listed, base), base);
  if (entries.length === 0) return { kind: 'ended', outcome: { kind: 'no_change' } };
  const protection = createProtection(protect);
  const allowed = judgeEntries(entries, base, limits, protection);
  if (!allowed.ok) return { kind: 'ended', outcome: { kind: 'refused', reason: allowed.reason, detail: allowed.detail } };
  const patch = await fetchPatch(sandbox, entries, { baseSha: snapshot.sha, maxBytes: limits.maxBytes, signal });
  if (patch === 'too_large') return tooLarge;
  const clean = judgeContent(patch, leaks);
  if (!clean.ok) return { kind: 'ended', outcome: { kind: 'refused', reason: clean.reason, detail: clean.detail } };
  report.patch = patch;
  report.sensitive = await findSensitive(patch, { tree: base, read: createBaseReader(snapshot, signal) }, protection);
  // A proof of an earlier round says nothing of this one.
  report.proof = null;
  return { kind: 'ready', patch };
}

/** The run is over, but its VM is still there: what was done so far comes out under a short signal of its own. Never throws. */
export async function takeAtStop(taking: Taking, log: Log): Promise<void> {
  const { report } = taking;
  try {
    const taken = await takePatch(taking, AbortSignal.timeout(stopGraceMs));
    if (taken.kind === 'ended' && taken.outcome.kind === 'refused') report.notes.push(`The work so far was not kept (${taken.outcome.reason}).`);
  } catch (err) {
    log.warn({ err }, 'the work so far could not be taken');
    report.notes.push('The work so far could not be taken out of the machine in time.');
  }
}
