/** Our messages as the SDK's, and the parts of a streamed reply as ours. Pure; no request is made here. */
import { jsonSchema } from 'ai';
import type { AssistantModelMessage, ModelMessage, ToolSet } from 'ai';
import { z } from 'zod';
import type { Message, Reply, ToolCall, ToolSpec } from './model.ts';

/** Anthropic reads what comes before a mark from its cache when an earlier request had it marked too; other vendors ignore this. */
const cacheMark = { anthropic: { cacheControl: { type: 'ephemeral' as const } } };

/** Tools without `execute`: the SDK only hands the calls back. Schemas are for the model; the loop does the checking. */
export function toToolSet(tools: readonly ToolSpec[]): ToolSet {
  return Object.fromEntries(
    tools.map((tool) => [tool.name, { description: tool.description, inputSchema: jsonSchema(z.toJSONSchema(tool.input, { io: 'input' }) as never) }]),
  );
}

export function toInstructions(system: string): { role: 'system'; content: string; providerOptions: typeof cacheMark } {
  return { role: 'system', content: wellFormed(system), providerOptions: cacheMark };
}

/** A reply in the form of the model that gave it. Signed thoughts and ids of items mean nothing to another one, which refuses them. */
export interface Continuation {
  readonly model: string;
  readonly content: AssistantContent;
}

/** An assistant message with nothing in it is left out: vendors refuse it. The last two that are not from the model get a cache mark. */
export function toModelMessages(messages: readonly Message[], model: string): ModelMessage[] {
  const converted = messages
    .map((message, index) => toModelMessage(message, model, idsAt(messages, index, model)))
    .filter(({ role, content }) => role !== 'assistant' || content.length > 0);
  let marks = 2;
  for (const message of converted.toReversed()) {
    if (message.role === 'assistant' || marks-- <= 0) continue;
    message.providerOptions = cacheMark;
  }
  return converted;
}

/**
 * Vendors differ in what they take as the id of a call, and some give the same one in each reply: a call of another model
 * gets a name by its place, and so does its result, which comes right after it.
 */
function idsAt(messages: readonly Message[], index: number, model: string): ReadonlyMap<string, string> {
  const at = messages[index]?.role === 'tool' ? index - 1 : index;
  const message = messages[at];
  if (message?.role !== 'assistant' || ownContent(message, model) !== null) return new Map();
  return new Map(message.toolCalls.map(({ id }, call) => [id, `other_${at}_${call}`]));
}

function toModelMessage(message: Message, model: string, ids: ReadonlyMap<string, string>): ModelMessage {
  if (message.role === 'user') return { role: 'user', content: wellFormed(message.text) };
  if (message.role === 'assistant') return { role: 'assistant', content: ownContent(message, model) ?? toAssistantContent(message, ids) };
  return {
    role: 'tool',
    content: message.results.map((result) => ({
      type: 'tool-result' as const,
      toolCallId: ids.get(result.id) ?? result.id,
      toolName: safeName(result.name),
      // Not `error-text`: where a wire has no flag for it, the SDK wraps the words in JSON, and line ends become unreadable.
      output: { type: 'text' as const, value: wellFormed(result.text) },
    })),
  };
}

/** The parts of an assistant message as the SDK has them. */
export type AssistantContent = Exclude<AssistantModelMessage['content'], string>;

type AssistantMessage = Extract<Message, { role: 'assistant' }>;

function ownContent({ continuation }: AssistantMessage, model: string): AssistantContent | null {
  const given = continuation as Continuation | undefined;
  return given?.model === model ? given.content : null;
}

function toAssistantContent(message: AssistantMessage, ids: ReadonlyMap<string, string>): AssistantContent {
  const text = message.text.trim() === '' ? [] : [{ type: 'text' as const, text: wellFormed(message.text) }];
  return [...text, ...message.toolCalls.map((call) => toCallPart({ ...call, id: ids.get(call.id) ?? call.id }))];
}

/** Opaque data of the vendor on one part, such as the signature of a thought. */
export type VendorData = NonNullable<AssistantModelMessage['providerOptions']>;

/** The part that goes back to the vendor. It must be valid whatever the model wrote, or every later request is refused. */
export function toCallPart(call: ToolCall, vendorData?: VendorData): AssistantContent[number] {
  const input = isRecord(call.input) ? call.input : {};
  return { type: 'tool-call', toolCallId: call.id, toolName: safeName(call.name), input, ...(vendorData && { providerOptions: vendorData }) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Vendors take only these characters in a tool name, also in one that the model made up. */
function safeName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';
}

/** Half a surrogate pair, as clipping may leave it, makes a request that vendors refuse. */
function wellFormed(text: string): string {
  return text.toWellFormed();
}

/** The SDK's unified reason as ours. */
export function toStop(reason: string, calls: number): Reply['stop'] {
  if (reason === 'length') return 'length';
  if (reason === 'content-filter') return 'refusal';
  if (calls > 0) return 'tools';
  return reason === 'stop' ? 'end' : 'other';
}
