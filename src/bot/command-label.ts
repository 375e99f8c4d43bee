/** The label that a run was asked for with. It is a command that was taken: whatever comes of it, the next one starts with labelling again. */
import { asFixError } from '../errors.ts';
import type { GitHubRepository } from '../github/github.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';

export interface CommandLabel {
  /** Takes it off; never rejects. */
  take(github: Pick<GitHubRepository, 'removeLabel'>): Promise<void>;
  /** It was to be taken off, and is still there: GitHub did not answer, or the run was stopped before. */
  readonly isLeft: boolean;
}

export function createCommandLabel({ issue, trigger }: Pick<FixJob, 'issue' | 'trigger'>, log: Log): CommandLabel {
  let isLeft = false;
  return {
    get isLeft() {
      return isLeft;
    },
    async take(github) {
      if (trigger.kind !== 'label') return;
      isLeft = true;
      try {
        await github.removeLabel(issue.number, trigger.label);
        isLeft = false;
      } catch (thrown) {
        log.warn({ err: asFixError(thrown) }, 'the label could not be removed');
      }
    },
  };
}
