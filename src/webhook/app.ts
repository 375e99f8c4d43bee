/** The Probot function: every event we listen to is decided on and, when wanted, queued. It asks GitHub nothing. */
import type { AsyncLocalStorage } from 'node:async_hooks';
import type { Probot } from 'probot';
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { decide, eventNames } from './decide.ts';
import type { Delivery, TriggerPolicy } from './decide.ts';
import type { IntakeEvent } from './event.ts';

export interface AppOptions {
  readonly policy: TriggerPolicy;
  /** Durable when it returns; has a deadline of its own that is well under GitHub's 10 s. */
  readonly enqueue: (event: IntakeEvent) => Promise<'queued' | 'duplicate'>;
  readonly log: Log;
}

/** What Probot's context does not carry: facts of the request that is being handled. */
export type RequestFacts = Pick<Delivery, 'bodySha256' | 'receivedAt'>;

/**
 * The handler never touches `context.octokit`: that is the way to a token.
 * What it throws carries the status that the middleware answers with, so that GitHub shows the failure and the
 * delivery can be asked for again; any other error would be answered as 500.
 */
export function createApp(options: AppOptions, requestFacts: AsyncLocalStorage<RequestFacts>): (probot: Probot) => void {
  return (probot) => {
    probot.on(eventNames, async ({ name, id, payload }) => {
      const facts = requestFacts.getStore();
      if (!facts) throw new Error('a delivery came from elsewhere than the receiver');
      await handle({ event: name, deliveryId: id, payload, ...facts }, options);
    });
  };
}

async function handle(delivery: Delivery, { policy, enqueue, log }: AppOptions): Promise<void> {
  const decision = decide(delivery, policy);
  const { deliveryId } = delivery;
  if ('ignore' in decision) {
    log.debug({ deliveryId, reason: decision.ignore }, 'delivery ignored');
    return;
  }
  const { kind, repository } = decision.intake;
  const issue = subjectNumber(decision.intake);
  try {
    const result = await enqueue(decision.intake);
    log.info({ deliveryId, kind, repositoryId: repository.id, issue, result }, 'delivery accepted');
  } catch (thrown) {
    log.error({ err: asFixError(thrown), deliveryId, kind }, 'delivery could not be queued');
    // A new error: Octokit attaches the payload to whatever is thrown here.
    throw Object.assign(new Error('This delivery could not be queued. Redeliver it later.'), { status: 503 });
  }
}

/** Of the issue or pull request that it is about. */
function subjectNumber(event: IntakeEvent): number | undefined {
  switch (event.kind) {
    case 'labeled':
    case 'unlabeled':
    case 'command':
    case 'closed':
      return event.issue.number;
    case 'settings_proposed':
      return event.pull.number;
    case 'pushed':
      return undefined;
    default:
      return event.number;
  }
}
