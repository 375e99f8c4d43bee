/** The model over the AI SDK: one question is one streamed request, retried here and nowhere else. */
import { setTimeout as delay } from 'node:timers/promises';
import { experimental_streamLanguageModelCall as streamLanguageModelCall } from 'ai';
import type { LanguageModel } from 'ai';
import { FixError } from '../errors.ts';
import type { Usage } from '../job.ts';
import type { Log } from '../log.ts';
import { createBoundedFetch } from './bounded-fetch.ts';
import { collectReply } from './collect.ts';
import type { Progress } from './collect.ts';
import { readFailure } from './failure.ts';
import { tokensPerByte } from './model.ts';
import type { Model, Question, Reply } from './model.ts';
import { costOf, findPrice } from './prices.ts';
import type { KnownPrice } from './prices.ts';
import { openLanguageModel } from './vendors.ts';
import { toInstructions, toModelMessages, toToolSet } from './wire.ts';

export interface ModelOptions {
  /** `vendor/name`; vendors are anthropic, openai, google, compatible. */
  readonly name: string;
  readonly apiKey: string;
  /** Null: the vendor's own address. With or without `/v1`. */
  readonly baseUrl: string | null;
  readonly log: Log;
  /** Tries after the first one. Default 5. */
  readonly maxRetries?: number;
  /** Default: that of the table. Null: only tokens are counted. */
  readonly price?: KnownPrice | null;
  readonly timing?: Partial<Timing>;
  readonly fetch?: typeof fetch;
}

interface Timing {
  /** Without anything new in the stream. A model that thinks is silent for minutes. */
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** For all tries of one question: none begins after it. */
  readonly patienceMs: number;
  /** First wait between tries; doubles each time. */
  readonly retryDelayMs: number;
}

const defaultTiming: Timing = { idleTimeoutMs: 300_000, totalTimeoutMs: 900_000, patienceMs: 600_000, retryDelayMs: 1000 };
const longestWaitMs = 300_000;
/** For what a stream may still tell of the usage once it has failed. */
const afterFailureMs = 1000;
const maxReplyBytes = 16 * 1024 * 1024;

/** Throws `model_unknown` or `config_invalid` at once; asks nothing yet. */
export function createModel(options: ModelOptions): Model {
  const { name, apiKey, baseUrl, price = findPrice(name) } = options;
  const language = openLanguageModel(name, { apiKey, baseUrl, fetch: createBoundedFetch(maxReplyBytes, options.fetch) });
  return {
    name,
    priceSource: price?.source ?? null,
    cost: (usage) => (price === null ? null : costOf(price, usage)),
    ask: (question) => askWithRetries({ ...options, timing: { ...defaultTiming, ...options.timing }, language }, question),
  };
}

interface Connection extends ModelOptions {
  readonly timing: Timing;
  readonly language: LanguageModel;
}

async function askWithRetries(connection: Connection, question: Question): Promise<Reply> {
  const { log, name, apiKey, timing, maxRetries = 5 } = connection;
  const startedAt = performance.now();
  for (let tries = 1; ; tries++) {
    try {
      return await askOnce(connection, question);
    } catch (thrown) {
      if (question.signal.aborted) throw new FixError('cancelled');
      const failure = readFailure(thrown, apiKey);
      if (failure.kind === 'final') throw failure.error;
      const details = { model: name, tries, ...failure.details };
      const waitMs = failure.retryAfterMs ?? timing.retryDelayMs * 2 ** (tries - 1) * (1 + Math.random() / 4);
      const late = performance.now() - startedAt + waitMs > timing.patienceMs;
      if (tries > maxRetries || waitMs > longestWaitMs || late) throw new FixError(failure.code, { details: { ...details, waitMs } });
      log.warn({ ...details, waitMs }, 'model did not answer; asking again');
      await pause(waitMs, question.signal);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {
    throw new FixError('cancelled');
  });
}

async function askOnce({ language, timing, name }: Connection, question: Question): Promise<Reply> {
  question.signal.throwIfAborted();
  const ours = new AbortController();
  const total = setTimeout(() => ours.abort(tooSlow(name, { totalTimeoutMs: timing.totalTimeoutMs })), timing.totalTimeoutMs);
  const idle = setTimeout(() => ours.abort(new DOMException('nothing new in the stream', 'TimeoutError')), timing.idleTimeoutMs);
  const abortSignal = AbortSignal.any([question.signal, ours.signal]);
  const progress: Progress = { begun: false, bytes: 0, usage: null };
  let afterFailure: NodeJS.Timeout | undefined;
  const onFailed = (error: unknown): void => void (afterFailure = setTimeout(() => ours.abort(error), afterFailureMs));
  try {
    const asking = ask({ language, name }, question, abortSignal, { progress, onPart: () => void idle.refresh(), onFailed });
    const reply = await untilAborted(asking, abortSignal);
    return { ...reply, usage: complete(reply.usage, question, progress) };
  } catch (thrown) {
    if (progress.begun) question.onLost?.({ usage: complete(progress.usage, question, progress) });
    throw ours.signal.aborted ? ours.signal.reason : thrown;
  } finally {
    clearTimeout(total);
    clearTimeout(idle);
    clearTimeout(afterFailure);
    // Lets go of a stream that was left in the middle.
    ours.abort();
  }
}

/** A reply that took this long once is not asked for again: it is paid for each time. */
function tooSlow(model: string, details: Record<string, unknown>): FixError {
  return new FixError('model_reply_endless', { details: { model, problem: 'the reply took too long', ...details } });
}

/**
 * What is not counted would be free, so it is estimated: some servers tell nothing, and of a reply that broke most vendors
 * have not told yet. All of the input is taken for new. Thoughts that were not shown are not known.
 */
function complete(known: Usage | null, question: Question, { bytes }: Progress): Usage {
  return {
    inputTokens: known?.inputTokens || Math.ceil(bytesSent(question) * tokensPerByte),
    outputTokens: known?.outputTokens || Math.ceil(bytes * tokensPerByte),
    cachedInputTokens: known?.cachedInputTokens ?? 0,
  };
}

/** A reply goes back in the vendor's own form, where there is one. */
function bytesSent({ system, messages }: Question): number {
  const texts = messages.map((message) => {
    if (message.role === 'user') return message.text;
    return JSON.stringify(message.role === 'assistant' ? (message.continuation ?? message) : message);
  });
  return [system, ...texts].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

async function ask(
  { language, name }: Pick<Connection, 'language' | 'name'>,
  question: Question,
  abortSignal: AbortSignal,
  watch: Parameters<typeof collectReply>[2],
): Promise<Reply> {
  const { stream } = await streamLanguageModelCall({
    model: language,
    instructions: toInstructions(question.system),
    messages: toModelMessages(question.messages, name),
    tools: toToolSet(question.tools),
    maxOutputTokens: question.maxOutputTokens,
    // A field of a beta that proxies refuse; without it the vendor checks a call's JSON before it sends it.
    providerOptions: { anthropic: { toolStreaming: false } },
    abortSignal,
  });
  return collectReply(stream, name, watch);
}

/** The SDK's streams react to an abort only when they are read next; this does at once. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  return Promise.race([work, aborted.promise]).finally(() => signal.removeEventListener('abort', stop));
}
