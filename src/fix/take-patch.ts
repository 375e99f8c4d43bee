/** The patch of one round: listed, judged, fetched, judged again. */
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome, Patch } from '../job.ts';
import { fetchPatch, listChanges } from './patch.ts';
import type { Plan } from './plan.ts';
import { dropDebris, dropUnchanged, judgeContent, judgeEntries } from './policy.ts';
import type { PatchLimits } from './policy.ts';
import { createProtection } from './protect.ts';
import { createBaseReader } from './prove-apart.ts';
import type { RunReport } from './report.ts';
import { findSensitive } from './sensitive.ts';
import type { Workspace } from './workspace.ts';

export type Taken = { readonly kind: 'ready'; readonly patch: Patch } | { readonly kind: 'ended'; readonly outcome: FixOutcome };

interface TakeOptions {
  readonly snapshot: Snapshot;
  readonly plan: Plan;
  readonly workspace: Pick<Workspace, 'sandbox'>;
  readonly baselineSha: string;
  readonly report: RunReport;
  readonly limits: PatchLimits;
  /** Whether a text holds a secret of this process. */
  readonly leaks: (text: string) => boolean;
  readonly signal: AbortSignal;
}

/** What has changed since the baseline, or why it may not leave. The report keeps the patch. */
export async function takePatch({ report, limits, leaks, signal, ...context }: TakeOptions): Promise<Taken> {
  const tooLarge: Taken = { kind: 'ended', outcome: { kind: 'refused', reason: 'patch_too_large' } };
  const { sandbox } = context.workspace;
  const listed = await listChanges(sandbox, context.baselineSha, signal);
  if (listed === 'too_large') return tooLarge;
  const base = await context.snapshot.tree(signal);
  const entries = dropDebris(dropUnchanged(listed, base), base);
  if (entries.length === 0) return { kind: 'ended', outcome: { kind: 'no_change' } };
  const protection = createProtection(context.plan.protect);
  const allowed = judgeEntries(entries, base, limits, protection);
  if (!allowed.ok) return { kind: 'ended', outcome: { kind: 'refused', reason: allowed.reason, detail: allowed.detail } };
  const patch = await fetchPatch(sandbox, entries, { baseSha: context.snapshot.sha, maxBytes: limits.maxBytes, signal });
  if (patch === 'too_large') return tooLarge;
  const clean = judgeContent(patch, leaks);
  if (!clean.ok) return { kind: 'ended', outcome: { kind: 'refused', reason: clean.reason, detail: clean.detail } };
  report.patch = patch;
  report.sensitive = await findSensitive(patch, { tree: base, read: createBaseReader(context.snapshot, signal) }, protection);
  // A proof of an earlier round says nothing of this one.
  report.proof = null;
  return { kind: 'ready', patch };
}
