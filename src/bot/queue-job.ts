/** From what was asked for to a queued run, of an issue and of a pull request alike. */
import type { GitHubRepository } from '../github/github.ts';
import { newRunId } from '../job.ts';
import type { FixJob, PinnedPull } from '../job.ts';
import type { Log } from '../log.ts';
import type { Values } from '../settings/values.ts';
import { sayQueued } from './living-comment.ts';
import { limitsOf } from './run-limits.ts';
import type { RunLimits } from './run-limits.ts';
import { subjectOf } from './memory.ts';
import type { Memory } from './memory.ts';

/** What every event says of where it comes from. */
export interface Origin {
  readonly key: string;
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: FixJob['repository'];
  readonly actor: FixJob['actor'];
  readonly receivedAt: string;
}

/** Something that was asked of a pull request. */
export interface PullEvent extends Origin {
  /** Of the pull request. */
  readonly number: number;
}

/** A pull request is both the issue, by its number and texts, and the head that the run is pinned to. */
export interface Asked extends Pick<FixJob, 'work' | 'trigger'> {
  readonly issue: FixJob['issue'];
  readonly pull: PinnedPull | null;
}

export interface RunQueue {
  addRun(job: FixJob, limits: RunLimits): Promise<boolean>;
  hasRun(key: string): Promise<boolean>;
}

export interface QueueTools {
  readonly github: Pick<GitHubRepository, 'livingComment'>;
  readonly queue: RunQueue;
  readonly memory: Pick<Memory, 'keep'>;
  /** Of the repository's settings. */
  readonly values: Values;
  readonly log: Log;
}

/** The run is queued when it resolves, now or before. */
export async function queueJob(origin: Origin, asked: Asked, { github, queue, memory, values, log }: QueueTools): Promise<void> {
  // This event was taken in before, up to here: the comment is the run's by now.
  if (await queue.hasRun(origin.key)) return log.info('run was queued before');
  const job = makeJob(origin, asked);
  // Whatever it was asked by: `/agent retry` does this again, and not what was asked before it.
  await memory.keep(subjectOf(job), 'job', job.work);
  // The comment comes first: written after the job is queued, it could overwrite what a fast worker has said by then.
  await sayQueued(github, job, null);
  const added = await queue.addRun(job, limitsOf(values));
  log.info({ runId: job.runId, kind: job.work.kind, added }, added ? 'run queued' : 'run was queued before');
}

/** Field by field: events and pull requests have more than a job may carry through Redis. */
function makeJob(origin: Origin, { issue, pull, work, trigger }: Asked): FixJob {
  const { key, deliveryId, installationId, repository, actor, receivedAt } = origin;
  return {
    version: 2,
    runId: newRunId(),
    key,
    deliveryId,
    installationId,
    repository,
    // GitHub counts characters, JavaScript half of some; a worker refuses what is longer.
    issue: { number: issue.number, title: issue.title.slice(0, 1024), body: issue.body.slice(0, 65_536) },
    pull: pull && { branch: pull.branch, headSha: pull.headSha, base: pull.base, ours: pull.ours },
    work,
    actor,
    trigger,
    requestedAt: receivedAt,
  };
}
