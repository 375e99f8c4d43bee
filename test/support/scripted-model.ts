/** A model that answers from a list, records what it was asked, and throws on a question that nobody planned. */
import type { Model, Models, Question, Reply, ToolCall } from '../../src/model/model.ts';

export type PlannedReply = Partial<Reply> | ((question: Question) => Partial<Reply> | Promise<Partial<Reply>>);

export interface ScriptedModel extends Model {
  /** Every question as it was at the time; the loop goes on adding to the messages. */
  readonly questions: readonly Question[];
}

export function createScriptedModel(replies: readonly PlannedReply[], options: { name?: string; usdPerToken?: number | null } = {}): ScriptedModel {
  const { usdPerToken = null } = options;
  const questions: Question[] = [];
  return {
    name: options.name ?? 'scripted/model',
    priceSource: usdPerToken === null ? null : 'price of the script',
    questions,
    cost: (usage) => (usdPerToken === null ? null : (usage.inputTokens + usage.outputTokens) * usdPerToken),
    async ask(question) {
      const planned = replies[questions.length];
      questions.push({ ...question, messages: structuredClone(question.messages) });
      if (planned === undefined) throw new Error(`question ${questions.length} was not planned`);
      const reply = typeof planned === 'function' ? await planned(question) : planned;
      return aReply(reply);
    },
  };
}

/** An operator that allows this one model. */
export function onlyModel(model: Model): Models {
  return { names: [model.name], anyPriced: model.priceSource !== null, open: (name) => (name === null || name === model.name ? model : null) };
}

function aReply(reply: Partial<Reply>): Reply {
  const toolCalls = reply.toolCalls ?? [];
  const usage = { inputTokens: 100, outputTokens: 10, cachedInputTokens: 0 };
  return { text: '', usage, stop: toolCalls.length > 0 ? 'tools' : 'end', ...reply, toolCalls };
}

/** A reply that makes these calls, ids given. */
export function calls(...wanted: readonly (readonly [name: string, input: unknown])[]): Partial<Reply> {
  return { toolCalls: wanted.map(([name, input], index): ToolCall => ({ id: `call_${index}`, name, input })) };
}

export const aSubmission = { summary: 'Fixed.', files: ['a.js'], testCommand: 'npm test', noChange: false, resolves: true };
