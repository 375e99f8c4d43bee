/** Checks that failed on the head of a pull request. */
import type { Log } from '../log.ts';
import type { PullEvent } from './queue-pull-job.ts';
import type { ReviewTools } from './review-intake.ts';

export interface ChecksEvent extends PullEvent {
  readonly kind: 'checks';
  readonly headSha: string;
}

export async function takeInChecks(_event: ChecksEvent, _tools: ReviewTools, log: Log): Promise<void> {
  log.info('later');
}
