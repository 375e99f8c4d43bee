/** What one look at this host is, and how all of them are taken at once, under one deadline. */
import { FixError } from '../errors.ts';

/** `not_checked`: it could not be looked at, or what it is about has not been configured. */
export type Status = 'ok' | 'warning' | 'problem' | 'not_checked';
export type Group = 'host' | 'sandbox' | 'redis' | 'github' | 'model';

export interface Verdict {
  readonly status: Status;
  /** What was seen, in a few words. */
  readonly found: string;
  /** The one command or setting that helps; null where nothing has to be done. */
  readonly advice: string | null;
}

export interface Finding extends Verdict {
  readonly group: Group;
  readonly name: string;
}

export interface Check {
  readonly group: Group;
  readonly name: string;
  /** May throw: that becomes `not_checked` with the reason. */
  readonly look: (signal: AbortSignal) => Promise<Verdict>;
  /** Where that of all looks is too short. */
  readonly deadlineMs?: number;
}

export const ok = (found: string): Verdict => ({ status: 'ok', found, advice: null });
export const warning = (found: string, advice: string | null): Verdict => ({ status: 'warning', found, advice });
export const problem = (found: string, advice: string): Verdict => ({ status: 'problem', found, advice });
export const notChecked = (found: string, advice: string | null = null): Verdict => ({ status: 'not_checked', found, advice });

/** Takes every look at once; none is waited for longer than its deadline. Throws only what aborted `signal`. */
export async function examine(checks: readonly Check[], options: { signal: AbortSignal; deadlineMs: number }): Promise<Finding[]> {
  // One signal for all of them: what several need is read once.
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  try {
    const findings = await Promise.all(
      checks.map(async ({ group, name, look, deadlineMs = options.deadlineMs }): Promise<Finding> => {
        const late = notChecked(`no answer within ${deadlineMs / 1000} s`);
        return { group, name, ...(await within(deadlineMs, { look: lookSafely(look, signal), late, signal: options.signal })) };
      }),
    );
    options.signal.throwIfAborted();
    return findings;
  } finally {
    // Ends what nobody waits for any more, so that the process can end.
    over.abort();
  }
}

async function lookSafely(look: Check['look'], signal: AbortSignal): Promise<Verdict> {
  try {
    return await look(signal);
  } catch (thrown) {
    return notChecked(reasonOf(thrown));
  }
}

/** Whatever the look waits for, also where it does not listen to the signal. */
async function within(deadlineMs: number, { look, late, signal }: { look: Promise<Verdict>; late: Verdict; signal: AbortSignal }): Promise<Verdict> {
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  const stop = (): void => resolve(late);
  const timer = setTimeout(stop, deadlineMs);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, look]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/** Why something did not work, as one line: the innermost cause knows best, and an error of ours what to do about it. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'it failed for an unknown reason';
  if (thrown instanceof FixError) {
    const { reason, missing, message } = thrown.details;
    const detail = [reason, missing, message].find((value) => typeof value === 'string');
    return detail === undefined ? thrown.message : `${thrown.message} (${detail})`;
  }
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return reasonOf(thrown.errors[0]);
  return thrown.cause instanceof Error ? reasonOf(thrown.cause) : thrown.message;
}

/** Calls `read` once, however many looks need what it gives. */
export function once<T>(read: (signal: AbortSignal) => Promise<T>): (signal: AbortSignal) => Promise<T> {
  let answer: Promise<T> | null = null;
  return (signal) => (answer ??= read(signal));
}
