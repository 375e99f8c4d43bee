/** A run as it comes out of Redis: signed by us, then parsed, then trusted. */
import type { Job } from 'bullmq';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { FixJob, isNewer } from '../job.ts';
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

const JobOfVersion1 = z.looseObject({
  version: z.literal(1),
  trigger: z.discriminatedUnion('kind', [z.looseObject({ kind: z.literal('label') }), z.looseObject({ kind: z.literal('comment'), instruction: z.string() })]),
});

/** What waits while Mayfly is updated is worked on all the same. The version before knew issues only, and only how to fix them. */
function upgrade(payload: unknown): unknown {
  const { data } = JobOfVersion1.safeParse(payload);
  if (data === undefined) return payload;
  const { trigger } = data;
  const instruction = trigger.kind === 'comment' && trigger.instruction.trim() !== '' ? trigger.instruction : null;
  const work = { kind: 'fix', instruction, resume: null, plan: null };
  return { ...data, version: 2, pull: null, work, trigger: trigger.kind === 'comment' ? { ...trigger, on: 'issue' } : trigger };
}

const readVersion = FixJob.shape.version.value;

/** Throws `job_newer`; `job_invalid` for what we did not sign, or of a version older than the one before. */
export function openRun(lane: Lane, { id, data }: Pick<Job, 'id' | 'data'>): { readonly job: FixJob; readonly limits: RunLimits } {
  const payload = lane.open(id, data);
  if (isNewer(payload, readVersion)) throw new FixError('job_newer', { details: { jobId: id } });
  const parsed = QueuedRun.safeParse(upgrade(payload));
  if (!parsed.success) throw new FixError('job_invalid', { cause: parsed.error, details: { jobId: id } });
  const { limits, ...job } = parsed.data;
  return { job, limits };
}

/** Also of a job of a newer version. Null for what we did not sign. */
export function factsOf(lane: Lane, { id, data }: Pick<Job, 'id' | 'data'>): Pick<FixJob, 'runId' | 'requestedAt'> | null {
  try {
    return FixJob.pick({ runId: true, requestedAt: true }).parse(lane.open(id, data));
  } catch {
    return null;
  }
}
