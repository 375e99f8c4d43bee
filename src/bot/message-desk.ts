/**
 * Between people and the agent of one run: what they say is looked for every few seconds, so that it can be shown as
 * waiting, and handed over before the agent's next step.
 */

const everyMs = 3_000;

/** From a person with write access, for the agent. */
export interface PersonMessage {
  /** Of the comment. */
  readonly id: number;
  readonly login: string;
  readonly text: string;
}

export interface MessageDesk {
  /** What has come since the last call. */
  take(step: number): Promise<readonly PersonMessage[]>;
  /** Ends it: what came and was never taken. */
  close(): Promise<readonly PersonMessage[]>;
}

/** `look` never throws. `onMessage` is told when one came, and again when it is given to the agent. */
export function openMessageDesk(
  look: () => Promise<readonly PersonMessage[]>,
  onMessage: (message: PersonMessage, givenAtStep: number | null) => void,
): MessageDesk {
  const waiting: PersonMessage[] = [];
  let looking: Promise<void> | null = null;
  const lookOnce = async (): Promise<void> => {
    for (const message of await look()) {
      waiting.push(message);
      onMessage(message, null);
    }
  };
  // One at a time: an answer that takes long is not asked for twice.
  const collect = (): Promise<void> => (looking ??= lookOnce().finally(() => (looking = null)));
  const timer = setInterval(() => void collect(), everyMs);
  return {
    async take(step) {
      await collect();
      const taken = waiting.splice(0);
      for (const message of taken) onMessage(message, step);
      return taken;
    },
    async close() {
      clearInterval(timer);
      await collect();
      return waiting.splice(0);
    },
  };
}
