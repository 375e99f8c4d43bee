/**
 * What a failed request means. Vendors and the SDK throw many shapes; the few fields that decide are read here, and nothing
 * else of them is kept: SDK errors carry the request, with everything the model was told.
 */
import { z } from 'zod';
import { FixError } from '../errors.ts';

/** `again` may pass by itself, and is `code` when it does not; `final` will not. */
export type Failure =
  | {
      readonly kind: 'again';
      readonly code: 'model_busy' | 'model_unavailable';
      readonly retryAfterMs: number | null;
      readonly details: Record<string, unknown>;
    }
  | { readonly kind: 'final'; readonly error: FixError };

const Thrown = z.object({
  name: z.string().catch(''),
  message: z.string().catch(''),
  statusCode: z.number().optional().catch(undefined),
  isRetryable: z.boolean().optional().catch(undefined),
  type: z.string().optional().catch(undefined),
  code: z.union([z.string(), z.number()]).optional().catch(undefined),
  /** The body of an answer, where the SDK could read it. */
  data: z
    .object({ error: z.object({ type: z.unknown(), code: z.unknown() }) })
    .optional()
    .catch(undefined),
  responseBody: z.string().optional().catch(undefined),
  responseHeaders: z.record(z.string(), z.string()).optional().catch(undefined),
});

const passing = new Set([408, 409, 425, 429]);
/** 529 is Anthropic's own, and inside of a stream there is only a type: https://docs.anthropic.com/en/api/errors */
const busy = new Set<unknown>([429, 529, 'rate_limit_error', 'overloaded_error']);

/**
 * How vendors say that they do not read so much; few have a code of their own for it.
 * Anthropic (`request_too_large` is its 413), Bedrock; OpenAI and most that imitate it, which also answers 429 to a request
 * that alone is more than a minute's tokens; Google; then llama.cpp, vLLM, SGLang, LM Studio and Ollama.
 */
const tooLong = [
  /prompt is too long|exceed context limit|request_too_large|input is too long for requested model/i,
  /context_length_exceeded|maximum (?:context|prompt) length|exceeds the context window|request too large for/i,
  /input token count[^.]{0,40}exceeds the maximum|request payload size exceeds/i,
  /exceed_context_size|available context size|model's context length|exceeds the maximum allowed length|greater than the context length|exceeded max context length/i,
];

function isTooLong(status: number | undefined, texts: readonly unknown[]): boolean {
  const said = texts
    .filter((text) => typeof text === 'string')
    .map((text) => text.slice(0, 4000))
    .join('\n');
  return status === 413 || tooLong.some((pattern) => pattern.test(said));
}

/** Reads a thrown thing. `apiKey` is taken out of what the vendor said: some repeat it. */
export function readFailure(thrown: unknown, apiKey: string): Failure {
  const known = chain(thrown).find((link) => link instanceof FixError);
  if (known !== undefined) return { kind: 'final', error: known };
  const { success, data } = Thrown.safeParse(thrown);
  if (!success) return { kind: 'again', code: 'model_unavailable', retryAfterMs: null, details: { thrown: typeof thrown } };
  const status = data.statusCode;
  const details = {
    status,
    type: data.type ?? data.code ?? causeCode(thrown),
    requestId: data.responseHeaders?.['request-id'] ?? data.responseHeaders?.['x-request-id'],
    said: clean(data.message, apiKey),
  };
  if (status === 401 || status === 403) return { kind: 'final', error: new FixError('model_credentials', { details }) };
  if (isTooLong(status, [data.message, data.code, data.responseBody])) return { kind: 'final', error: new FixError('model_input_too_long', { details }) };
  if (isRefusal(status, data) || isSpent(data.data?.error)) return { kind: 'final', error: new FixError('model_refused', { details }) };
  const code = busy.has(status) || busy.has(data.type) ? 'model_busy' : 'model_unavailable';
  return { kind: 'again', code, retryAfterMs: readRetryAfter(data.responseHeaders ?? {}), details };
}

/** A status below 300 is a reply that broke on the way. An error inside of a stream has no status, but a type. */
function isRefusal(status: number | undefined, data: { isRetryable?: boolean | undefined; type?: string | undefined }): boolean {
  if (data.isRetryable === true) return false;
  if (status === undefined) return data.type === 'invalid_request_error';
  return status >= 300 && status < 500 && !passing.has(status);
}

/** OpenAI answers 429 also when the account has no money left, and that does not pass: https://platform.openai.com/docs/guides/error-codes */
function isSpent(error: { type: unknown; code: unknown } | undefined): boolean {
  return error !== undefined && [error.type, error.code].includes('insufficient_quota');
}

function readRetryAfter(headers: Readonly<Record<string, string>>): number | null {
  const exact = Number.parseFloat(headers['retry-after-ms'] ?? '');
  if (exact >= 0) return exact;
  const value = headers['retry-after'] ?? '';
  const ms = /^[\d.]+$/.test(value) ? Number.parseFloat(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

function chain(thrown: unknown): unknown[] {
  const links: unknown[] = [];
  for (let link = thrown; link instanceof Error && links.length < 10; link = link.cause) links.push(link);
  return links;
}

function causeCode(thrown: unknown): unknown {
  return chain(thrown)
    .map((link) => (link as { code?: unknown }).code)
    .find((code) => typeof code === 'string');
}

function clean(text: string, apiKey: string): string {
  const safe = apiKey.length < 8 ? text : text.replaceAll(apiKey, '[secret]');
  return safe.slice(0, 500);
}
