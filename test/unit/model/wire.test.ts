import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/model/model.ts';
import { toCallPart, toModelMessages } from '../../../src/model/wire.ts';

/** Both models give the same id in each of their replies. */
const call = { id: 'functions.bash:0', name: 'bash', input: {} };
const reply = (model: string): Message => ({ role: 'assistant', text: '', toolCalls: [call], continuation: { model, content: [toCallPart(call)] } });
const results: Message = { role: 'tool', results: [{ id: call.id, name: 'bash', text: 'done', failed: false }] };

describe('toModelMessages', () => {
  it('gives each call of another model an id by its place, and its result the same; its own stay as they are', () => {
    const history: readonly Message[] = [{ role: 'user', text: 'Task' }, reply('a/x'), results, reply('a/x'), results, reply('b/y'), results];

    const sent = toModelMessages(history, 'b/y');

    const ids = sent.flatMap(({ content }) =>
      Array.isArray(content) ? content.flatMap((part) => ('toolCallId' in part && typeof part.toolCallId === 'string' ? [part.toolCallId] : [])) : [],
    );
    expect(ids).toEqual(['other_1_0', 'other_1_0', 'other_3_0', 'other_3_0', call.id, call.id]);
  });
});
