/**
 * What the model is shown. It only grows, so that vendors can serve its beginning from their caches, until the window of
 * the model or the money of the run asks for less; then it gets much shorter at once, so that it seldom has to.
 */
import { tokensPerByte } from '../model/model.ts';
import type { Message } from '../model/model.ts';
import { bytesOf, shorten } from './shorten.ts';

/** Of the window: where shortening begins, and what it leaves. The rest is for system prompt, tools and reply. */
const fullShare = 0.75;
const shortenedShare = 0.35;
/** With less money or tokens than for so many more steps like the last one, a shorter history is worth more than a whole one. */
const fewSteps = 20;
/** Below that, a shorter history saves next to nothing. */
const worthwhileTokens = 20_000;
/** What is left of a history that the vendor refused: how long it really is, nobody has said. */
const refusedShare = 1 / 3;
/** However large what we cannot shorten is. */
const leastBytes = 4000;
/** System prompt and tools are in what a vendor counts, so a short history would seem dear. */
const measurableBytes = 40_000;
const [leastTokensPerByte, mostTokensPerByte] = [0.15, 1];

/**
 * Tokens that we let a history have. Some models take a million, but read the middle of it badly, and beyond 200,000
 * tokens Google charges double. An operator of a small model of their own sets the number.
 */
const windows: readonly (readonly [RegExp, number])[] = [
  [/^openai\/gpt-4o/, 128_000],
  [/^(?:anthropic|openai|google)\//, 200_000],
];
const unknownWindow = 128_000;

export function findWindow(modelName: string): number {
  return windows.find(([pattern]) => pattern.test(modelName))?.[1] ?? unknownWindow;
}

export interface Shortening {
  readonly cause: 'window' | 'budget' | 'refused';
  /** Estimates. */
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

export interface History {
  readonly messages: readonly Message[];
  add(message: Message): void;
  /** What the vendor counted for the messages as they are, system prompt and tools with them. */
  counted(inputTokens: number): void;
  /** `stepsLeft`: as many as the rest of the budget pays for, if each is like the last one. */
  fit(limits: { readonly windowTokens: number; readonly stepsLeft: number }): Shortening | null;
  /** After the vendor took it for too long: much shorter, and never again as long. Null when it cannot be shorter. */
  refused(): Shortening | null;
}

export function createHistory(): History {
  const messages: Message[] = [];
  let known = { tokens: 0, bytes: 0 };
  let rate = tokensPerByte;
  let shortenedTo = 0;
  let refusedTokens = Infinity;
  const tokens = (): number => Math.max(0, Math.round(known.tokens + (bytesOf(messages) - known.bytes) * rate));
  const shortenTo = (target: number, cause: Shortening['cause']): Shortening => {
    const tokensBefore = tokens();
    const bytes = bytesOf(messages) - (tokensBefore - target) / rate;
    messages.splice(0, messages.length, ...shorten(messages, Math.max(leastBytes, bytes)));
    shortenedTo = tokens();
    return { cause, tokensBefore, tokensAfter: shortenedTo };
  };
  return {
    messages,
    add: (message) => void messages.push(message),
    counted(inputTokens) {
      // A server that does not count says 0.
      if (inputTokens <= 0) return;
      const bytes = bytesOf(messages);
      known = { tokens: inputTokens, bytes };
      if (bytes >= measurableBytes) rate = Math.min(mostTokensPerByte, Math.max(leastTokensPerByte, inputTokens / bytes));
    },
    fit({ windowTokens, stepsLeft }) {
      const before = tokens();
      const most = Math.min(windowTokens, refusedTokens);
      if (before > most * fullShare) return shortenTo(most * shortenedShare, 'window');
      const dear = stepsLeft < fewSteps && before > Math.max(worthwhileTokens, 2 * shortenedTo);
      return dear ? shortenTo(before / 3, 'budget') : null;
    },
    refused() {
      refusedTokens = tokens();
      const done = shortenTo(refusedTokens * refusedShare, 'refused');
      return done.tokensAfter < done.tokensBefore ? done : null;
    },
  };
}
