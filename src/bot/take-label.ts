/** A label is a command that was taken: whatever comes of it, the next one starts with labelling again. */
import { asFixError } from '../errors.ts';
import type { TalkContext } from './work.ts';

/** Never rejects. A run that is stopped before leaves the label where it is. */
export async function takeLabel({ job, github, attempt }: Pick<TalkContext, 'job' | 'github' | 'attempt'>): Promise<void> {
  if (job.trigger.kind !== 'label') return;
  await github.removeLabel(job.issue.number, job.trigger.label).catch((thrown: unknown) => {
    if (!attempt.signal.aborted) attempt.log.warn({ err: asFixError(thrown) }, 'the label could not be removed');
  });
}
