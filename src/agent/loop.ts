/** The agent: a small linear loop. Asks the model, acts in the sandbox, until it submits or a limit ends it. */
import { FixError, asFixError } from '../errors.ts';
import type { Limit, StopReason, Usage } from '../job.ts';
import type { Log } from '../log.ts';
import type { Message, Model, Reply, ToolCall } from '../model/model.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { askModel } from './ask.ts';
import type { Asking } from './ask.ts';
import { createBackground } from './background.ts';
import type { Background } from './background.ts';
import { longestTimeoutMs } from './bash.ts';
import { createBriefing, promptVersion, reminders, repeatedMessage, systemPrompt, unseenFailure, wrapUpMessage } from './prompt.ts';
import type { Briefing } from './prompt.ts';
import { describeStep } from './describe-step.ts';
import { createHistory, findWindow } from './history.ts';
import { createOutputFiles } from './output.ts';
import type { KeepOutput } from './output.ts';
import { personMessage } from './people.ts';
import type { PersonMessage } from './people.ts';
import { countRepeats } from './repeats.ts';
import type { Repeats } from './repeats.ts';
import { findNear, findReached, startSpend } from './spend.ts';
import type { Submission } from './submission.ts';
import { readStartCommit } from './submit.ts';
import type { SeenText, Task } from './task.ts';
import { refuse } from './tool.ts';
import type { ToolContext, ToolResult } from './tool.ts';
import { runCall, specsFor } from './tools.ts';

export interface AgentLimits {
  readonly steps: number;
  readonly costUsd: number;
  readonly tokens: number;
  /** One bash command. */
  readonly commandTimeoutMs: number;
  /** Wall clock at which the agent is asked to wrap up, and at which it is stopped; counted while the agent works. */
  readonly softTimeMs: number;
  readonly hardTimeMs: number;
  /** Tokens of history that the model takes. Default: what is known of the model. */
  readonly contextTokens?: number | null;
}

export interface Attempt {
  readonly ended:
    | { readonly kind: 'submitted'; readonly submission: Submission }
    | { readonly kind: 'stopped'; readonly reason: StopReason }
    | { readonly kind: 'limit'; readonly limit: Limit };
  readonly steps: number;
  readonly usage: Usage;
  /** What is known of it; null when nothing is. */
  readonly costUsd: number | null;
}

/** Appends one record to the transcript of the run; on disk before the next step begins. */
export interface Transcript {
  readonly file: string;
  write(record: Record<string, unknown>): Promise<void>;
}

export interface AgentOptions {
  /** For the transcript. */
  readonly run: { readonly id: string; readonly baseSha: string };
  readonly task: Task;
  readonly sandbox: Sandbox;
  readonly model: Model;
  readonly limits: AgentLimits;
  readonly transcript: Transcript;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** What people have said since the last call: asked before each step. */
  readonly takeMessages?: (step: number) => Promise<readonly PersonMessage[]>;
  /** For people who watch: one short line per step. */
  readonly onStep?: (step: { readonly number: number; readonly line: string }) => void;
}

export interface Agent {
  /** Every text that goes into its first question, and whose word it is. */
  readonly seen: readonly SeenText[];
  /**
   * One round: works until the agent submits, goes silent, or a limit is reached. The first begins with the task; a later
   * one goes on in the same history with what the host has to say. Limits, time at work among them, count over all rounds.
   * Throws `cancelled`, `sandbox_lost` and what the model throws.
   */
  work(message?: string): Promise<Attempt>;
}

const maxCallsPerReply = 8;
const maxMalformedInARow = 3;
const maxSilentInARow = 3;

/** What stays from one round to the next. */
type Memory = Asking['memory'] & {
  readonly briefing: Briefing;
  readonly told: Set<Limit>;
  readonly scratch: string;
  readonly keepOutput: KeepOutput;
  readonly background: Background;
  startCommit: string | null;
  workedMs: number;
};

/** What changes while a round goes on. */
interface Run extends AgentOptions {
  readonly memory: Memory;
  readonly tools: ToolContext;
  /** Aborts when the run is stopped, out of time, or without its VM. */
  readonly signal: AbortSignal;
  readonly elapsedMs: () => number;
  malformed: number;
  silent: number;
  readonly repeats: Repeats;
}

type Ended = Attempt['ended'];

/** An agent that has not begun yet. */
export function startAgent(options: AgentOptions): Agent {
  const { model, limits } = options;
  const windowTokens = limits.contextTokens ?? Math.min(...[model, model.fallback ?? model].map(({ name }) => findWindow(name)));
  const briefing = createBriefing(options.task, { ...limits, longestMs: longestTimeoutMs(limits.commandTimeoutMs), windowTokens });
  const scratch = `/tmp/mayfly-${crypto.randomUUID().slice(0, 8)}`;
  const memory: Memory = {
    briefing,
    history: createHistory(),
    windowTokens,
    spend: startSpend(),
    affordable: Infinity,
    told: new Set(),
    scratch,
    keepOutput: createOutputFiles(scratch),
    background: createBackground(scratch),
    startCommit: null,
    workedMs: 0,
  };
  return { seen: briefing.seen, work: (message) => workOneRound(options, memory, message ?? null) };
}

async function workOneRound(options: AgentOptions, memory: Memory, message: string | null): Promise<Attempt> {
  const { sandbox, limits, signal } = options;
  const startedAt = performance.now();
  const elapsedMs = (): number => memory.workedMs + performance.now() - startedAt;
  const hard = new AbortController();
  const timer = setTimeout(() => hard.abort(), Math.max(0, limits.hardTimeMs - memory.workedMs));
  const any = AbortSignal.any([signal, sandbox.lost, hard.signal]);
  try {
    return await finish(options, memory, await work({ ...options, signal: any, elapsedMs }, memory, message));
  } catch (thrown) {
    // The first reason counts: a guest that does not end its command at the limit is lost, too.
    const outOfTime = !signal.aborted && any.reason === hard.signal.reason && hard.signal.aborted;
    if (outOfTime) return await finish(options, memory, { kind: 'limit', limit: 'time' });
    const failure = findFailure(options, thrown);
    await options.transcript.write({ kind: 'end', ended: { kind: 'failed', code: asFixError(failure).code }, ...memory.spend });
    throw failure;
  } finally {
    clearTimeout(timer);
    // Nothing may change the workspace any more when the patch is taken.
    await memory.background.end();
    memory.workedMs = elapsedMs();
  }
}

function findFailure({ signal, sandbox }: AgentOptions, thrown: unknown): unknown {
  if (signal.aborted) return new FixError('cancelled', { cause: signal.reason });
  return sandbox.lost.aborted ? asFixError(sandbox.lost.reason, 'sandbox_lost') : thrown;
}

async function finish({ transcript, log }: AgentOptions, { spend }: Memory, ended: Ended): Promise<Attempt> {
  await transcript.write({ kind: 'end', ended, ...spend });
  log.debug({ ended: ended.kind, limit: ended.kind === 'limit' ? ended.limit : undefined, ...spend }, 'agent ended');
  return { ended, ...spend };
}

async function work(options: AgentOptions & Pick<Run, 'elapsedMs'>, memory: Memory, message: string | null): Promise<Ended> {
  const { sandbox, signal, limits } = options;
  const text = memory.history.messages.length === 0 ? await begin(options, memory) : message;
  const { scratch, keepOutput, background, startCommit } = memory;
  const leftMs = (): number => limits.hardTimeMs - options.elapsedMs();
  const tools = { sandbox, signal, commandTimeoutMs: limits.commandTimeoutMs, leftMs, scratch, keepOutput, background, startCommit };
  const run: Run = { ...options, memory, tools, malformed: 0, silent: 0, repeats: countRepeats() };
  for (let next = text; ; next = null) {
    const limit = findReached(run.memory.spend, limits, run.elapsedMs());
    if (limit !== null) return { kind: 'limit', limit };
    if (next !== null) await say(run, { role: 'user', text: next });
    await hearPeople(run);
    await askToWrapUp(run);
    const askedAt = run.elapsedMs();
    const answer = await askModel(run);
    if (answer.kind !== 'reply') return answer;
    const { reply } = answer;
    await hear(run, reply, Math.round(run.elapsedMs() - askedAt));
    const ended = reply.toolCalls.length === 0 ? await remind(run, reply) : await act(run, reply);
    if (ended !== null) return ended;
    signal.throwIfAborted();
  }
}

/** The first message. */
async function begin({ run, task, sandbox, signal, model, limits, transcript }: AgentOptions, memory: Memory): Promise<string> {
  await transcript.write({
    kind: 'start',
    runId: run.id,
    baseSha: run.baseSha,
    sandbox: sandbox.info,
    model: model.name,
    limits,
    tools: specsFor(task).map(({ name }) => name),
    promptVersion,
    system: systemPrompt,
    seen: memory.briefing.seen,
  });
  // A plan is handed in without a change, so nobody looks for one.
  memory.startCommit = task.planOnly === true ? null : await readStartCommit({ sandbox, signal });
  return memory.briefing.text;
}

/** What the history loses later, the transcript keeps. */
async function say(run: Run, message: Message, more: Record<string, unknown> = {}): Promise<void> {
  run.memory.history.add(message);
  const shown = message.role === 'assistant' ? { role: message.role, text: message.text, toolCalls: message.toolCalls } : message;
  await run.transcript.write({ kind: 'message', step: run.memory.spend.steps, ...shown, ...more });
}

async function hearPeople(run: Run): Promise<void> {
  const messages = (await run.takeMessages?.(run.memory.spend.steps + 1)) ?? [];
  if (messages.length > 0) await say(run, { role: 'user', text: personMessage(messages) });
}

async function askToWrapUp(run: Run): Promise<void> {
  for (const limit of findNear(run.memory.spend, run.limits, run.elapsedMs())) {
    if (run.memory.told.has(limit)) continue;
    run.memory.told.add(limit);
    await say(run, { role: 'user', text: wrapUpMessage(limit === 'cost' ? 'money' : limit) });
  }
}

async function hear(run: Run, reply: Reply, durationMs: number): Promise<void> {
  const { steps, costUsd } = run.memory.spend;
  const { text, toolCalls, continuation, usage, stop, by } = reply;
  await say(run, { role: 'assistant', text, toolCalls, continuation }, { stop, usage, costUsd, durationMs, ...(by && { model: by.name }) });
  run.log.debug({ step: steps, calls: toolCalls.length, stop, ...usage, costUsd, durationMs }, 'model answered');
  run.onStep?.({ number: steps, line: describeStep(reply) });
}

/** A reply without a call. After a refusal the same history is refused again, so there is nothing to wait for. */
async function remind(run: Run, reply: Reply): Promise<Ended | null> {
  run.silent += 1;
  if (reply.stop === 'refusal') return { kind: 'stopped', reason: 'refusal' };
  if (run.silent >= maxSilentInARow) return { kind: 'stopped', reason: reply.stop === 'length' ? 'cut' : 'silent' };
  await say(run, { role: 'user', text: reply.stop === 'length' ? reminders.length : reminders.end });
  return null;
}

async function act(run: Run, reply: Reply): Promise<Ended | null> {
  run.silent = 0;
  const results: (ToolResult & { id: string; name: string })[] = [];
  for (const call of reply.toolCalls) results.push({ id: call.id, name: call.name, ...(await actOnce(run, call, results)) });
  const told = results.map(({ id, name, text, failed }) => ({ id, name, text, failed }));
  const measured = results.map(({ durationMs, exitCode }, index) => ({ ...told[index], durationMs, exitCode }));
  await say(run, { role: 'tool', results: told }, { results: measured });
  if (reply.stop === 'length') await say(run, { role: 'user', text: reminders.length });
  const submission = results.find((result) => result.submission !== undefined)?.submission;
  if (submission !== undefined) return { kind: 'submitted', submission };
  if (run.malformed >= maxMalformedInARow) return { kind: 'limit', limit: 'malformed_calls' };
  return run.repeats.isStuck() ? { kind: 'stopped', reason: 'loop' } : null;
}

/** Also a command that ended red: whoever hands in beside it has not seen that. */
const isBad = ({ failed, exitCode }: ToolResult): boolean => failed || (exitCode !== undefined && exitCode !== 0);

/** Every call gets an answer, since vendors refuse a history without; not every call is run. */
async function actOnce(run: Run, call: ToolCall, before: readonly (ToolResult & { readonly name: string })[]): Promise<ToolResult> {
  const over = before.some((result) => result.submission !== undefined) || run.malformed >= maxMalformedInARow || run.repeats.isStuck() || run.signal.aborted;
  if (over) return refuse('Not run: the work has ended.');
  if (call.name === 'submit' && before.some(isBad)) return refuse(unseenFailure);
  // It would look at files without the change that it is about.
  if (call.name === 'bash' && before.some(({ name, failed }) => name === 'edit' && failed))
    return refuse('Not run: an edit before it in the same reply failed.');
  if (before.length >= maxCallsPerReply) return refuse(`Not run: at most ${maxCallsPerReply} calls of one reply are run. Ask again for what you still need.`);
  const result = await runCall(call, run.tools);
  run.malformed = result.malformed === true ? run.malformed + 1 : 0;
  return run.repeats.count(call, result.text) ? { ...result, text: `${result.text}\n${repeatedMessage}` } : result;
}
