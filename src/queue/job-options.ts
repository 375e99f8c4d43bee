/** How often jobs are tried and how long BullMQ keeps them; what must not happen twice does not depend on the latter. */
import type { JobsOptions } from 'bullmq';

const hour = 60 * 60;
/** Finished jobs are only for people who look. */
const kept = { removeOnComplete: { age: hour }, removeOnFail: { age: 14 * 24 * hour, count: 5_000 } };

/** Until the ring promotes it. BullMQ orders delayed jobs by a number that ends in 2039; one that gets out is put back. */
export const parkedMs = 365 * 24 * hour * 1000;

const intakePauseStartMs = 2_000;
const longestIntakePauseMs = 15 * 60_000;
const intakeAttempts = 105;

/** GitHub may be away for hours, and sends an event once: it is tried for a day. How long it pauses says `intakePauseMs`. */
export const intakeJobOptions: JobsOptions = { ...kept, attempts: intakeAttempts, backoff: { type: 'custom' } };

/** A pause that grows up to a quarter of an hour; one more attempt for each gives a day, give or take a quarter. */
export function intakePauseMs(attemptsMade: number): number {
  return Math.ceil(Math.min(longestIntakePauseMs, intakePauseStartMs * 2 ** (attemptsMade - 1)) * (0.75 + Math.random() / 2));
}

/** A run costs money and minutes, so it is tried less often. How long it pauses knows the ring; for BullMQ it is parked. */
export function runJobOptions(attempts: number): JobsOptions {
  return { ...kept, attempts, delay: parkedMs, backoff: { type: 'fixed', delay: parkedMs } };
}

/** A pause that grows, and that no two runs share. */
export function retryPauseMs(backoffMs: number, attemptsMade: number): number {
  return Math.ceil(backoffMs * 2 ** attemptsMade * (0.5 + Math.random() / 2));
}

/** How often a run is put off because GitHub does not answer, without an attempt being counted: for about a day. */
export const maxOutages = 50;
const longestOutagePauseMs = 30 * 60_000;
const longestLimitPauseMs = 65 * 60_000;
const limitSlackMs = 10_000;

/** From a minute to half an hour, or as long as GitHub says itself; its limits begin anew every hour. */
export function outagePauseMs(backoffMs: number, outages: number, waitMs: number | null): number {
  if (waitMs !== null) return Math.ceil(Math.min(waitMs, longestLimitPauseMs) + Math.random() * limitSlackMs);
  return Math.ceil(Math.min(longestOutagePauseMs, 6 * backoffMs * 2 ** (outages - 1)) * (1 + Math.random() / 4));
}
