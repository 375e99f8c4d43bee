/** Which runs there are for an issue or pull request. */
import type { Redis } from 'ioredis';
import type { FixJob } from '../job.ts';
import type { Lane } from './lane.ts';

const keptSeconds = 14 * 24 * 60 * 60;

/** An issue or a pull request: they share their numbers. */
export interface Subject {
  readonly repositoryId: number;
  readonly issue: number;
}

export interface Subjects {
  /** Before a job is added. */
  note(job: FixJob): Promise<void>;
  forget(jobId: string, job: FixJob): Promise<void>;
  /** Also of runs that ended when their worker died, or were never queued. */
  jobsOf(subject: Subject): Promise<readonly string[]>;
}

export function createSubjects(redis: Redis, lane: Lane): Subjects {
  const keyOf = ({ repositoryId, issue }: Subject): string => `${lane.prefix}:issue:${repositoryId}:${issue}`;
  const keyOfJob = (job: FixJob): string => keyOf({ repositoryId: job.repository.id, issue: job.issue.number });
  return {
    async note(job) {
      const key = keyOfJob(job);
      await redis.multi().sadd(key, lane.jobId(job.key)).expire(key, keptSeconds).exec();
    },
    forget: async (jobId, job) => void (await redis.srem(keyOfJob(job), jobId)),
    jobsOf: (subject) => redis.smembers(keyOf(subject)),
  };
}
