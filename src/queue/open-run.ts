/** A run as it comes out of Redis: signed by us, then parsed, then trusted. */
import type { Job } from 'bullmq';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { FixJob } from '../job.ts';
import type { Lane } from './lane.ts';

const count = z.number().int().positive().optional();
/** What a repository allows itself; the operator's limits hold beside them. */
export const RunLimits = z.object({
  /** Runs at once. */
  perRepository: count,
  perInstallation: count,
  /** Runs that begin. A run that is tried again counts once. */
  perUserAndHour: count,
  perRepositoryAndDay: count,
});
export type RunLimits = z.infer<typeof RunLimits>;
/** The operator's: each has one. */
export type AllLimits = Readonly<Record<keyof RunLimits, number>>;

/** What lies in the queue: a job and its limits, under one signature. */
const QueuedRun = FixJob.extend({ limits: RunLimits.default({}) });

/** Throws `job_invalid`, also for a job of another version of Mayfly. */
export function openRun(lane: Lane, { id, data }: Pick<Job, 'id' | 'data'>): { readonly job: FixJob; readonly limits: RunLimits } {
  const parsed = QueuedRun.safeParse(lane.open(id, data));
  if (!parsed.success) throw new FixError('job_invalid', { cause: parsed.error, details: { jobId: id } });
  const { limits, ...job } = parsed.data;
  return { job, limits };
}
