/** A run as it comes out of Redis: signed by us, then parsed, then trusted. */
import type { Job } from 'bullmq';
import { FixError } from '../errors.ts';
import { FixJob } from '../job.ts';
import type { Lane } from './lane.ts';

/** Throws `job_invalid`, also for a job of another version of Mayfly. */
export function openRun(lane: Lane, job: Job): FixJob {
  const parsed = FixJob.safeParse(lane.open(job.id, job.data));
  if (!parsed.success) throw new FixError('job_invalid', { cause: parsed.error, details: { jobId: job.id } });
  return parsed.data;
}
