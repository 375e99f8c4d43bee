/**
 * What the model is shown. It only grows, so that vendors can serve its beginning from their caches, until the window of
 * the model or the money of the run asks for less; then it gets much shorter at once, so that it seldom has to.
 */
import type { Message } from '../model/model.ts';
import { charactersOf, shorten } from './shorten.ts';

/** Of the window: where shortening begins, and what it leaves. The rest is for system prompt, tools and reply. */
const fullShare = 0.75;
const shortenedShare = 0.35;
/** With less money or tokens than for so many more steps like the last one, a shorter history is worth more than a whole one. */
const fewSteps = 20;
/** Below that, a shorter history saves next to nothing. */
const worthwhileTokens = 20_000;
/** Of what the vendor has not counted yet. Code and output have more tokens per character than prose. */
const tokensPerCharacter = 0.33;
/** However large what we cannot shorten is. */
const leastCharacters = 4000;

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
  readonly cause: 'window' | 'budget';
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
}

export function createHistory(): History {
  const messages: Message[] = [];
  let known = { tokens: 0, characters: 0 };
  let shortenedTo = 0;
  const tokens = (): number => Math.max(0, Math.round(known.tokens + (charactersOf(messages) - known.characters) * tokensPerCharacter));
  return {
    messages,
    add: (message) => void messages.push(message),
    counted(inputTokens) {
      // A server that does not count says 0.
      if (inputTokens > 0) known = { tokens: inputTokens, characters: charactersOf(messages) };
    },
    fit({ windowTokens, stepsLeft }) {
      const tokensBefore = tokens();
      const full = tokensBefore > windowTokens * fullShare;
      const dear = stepsLeft < fewSteps && tokensBefore > Math.max(worthwhileTokens, 2 * shortenedTo);
      if (!full && !dear) return null;
      const target = full ? windowTokens * shortenedShare : tokensBefore / 3;
      const characters = charactersOf(messages) - (tokensBefore - target) / tokensPerCharacter;
      messages.splice(0, messages.length, ...shorten(messages, Math.max(leastCharacters, characters)));
      shortenedTo = tokens();
      return { cause: full ? 'window' : 'budget', tokensBefore, tokensAfter: shortenedTo };
    },
  };
}
