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

export interface Question {
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  readonly maxOutputTokens: number;
  readonly signal: AbortSignal;
}

export interface Reply {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly usage: Usage;
  /** The reply in the vendor's own form (signed thinking among it), to go back in the assistant message as it came. Only the adapter reads it. */
  readonly continuation?: unknown;
  /** Normalised reason; `length` means that the reply was cut. */
  readonly stop: 'tools' | 'end' | 'length' | 'refusal' | 'other';
}

export interface Model {
  /** `vendor/name`, as the operator wrote it. */
  readonly name: string;
  /** USD for this usage, or null when the price of the model is not known. */
  cost(usage: Usage): number | null;
  /** Throws `model_credentials`, `model_unavailable`, `model_refused`, `cancelled`. */
  ask(question: Question): Promise<Reply>;
}
