/** Octokit as every request of ours goes out: paced, retried within bounds, ended by the signal. */
import { retry } from '@octokit/plugin-retry';
import { throttling } from '@octokit/plugin-throttling';
import { Octokit } from '@octokit/rest';
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { answerOf, isRateLimit } from './failure.ts';

export interface ClientOptions {
  readonly apiUrl: string;
  readonly userAgent: string;
  readonly log: Log;
  /**
   * Default true: GitHub asks for a second between writes. False only against a stand-in on loopback: no spacing, and
   * a second of waiting is 10 ms.
   */
  readonly paced?: boolean;
  /** How the host reaches GitHub. Default: Node's own. */
  readonly fetch?: typeof fetch;
  /** One attempt of one request. Default 30 s. */
  readonly requestTimeoutMs?: number;
}

export interface ClientUse {
  /** Installation token or JWT; null asks as nobody. */
  readonly auth: string | null;
  /** Requests with the same key share one pace. */
  readonly paceKey: string;
  /** Default true. False for what writes nothing, though its method says so: it waits for no other request. */
  readonly spaced?: boolean;
  readonly signal: AbortSignal;
}

const tries = 3;
/** A longer wait is left to the queue: it would hold a worker that can do other runs. */
const maxWaitSeconds = 90;
/** POSTs that may be sent twice: what they make is named by its content, is made once by GitHub, or is not seen by anybody. GraphQL is only asked. */
const repeatable = /\/(access_tokens|git\/blobs|git\/trees|git\/commits|reactions|requested_reviewers|attempts|conversions|graphql)$/;

const PluggedOctokit = Octokit.plugin(nameRateLimits, retry, throttling);

export function createClient(options: ClientOptions, { auth, paceKey, spaced = options.paced !== false, signal }: ClientUse): Octokit {
  const secondMs = options.paced === false ? 10 : 1000;
  const mayWait = (seconds: number, _request: unknown, _octokit: unknown, waited: number): boolean => waited < tries - 1 && seconds <= maxWaitSeconds;
  const octokit = new PluggedOctokit({
    ...(auth === null ? {} : { auth }),
    baseUrl: options.apiUrl,
    userAgent: options.userAgent,
    log: quietLog(options.log),
    request: { signal, fetch: createBoundedFetch(options.requestTimeoutMs ?? 30_000, options.fetch ?? fetch) },
    retry: { retries: tries - 1, retryAfterBaseValue: secondMs, doNotRetry: [400, 401, 403, 404, 409, 410, 413, 422, 429, 451] },
    throttle: { id: paceKey, retryAfterBaseValue: secondMs, onRateLimit: mayWait, onSecondaryRateLimit: mayWait, ...(!spaced && unspaced()) },
  });
  octokit.hook.before('request', (request) => {
    // A comment or a pull request whose answer was lost may be there: the caller looks before it asks again.
    if (request.method === 'POST' && !repeatable.test(request.url)) request.request = { ...request.request, retries: 0 };
  });
  octokit.hook.wrap('request', async (request, parameters) => await untilAborted(Promise.resolve(request(parameters)), signal));
  return octokit;
}

/** Ends a wait at once when the signal does, whatever a plugin still waits for. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(asFixError(signal.reason, 'cancelled'));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, work]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function createBoundedFetch(timeoutMs: number, send: typeof fetch): typeof fetch {
  return async (input, init) =>
    await send(input, { ...init, signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(init?.signal ? [init.signal] : [])]) });
}

/**
 * The throttling plugin knows a secondary limit by its text. GitHub also sends a bare 429, or a 403 with `retry-after`:
 * both mean the same (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
 */
function nameRateLimits(octokit: { hook: { error(name: 'request', hook: (error: Error) => never): void } }): void {
  octokit.hook.error('request', (error) => {
    const answer = answerOf(error);
    const isPrimary = answer?.headers['x-ratelimit-remaining'] === '0';
    if (answer && isRateLimit(answer) && !isPrimary) error.message = `secondary rate limit: ${error.message}`;
    throw error;
  });
}

/** Groups that let every job through at once, in the shape that the throttling plugin asks for. */
function unspaced(): Record<string, unknown> {
  const job = { schedule: async (_options: unknown, task: (...values: unknown[]) => unknown, ...values: unknown[]): Promise<unknown> => await task(...values) };
  const group = { key: () => job };
  return { write: group, notifications: group, auth: group, global: group };
}

/** Octokit reports each request and each deprecation as a finished sentence. */
function quietLog(log: Log): Record<'debug' | 'info' | 'warn' | 'error', (message: string) => void> {
  const line = (message: unknown): void => log.debug({ octokit: String(message).slice(0, 500) }, 'github request');
  return { debug: () => undefined, info: line, warn: line, error: line };
}
