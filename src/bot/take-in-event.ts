/** The door of the worker: which part takes which event in. */
import type { Log } from '../log.ts';
import { takeInChecks } from './checks-intake.ts';
import type { ChecksEvent } from './checks-intake.ts';
import { takeInPush } from './conflict-intake.ts';
import type { PushEvent } from './conflict-intake.ts';
import { takeIn } from './intake.ts';
import { takeInReview } from './review-intake.ts';
import type { ReviewEvent, ReviewTools } from './review-intake.ts';
import type { Intake, IntakeTools } from './scene.ts';
import { takeInSettings } from './settings-events.ts';
import type { ProposalEvent } from './settings-events.ts';

/** Idempotent: told twice, it does once. */
export async function takeInEvent(
  event: Intake | ReviewEvent | ChecksEvent | ProposalEvent | PushEvent,
  tools: IntakeTools & ReviewTools,
  log: Log,
): Promise<void> {
  switch (event.kind) {
    case 'review':
    case 'remark':
    case 'quiet':
      return await inTurnOf(event.number, event, tools, () => takeInReview(event, tools, log));
    case 'checks':
      return await takeInChecks(event, tools, log);
    case 'pushed':
      if (event.settings) await takeInSettings(event, tools, log);
      return await takeInPush(event, tools, log);
    case 'settings_proposed':
      return await takeInSettings(event, tools, log);
    default:
      return await inTurnOf(event.issue.number, event, tools, () => takeIn(event, tools, log));
  }
}

/** One event of an issue after the other, in their order: a stop that comes while a trigger is taken in has to find its run. */
async function inTurnOf(
  issue: number,
  { repository }: Pick<Intake, 'repository'>,
  { inTurn, signal }: Pick<IntakeTools, 'inTurn' | 'signal'>,
  work: () => Promise<void>,
): Promise<void> {
  await inTurn(`intake:${repository.id}:${issue}`, signal, work);
}
