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
  /** Words that an earlier run did not hear: as if they had come to this one. */
  put(messages: readonly PersonMessage[]): void;
  /** What has come since the last call. */
  take(step: number): Promise<readonly PersonMessage[]>;
  /** Looks no more. What came goes to the next attempt, or is lost with the run. */
  stop(): void;
  /**
   * Ends it: from here on, nobody can say anything to the run. What came and was never read, because nobody took it, or
   * because no model answered the step that it was taken for.
   */
  close(answeredSteps: number): Promise<readonly PersonMessage[]>;
  /** Whether something was put. */
  readonly hasEarlier: boolean;
}

/** Of one attempt; neither ever throws. */
export interface Mailbox {
  readonly takeMessages: () => Promise<readonly PersonMessage[]>;
  readonly closeMessages: () => Promise<void>;
}

/** `onMessage` is told when one came, and again when it is given to the agent. */
export function openMessageDesk(
  { takeMessages, closeMessages }: Mailbox,
  onMessage: (message: PersonMessage, givenAtStep: number | null) => void,
): MessageDesk {
  const waiting: PersonMessage[] = [];
  const given: { readonly message: PersonMessage; readonly step: number }[] = [];
  let hasEarlier = false;
  let looking: Promise<void> | null = null;
  const note = (messages: readonly PersonMessage[]): void => {
    waiting.push(...messages);
    for (const message of messages) onMessage(message, null);
  };
  // One at a time: an answer that takes long is not asked for twice.
  const collect = (): Promise<void> =>
    (looking ??= takeMessages()
      .then(note)
      .finally(() => (looking = null)));
  const timer = setInterval(() => void collect(), everyMs);
  return {
    put(messages) {
      hasEarlier ||= messages.length > 0;
      note(messages);
    },
    async take(step) {
      await collect();
      const taken = waiting.splice(0);
      for (const message of taken) {
        given.push({ message, step });
        onMessage(message, step);
      }
      return taken;
    },
    stop: () => clearInterval(timer),
    async close(answeredSteps) {
      clearInterval(timer);
      await closeMessages();
      // A look that had begun before may have missed the last one.
      await looking;
      await collect();
      const unread = given.filter(({ step }) => step > answeredSteps).map(({ message }) => message);
      return [...unread, ...waiting.splice(0)];
    },
    get hasEarlier() {
      return hasEarlier;
    },
  };
}

/** What came while the run waited belongs to what it is asked. */
export function withMessages(instruction: string | null, messages: readonly PersonMessage[]): string | null {
  const texts = [...(instruction === null ? [] : [instruction]), ...messages.map(({ text }) => text)];
  return texts.length === 0 ? null : texts.join('\n\n').slice(0, 65_536);
}
