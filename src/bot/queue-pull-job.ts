/** From something that was asked of a pull request to a queued run, pinned to its head. */
import type { GitHubRepository, PullState } from '../github/github.ts';
import { newRunId } from '../job.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { Values } from '../settings/values.ts';
import { sayQueued } from './living-comment.ts';
import { limitsOf } from './run-limits.ts';
import type { RunLimits } from './run-limits.ts';
import { subjectOf } from './memory.ts';
import type { Memory } from './memory.ts';

/** What every event says of where it comes from. */
export interface PullEvent {
  readonly key: string;
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: FixJob['repository'];
  /** Number of the pull request. */
  readonly number: number;
  readonly actor: FixJob['actor'];
  readonly receivedAt: string;
}

export interface RunQueue {
  addRun(job: FixJob, limits: RunLimits): Promise<boolean>;
  hasRun(key: string): Promise<boolean>;
}

export interface PullTools {
  readonly github: GitHubRepository;
  readonly queue: RunQueue;
  readonly memory: Pick<Memory, 'keep'>;
  /** Of the repository's settings. */
  readonly values: Values;
  readonly log: Log;
}

/** The run is queued when it resolves, now or before. */
export async function queuePullJob(
  event: PullEvent,
  pull: PullState,
  { work, trigger }: Pick<FixJob, 'work' | 'trigger'>,
  { github, queue, memory, values, log }: PullTools,
): Promise<void> {
  // This event was taken in before, up to here: the comment is the run's by now.
  if (await queue.hasRun(event.key)) return log.info('run was queued before');
  const job = makeJob(event, pull, { work, trigger });
  // Whatever it was asked by: `/agent retry` does this again, and not what was asked before it.
  await memory.keep(subjectOf(job), 'job', work);
  // The comment comes first: written after the job is queued, it could overwrite what a fast worker has said by then.
  await sayQueued(github, job, null);
  const added = await queue.addRun(job, limitsOf(values));
  log.info({ runId: job.runId, added, work: work.kind }, added ? 'run queued' : 'run was queued before');
}

function makeJob(event: PullEvent, pull: PullState, asked: Pick<FixJob, 'work' | 'trigger'>): FixJob {
  const { key, deliveryId, installationId, repository, actor, receivedAt: requestedAt } = event;
  const { number, title, body, branch, headSha, base, ours } = pull;
  return {
    version: 2,
    runId: newRunId(),
    key,
    deliveryId,
    installationId,
    repository,
    issue: { number, title: title.slice(0, 1024), body: body.slice(0, 65_536) },
    pull: { branch, headSha, base, ours },
    ...asked,
    actor,
    requestedAt,
  };
}
