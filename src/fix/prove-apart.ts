/** The proof in a VM of its own: opened for it, from base and setup only, and thrown away after it. */
import type { Setback } from '../agent/feedback.ts';
import { asFixError } from '../errors.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { Patch, Proof, TestRun } from '../job.ts';
import type { Log } from '../log.ts';
import type { ReadBase } from '../proof/base-rules.ts';
import { nothingToRun, prove } from '../proof/prove.ts';
import type { Plan } from './plan.ts';
import type { Workspace } from './workspace.ts';

export interface ProofPlace {
  readonly patch: Patch;
  readonly test: Plan['test'];
  readonly setup: readonly string[];
  readonly allow: readonly string[];
  readonly snapshot: Snapshot;
  readonly timeoutMs: number;
  /** A fresh workspace, each time. */
  readonly open: () => Promise<Workspace>;
  readonly onRun: (tree: string, run: TestRun) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

const maxBaseFileBytes = 4 * 2 ** 20;
const attempts = 2;
/** By its words: running setup once too often costs time, once too seldom judges the build of another tree. */
const building = /\b(?:build|compile|bundle|make|cmake|tsc|rollup|webpack|esbuild|vite|prepare)\b/;

/** Files of the base commit as text; null for what is not there or larger than 4 MiB. */
export function createBaseReader(snapshot: Snapshot, signal: AbortSignal): ReadBase {
  return async (path) => (await snapshot.readFile(path, maxBaseFileBytes, signal))?.toString('utf8') ?? null;
}

/** The patch is worth more than its proof: one that cannot be made is said to be so, as a verdict. Throws only when the run was stopped. */
export async function proveApart(place: ProofPlace): Promise<Proof> {
  if (place.test === null) return nothingToRun;
  for (let attempt = 1; ; attempt++) {
    try {
      return await proveOnce(place, place.test);
    } catch (thrown) {
      place.signal.throwIfAborted();
      const error = asFixError(thrown);
      place.log.warn({ err: error, code: error.code, attempt }, 'proof could not be made');
      if (error.row.retry === 'later' && attempt < attempts) continue;
      return { ...nothingToRun, verdict: 'could_not_run', reason: `the proof could not be made (${error.code})`, source: place.test.source };
    }
  }
}

async function proveOnce(place: ProofPlace, { command, source }: NonNullable<Plan['test']>): Promise<Proof> {
  const { patch, snapshot, timeoutMs, onRun, signal } = place;
  await using workspace = await place.open();
  const { sandbox, gateway } = workspace;
  gateway.enter('proof', place.allow);
  return await workspace.timed('prove', () =>
    prove(sandbox, {
      command,
      source,
      patch,
      readBase: createBaseReader(snapshot, signal),
      setupBuilds: place.setup.some((line) => building.test(line)),
      setUpAgain: workspace.setUpAgain,
      timeoutMs,
      onRun,
      signal,
    }),
  );
}

/** The proof as the agent is told of it. */
export function asSetback({ reason, base, patched, broken, findings }: Proof): Setback {
  return {
    command: patched?.command ?? base?.command ?? '',
    reason,
    baseExitCode: base?.exitCode ?? null,
    patchedExitCode: patched?.exitCode ?? null,
    broken,
    output: patched?.output ?? '',
    remarks: findings,
  };
}
