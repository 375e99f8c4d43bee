/** What happens between BullMQ handing over an event and taking it back. */
import { UnrecoverableError } from 'bullmq';
import type { Job } from 'bullmq';
import { FixError, asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Lane } from './lane.ts';

/** An event whose worker died is taken again this often. */
const maxLost = 3;

/** A processor for BullMQ's worker. */
export function createIntakeProcessor(lane: Lane, handle: (event: unknown, log: Log) => Promise<void>, log: Log): (job: Job) => Promise<void> {
  return async (job: Job) => {
    try {
      const event = lane.open(job.id, job.data);
      // An event that ends the process must not end the next one for ever.
      if (job.stalledCounter > maxLost) throw new FixError('internal', { details: { lost: job.stalledCounter } });
      await lane.remember(job.id ?? '');
      const { deliveryId } = event as { deliveryId?: unknown };
      await handle(event, log.child({ deliveryId, attempt: job.attemptsMade + 1 }));
    } catch (thrown) {
      const error = asFixError(thrown);
      log.error({ err: error, jobId: job.id, code: error.code, retry: error.row.retry }, 'intake failed');
      throw error.row.retry === 'later' ? new Error(error.code) : new UnrecoverableError(error.code);
    }
  };
}
