/** The settings in a run: read from the base commit where nobody has read them before, and laid over its limits. */
import { FixError } from '../errors.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { FixOutcome } from '../job.ts';
import type { SandboxInfo } from '../sandbox/sandbox.ts';
import type { Operator } from '../settings/operator.ts';
import { formatProblem } from '../settings/problem.ts';
import type { Problem } from '../settings/problem.ts';
import { readSettings } from '../settings/read.ts';
import type { FoundFile } from '../settings/read.ts';
import type { Resolved } from '../settings/resolve.ts';
import { isolations } from '../settings/schema.ts';
import type { Values } from '../settings/values.ts';
import type { RunLimits } from './run-request.ts';

export interface SettingsCommits {
  readonly snapshot: Snapshot;
  /** Of the repository that others extend; null where nobody named one. */
  readonly organization: { readonly name: string; readonly snapshot: Snapshot } | null;
}

/** From commits on this host, for a repository without GitHub. */
export async function readBaseSettings({ snapshot, organization }: SettingsCommits, operator: Operator, signal: AbortSignal): Promise<Resolved> {
  const shared = organization && { name: organization.name, read: createReader(organization.snapshot, signal) };
  return await readSettings({ repository: createReader(snapshot, signal), organization: shared }, operator);
}

const createReader =
  (snapshot: Snapshot, signal: AbortSignal) =>
  async (path: string, maxBytes: number): Promise<FoundFile> => {
    const entry = (await snapshot.tree(signal)).get(path);
    if (!entry) return null;
    if (!entry.mode.startsWith('100')) return { unreadable: 'not_a_file' };
    if (entry.size === null || entry.size > maxBytes) return { unreadable: 'too_large' };
    const bytes = await snapshot.readFile(path, maxBytes, signal);
    if (!bytes) throw new FixError('repository_unreachable', { details: { path } });
    return { text: bytes.toString('utf8') };
  };

/** All problems in one line. */
export function refuseBroken(problems: readonly Problem[]): FixOutcome {
  const [first, ...more] = problems.map(formatProblem);
  return { kind: 'refused', reason: 'settings_invalid', detail: `${first}${more.length > 0 ? ` (and ${more.length} more)` : ''}` };
}

/** What the settings rule out before any VM boots; null when they rule out nothing. */
export function refuseBySettings(values: Values, isolation: SandboxInfo['isolation']): FixOutcome | null {
  if (!values.enabled) return { kind: 'refused', reason: 'disabled' };
  const least = values['sandbox.isolation'];
  if (isolations.indexOf(isolation) >= isolations.indexOf(least)) return null;
  return { kind: 'refused', reason: 'isolation', detail: `sandbox.isolation: ${least}, here: ${isolation}` };
}

const minuteMs = 60_000;
/** When the agent is asked to wrap up. */
const softShare = 0.75;

/** The limits of a run: those of this process, or less. */
export function narrowLimits(limits: RunLimits, values: Values): RunLimits {
  const hardTimeMs = Math.min(limits.agent.hardTimeMs, values['limits.minutes'] * minuteMs);
  return {
    ...limits,
    agent: {
      ...limits.agent,
      steps: Math.min(limits.agent.steps, values['limits.steps']),
      tokens: Math.min(limits.agent.tokens, values['limits.tokens']),
      costUsd: Math.min(limits.agent.costUsd, values['limits.costUsd']),
      commandTimeoutMs: Math.min(limits.agent.commandTimeoutMs, values['limits.commandSeconds'] * 1000),
      softTimeMs: hardTimeMs < limits.agent.hardTimeMs ? Math.min(limits.agent.softTimeMs, hardTimeMs * softShare) : limits.agent.softTimeMs,
      hardTimeMs,
    },
    setupTimeoutMs: Math.min(limits.setupTimeoutMs, values['limits.setupMinutes'] * minuteMs),
    proofTimeoutMs: Math.min(limits.proofTimeoutMs, values['limits.proofMinutes'] * minuteMs),
  };
}
