/** Reads one streamed reply to its end. A stream that stops before it said why it stopped is a failure, not a short reply. */
import { StreamProviderError } from 'ai';
import type { experimental_streamLanguageModelCall } from 'ai';
import { FixError } from '../errors.ts';
import type { Usage } from '../job.ts';
import type { Reply, ToolCall } from './model.ts';
import { toCallPart, toStop } from './wire.ts';
import type { AssistantContent, Continuation, VendorData } from './wire.ts';

type Part = Awaited<ReturnType<typeof experimental_streamLanguageModelCall>>['stream'] extends AsyncIterable<infer Item> ? Item : never;
type End = Extract<Part, { type: 'model-call-end' }>;

interface Prose {
  type: 'text' | 'reasoning';
  text: string;
  providerOptions?: VendorData;
}

/** What is known of a reply while it comes: of one that breaks, all there is. */
export interface Progress {
  /** From here on a vendor bills it, at least what was sent. */
  begun: boolean;
  /** Of text, shown thoughts and calls. */
  bytes: number;
  /** The vendor's own count, which comes last. */
  usage: Usage | null;
}

interface Draft {
  readonly content: (Prose | AssistantContent[number])[];
  readonly prose: Map<string, Prose>;
  readonly calls: ToolCall[];
  end: End | null;
}

/** Eight times what the most tokens that we ask for come to, opaque data of the vendor with it; the history carries every reply from then on. */
const maxReplyBytes = 512 * 1024;

/** What comes after them is forgotten: few are run, each needs an answer, and the history carries them all. */
const maxCalls = 64;

/** How the caller watches. */
interface Watch {
  readonly progress: Progress;
  /** Something has come: a stream may be slow, but this one is not dead. */
  readonly onPart: () => void;
  /** It has failed. What the vendor has counted may still follow, so it is read on: until it ends, or the caller ends it. */
  readonly onFailed: (error: unknown) => void;
}

/** Throws what the stream threw, and `model_reply_endless` for a reply that is too large. */
export async function collectReply(stream: AsyncIterable<Part>, model: string, { progress, onPart, onFailed }: Watch): Promise<Reply> {
  const draft: Draft = { content: [], prose: new Map(), calls: [], end: null };
  const failures: unknown[] = [];
  let opaqueBytes = 0;
  for await (const part of stream) {
    onPart();
    note(part, progress);
    opaqueBytes += opaqueBytesOf(part);
    if (progress.bytes + opaqueBytes > maxReplyBytes) {
      throw new FixError('model_reply_endless', { details: { model, problem: 'the reply is too large', maxReplyBytes, opaqueBytes } });
    }
    if (part.type !== 'error') take(draft, part);
    else if (failures.push(part.error) === 1) onFailed(part.error);
  }
  if (failures.length > 0) throw failures[0];
  const { end, calls } = draft;
  const broken = end === null || end.finishReason === 'interrupted' || end.finishReason === 'error';
  if (broken || (end.finishReason === 'other' && end.rawFinishReason === undefined)) throw new Error('the stream ended before the reply did');
  const spoken = draft.content.filter((part) => !('text' in part) || part.type === 'reasoning' || part.text.trim() !== '');
  return {
    text: [...draft.prose.values()]
      .filter((part) => part.type === 'text')
      .map((part) => part.text)
      .join(''),
    toolCalls: calls,
    usage: toUsage(end.usage),
    stop: toStop(end.finishReason, calls.length),
    // Thinking alone is no message that a vendor takes back.
    continuation: { model, content: spoken.some((part) => part.type !== 'reasoning') ? spoken : [] } satisfies Continuation,
  };
}

function note(part: Part, progress: Progress): void {
  progress.bytes += bytesOf(part);
  if (part.type === 'model-call-end') {
    progress.usage = toUsage(part.usage);
    progress.begun ||= progress.usage.inputTokens > 0;
  } else if (part.type !== 'error') {
    // The start is the SDK's own word.
    progress.begun ||= part.type !== 'model-call-start';
  } else if (StreamProviderError.isInstance(part.error) && progress.bytes === 0) {
    // A vendor that says itself that it failed, before it has said anything else, bills nothing.
    progress.begun = false;
  }
}

/** The text of a call comes twice: as it is written, which not every vendor shows, and whole. */
function bytesOf(part: Part): number {
  if (part.type === 'text-delta' || part.type === 'reasoning-delta') return Buffer.byteLength(part.text);
  if (part.type === 'tool-input-delta') return Buffer.byteLength(part.delta);
  return part.type === 'tool-call' ? jsonBytes(part.input) : 0;
}

/** Signatures and encrypted thoughts, which go back as they came. */
function opaqueBytesOf(part: Part): number {
  return 'providerMetadata' in part && part.providerMetadata !== undefined ? jsonBytes(part.providerMetadata) : 0;
}

const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value ?? null));

function take(draft: Draft, part: Part): void {
  switch (part.type) {
    case 'text-start':
    case 'text-delta':
    case 'text-end':
      return write(draft, 'text', part);
    case 'reasoning-start':
    case 'reasoning-delta':
    case 'reasoning-end':
      return write(draft, 'reasoning', part);
    case 'tool-call': {
      if (draft.calls.length >= maxCalls) return;
      const call = { id: uniqueId(draft.calls, part.toolCallId), name: part.toolName, input: part.input as unknown };
      draft.calls.push(call);
      draft.content.push(toCallPart(call, part.providerMetadata));
      return;
    }
    case 'model-call-end':
      draft.end = part;
      return;
    default:
  }
}

function write(draft: Draft, type: Prose['type'], part: { id: string; text?: string; providerMetadata?: VendorData | undefined }): void {
  const key = `${type} ${part.id}`;
  let prose = draft.prose.get(key);
  if (prose === undefined) {
    prose = { type, text: '' };
    draft.prose.set(key, prose);
    draft.content.push(prose);
  }
  prose.text += part.text ?? '';
  if (part.providerMetadata !== undefined) prose.providerOptions = part.providerMetadata;
}

/** Results are matched to calls by id, and vendors refuse an id that comes twice. */
function uniqueId(calls: readonly ToolCall[], id: string): string {
  const taken = id === '' || calls.some((call) => call.id === id);
  return taken ? `${id || 'call'}_${calls.length}` : id;
}

/** Budgets are counted in these: whatever a server sends, it is a whole number that takes nothing away. */
const asCount = (value: number | undefined): number => (value !== undefined && Number.isFinite(value) ? Math.min(Math.max(0, Math.ceil(value)), 1e9) : 0);

function toUsage(usage: End['usage']): Usage {
  return {
    inputTokens: asCount(usage.inputTokens),
    outputTokens: asCount(usage.outputTokens),
    cachedInputTokens: asCount(usage.inputTokenDetails.cacheReadTokens),
  };
}
