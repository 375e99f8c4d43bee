/** Reads one streamed reply to its end. A stream that stops before it said why it stopped is a failure, not a short reply. */
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

interface Draft {
  readonly content: (Prose | AssistantContent[number])[];
  readonly prose: Map<string, Prose>;
  readonly calls: ToolCall[];
  end: End | null;
}

/** Eight times what the most tokens that we ask for come to; the history carries every reply from then on. */
const maxReplyChars = 512 * 1024;

/** What comes after them is forgotten: few are run, each needs an answer, and the history carries them all. */
const maxCalls = 64;

/**
 * `onPart` is called for whatever arrives, with the characters that are new, so that the caller can tell a slow stream from
 * a dead one. Throws what the stream threw, and `model_reply_endless` for a reply that is too large.
 */
export async function collectReply(stream: AsyncIterable<Part>, model: string, onPart: (chars: number) => void): Promise<Reply> {
  const draft: Draft = { content: [], prose: new Map(), calls: [], end: null };
  let received = 0;
  for await (const part of stream) {
    const chars = lengthOf(part);
    received += chars;
    onPart(chars);
    if (received > maxReplyChars) throw new FixError('model_reply_endless', { details: { model, problem: 'the reply is too large', maxReplyChars } });
    take(draft, part);
  }
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

/** The text of a call comes twice: as it is written, which not every vendor shows, and whole. */
function lengthOf(part: Part): number {
  if (part.type === 'text-delta' || part.type === 'reasoning-delta') return part.text.length;
  if (part.type === 'tool-input-delta') return part.delta.length;
  return part.type === 'tool-call' ? JSON.stringify(part.input ?? null).length : 0;
}

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
    case 'error':
      throw part.error;
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
