/** How often jobs are tried and how long BullMQ keeps them; what must not happen twice does not depend on the latter. */
import type { JobsOptions } from 'bullmq';

const hour = 60 * 60;
/** Finished jobs are only for people who look. */
const kept = { removeOnComplete: { age: hour }, removeOnFail: { age: 14 * 24 * hour, count: 5_000 } };

/** GitHub may be away for a while: ten attempts within 17 to 34 minutes. */
export const intakeJobOptions: JobsOptions = { ...kept, attempts: 10, backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 } };

/** A run costs money and minutes, so it is tried less often. */
export function runJobOptions(attempts: number, backoffMs: number): JobsOptions {
  return { ...kept, attempts, backoff: { type: 'exponential', delay: backoffMs, jitter: 0.5 } };
}
