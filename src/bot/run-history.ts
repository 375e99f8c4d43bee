/**
 * What the living comment remembers of all runs of its issue, hidden in itself: GitHub keeps it, whichever worker writes
 * next. Whoever may edit comments may write here, so it is parsed strictly, and holds only ids, words of a list and numbers.
 */
import { z } from 'zod';

export const runStates = [
  'queued',
  'running',
  'waiting for you',
  'planned',
  'done',
  'no change',
  'gave up',
  'stopped',
  'refused',
  'failed',
  /** Over, with an end that nobody wrote down. */
  'ended',
] as const;
export type RunState = (typeof runStates)[number];

const RunEntry = z.strictObject({
  id: z.string().regex(/^r[0-9a-z]{15}$/),
  state: z.enum(runStates),
  /** When it was asked for. */
  at: z.iso.datetime(),
  /** How long it took; null before its end. */
  ms: z.number().int().min(0).max(1e10).nullable(),
  pull: z.number().int().positive().max(1e10).nullable(),
  costUsd: z.number().min(0).max(1e9).nullable(),
});
export type RunEntry = z.infer<typeof RunEntry>;

/** Ended runs that are shown, beside the one that the comment is about. */
const maxEnded = 10;
/** With those that wait. */
const maxEntries = 40;
const Stored = z.array(RunEntry).max(maxEntries);

export const isLive = ({ state }: Pick<RunEntry, 'state'>): boolean => state === 'queued' || state === 'running' || state === 'waiting for you';

/** The newest first. Nothing when it cannot be read: then only history is lost. */
export function readRuns(comment: string): readonly RunEntry[] {
  const text = /^<!-- mayfly:runs (\[.{0,20000}\]) -->$/m.exec(comment)?.[1];
  try {
    return text === undefined ? [] : Stored.parse(JSON.parse(text));
  } catch {
    return [];
  }
}

export const hiddenRuns = (runs: readonly RunEntry[]): string => `<!-- mayfly:runs ${JSON.stringify(runs)} -->`;

/**
 * With `own` brought up to date. A worker that begins a run closes the older ones that look alive: their last word was
 * lost, or they will say again that they live. A plan waits for nobody any more once something newer was asked for.
 */
export function withRun(before: readonly RunEntry[], own: RunEntry): readonly RunEntry[] {
  const others = before.filter(({ id }) => id !== own.id).map((run) => (run.id < own.id ? settle(run, own) : run));
  const all = [...others, own].toSorted((one, other) => (one.id < other.id ? 1 : -1));
  const ended = all.filter((run) => !isLive(run) && run.id !== own.id).slice(0, maxEnded);
  return all.filter((run) => run.id === own.id || isLive(run) || ended.includes(run)).slice(0, maxEntries);
}

function settle(older: RunEntry, { state }: RunEntry): RunEntry {
  if (older.state === 'waiting for you') return { ...older, state: 'planned' };
  return state === 'running' && isLive(older) ? { ...older, state: 'ended' } : older;
}
