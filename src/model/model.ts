/** The port of a language model: one question, one reply. Transport retries stay inside the adapter. */
import type { z } from 'zod';
import type { Usage } from '../job.ts';

export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  readonly input: z.ZodType;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** As the model wrote it: unchecked. A string when it was not even JSON. */
  readonly input: unknown;
}

export type Message =
  | { readonly role: 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly text: string; readonly toolCalls: readonly ToolCall[]; readonly continuation?: unknown }
  | { readonly role: 'tool'; readonly results: readonly { readonly id: string; readonly name: string; readonly text: string; readonly failed: boolean }[] };

/**
 * For text that no vendor has counted. By bytes of UTF-8, because tokens are made of bytes: three of them are a Chinese
 * character, about one token, and three letters of code, about one, too. Prose in English has a third fewer.
 */
export const tokensPerByte = 1 / 3;

export interface Question {
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  readonly maxOutputTokens: number;
  readonly signal: AbortSignal;
  /** Told of what a reply has used that broke on the way: it is paid for, and comes in no reply. May abort `signal`, so that it is not asked for again. */
  readonly onLost?: (lost: Pick<Reply, 'usage' | 'by'>) => void;
}

export interface Reply {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly usage: Usage;
  /** Who gave it, when it was not the one that was asked: a fallback. */
  readonly by?: Model;
  /** The reply in the vendor's own form (signed thinking among it), to go back in the assistant message as it came. Only the adapter reads it, and only that of its own model. */
  readonly continuation?: unknown;
  /** Normalised reason; `length` means that the reply was cut. */
  readonly stop: 'tools' | 'end' | 'length' | 'refusal' | 'other';
}

export interface Model {
  /** `vendor/name`, as the operator wrote it. */
  readonly name: string;
  /** Where its price comes from, in words; null when the price is not known. */
  readonly priceSource: string | null;
  /** Who goes on when it does not answer. */
  readonly fallback?: Model;
  /** USD for this usage, or null when the price of the model is not known. */
  cost(usage: Usage): number | null;
  /** Throws `model_credentials`, `model_refused`, `model_input_too_long`, `cancelled`, and what another model may help with: `model_unavailable`, `model_busy`, `model_reply_endless`. */
  ask(question: Question): Promise<Reply>;
}

/** The models that the operator allows. */
export interface Models {
  /** The operator's own choice comes first. */
  readonly names: readonly string[];
  /** Whether the price of any of them is known, the fallback among them. */
  readonly anyPriced: boolean;
  /** For one run, with the fallback behind it. `null`: the operator's choice. Null when the name is not allowed. */
  open(name: string | null): Model | null;
}
