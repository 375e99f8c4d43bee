/** One question to the model: in a history that it can read, counted, and within the limits of the run however often it is tried. */
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Model, Question, Reply } from '../model/model.ts';
import type { History, Shortening } from './history.ts';
import type { AgentLimits, Attempt, Transcript } from './loop.ts';
import { systemPrompt } from './prompt.ts';
import { addStep, addUsage, findReached, stepsLeft } from './spend.ts';
import type { Spend } from './spend.ts';
import type { Task } from './task.ts';
import { specsFor } from './tools.ts';

/** Output of one reply. Large enough for a long edit, small enough for every model in use. */
const maxOutputTokens = 16_384;

export interface Asking {
  readonly memory: {
    readonly history: History;
    readonly spend: Spend;
    readonly windowTokens: number;
    /** As many steps as the budget pays for, if each is like the last one. */
    affordable: number;
  };
  readonly model: Model;
  readonly task: Pick<Task, 'reviewed'>;
  readonly limits: AgentLimits;
  readonly signal: AbortSignal;
  readonly transcript: Transcript;
  readonly log: Log;
  readonly elapsedMs: () => number;
}

export type Answer = { readonly kind: 'reply'; readonly reply: Reply } | Exclude<Attempt['ended'], { kind: 'submitted' }>;

/** The reply, or what ended the run instead: the vendor reads no history of this run, or replies that were lost have used it up. */
export async function askModel(asking: Asking): Promise<Answer> {
  const { history, affordable, windowTokens } = asking.memory;
  await tell(asking, history.fit({ windowTokens, stepsLeft: affordable }));
  try {
    return await askOnce(asking);
  } catch (thrown) {
    if (!isTooLong(thrown)) throw thrown;
  }
  const shortened = history.refused();
  await tell(asking, shortened);
  try {
    if (shortened !== null) return await askOnce(asking);
  } catch (thrown) {
    if (!isTooLong(thrown)) throw thrown;
  }
  return { kind: 'stopped', reason: 'too_long' };
}

const isTooLong = (thrown: unknown): boolean => thrown instanceof FixError && thrown.code === 'model_input_too_long';

async function tell({ memory, transcript, log }: Asking, shortened: Shortening | null): Promise<void> {
  if (shortened === null) return;
  await transcript.write({ kind: 'shortened', step: memory.spend.steps, ...shortened });
  log.debug({ step: memory.spend.steps, ...shortened }, 'history shortened');
}

/** The model tries by itself again what broke on the way; each try is paid for, so the limits hold between them, too. */
async function askOnce({ memory, model, task, limits, signal, elapsedMs }: Asking): Promise<Answer> {
  const { history, spend } = memory;
  const spent = new AbortController();
  const reached = (): ReturnType<typeof findReached> => findReached(spend, limits, elapsedMs());
  const onLost: Question['onLost'] = (lost) => {
    addUsage(spend, lost, model);
    if (reached() !== null) spent.abort();
  };
  const question = { system: systemPrompt, messages: history.messages, tools: specsFor(task), maxOutputTokens, onLost };
  try {
    const reply = await model.ask({ ...question, signal: AbortSignal.any([signal, spent.signal]) });
    history.counted(reply.usage.inputTokens);
    addStep(spend, reply, model);
    memory.affordable = stepsLeft(spend, limits, { usage: reply.usage, costUsd: (reply.by ?? model).cost(reply.usage) });
    return { kind: 'reply', reply };
  } catch (thrown) {
    const limit = spent.signal.aborted && !signal.aborted ? reached() : null;
    if (limit === null) throw thrown;
    return { kind: 'limit', limit };
  }
}
