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

/** An assistant message with nothing in it is left out: vendors refuse it. The last two that are not from the model get a cache mark. */
export function toModelMessages(messages: readonly Message[]): ModelMessage[] {
  const converted = messages.map(toModelMessage).filter((message) => message.role !== 'assistant' || message.content.length > 0);
  let marks = 2;
  for (const message of converted.toReversed()) {
    if (message.role === 'assistant' || marks-- <= 0) continue;
    message.providerOptions = cacheMark;
  }
  return converted;
}

function toModelMessage(message: Message): ModelMessage {
  if (message.role === 'user') return { role: 'user', content: wellFormed(message.text) };
  if (message.role === 'assistant') return { role: 'assistant', content: toAssistantContent(message) };
  return {
    role: 'tool',
    content: message.results.map((result) => ({
      type: 'tool-result' as const,
      toolCallId: result.id,
      toolName: safeName(result.name),
      // Not `error-text`: where a wire has no flag for it, the SDK wraps the words in JSON, and line ends become unreadable.
      output: { type: 'text' as const, value: wellFormed(result.text) },
    })),
  };
}

/** The parts of an assistant message as the SDK has them. */
export type AssistantContent = Exclude<AssistantModelMessage['content'], string>;

function toAssistantContent(message: Extract<Message, { role: 'assistant' }>): AssistantContent {
  if (Array.isArray(message.continuation)) return message.continuation as AssistantContent;
  const text = message.text.trim() === '' ? [] : [{ type: 'text' as const, text: wellFormed(message.text) }];
  return [...text, ...message.toolCalls.map((call) => toCallPart(call))];
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
