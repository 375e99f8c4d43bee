/** What GitHub's refusals mean, from status and headers alone: texts change, and differ on GitHub Enterprise Server. */
import { FixError, asFixError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';

/** The parts of an Octokit error that decisions are made on. */
export interface Answer {
  /** 500 also stands for no answer at all. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Null when the error is not about an answer of GitHub. */
export function answerOf(error: unknown): Answer | null {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return null;
  const response = 'response' in error ? (error.response as { headers?: Record<string, unknown> } | undefined) : undefined;
  return { status: error.status, headers: Object.fromEntries(Object.entries(response?.headers ?? {}).map(([name, value]) => [name, String(value)])) };
}

export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  const answer = answerOf(error);
  return answer !== null && statuses.includes(answer.status);
}

/** True when the request may have been carried out although its answer says nothing about it. */
export function isLost(error: unknown): boolean {
  return (answerOf(error)?.status ?? 0) >= 500;
}

/** A 403 is not "no permission" before its headers were read. */
export function isRateLimit({ status, headers }: Answer): boolean {
  return status === 429 || (status === 403 && (headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0'));
}

/** The error of a request that an installation token was used for. */
export function asGitHubError(error: unknown): FixError {
  const answer = answerOf(error);
  if (error instanceof FixError || answer === null) return asFixError(error, 'github_unavailable');
  const refused = [400, 403, 404, 405, 410, 413, 422, 451].includes(answer.status) && !isRateLimit(answer) && !isSecondaryLimit(error);
  return gitHubError(refused ? 'github_refused' : 'github_unavailable', error);
}

/** With details for the log; the request itself is left out, because its body holds the patch. */
export function gitHubError(code: ErrorCode, error: unknown): FixError {
  const request = error instanceof Error && 'request' in error ? (error.request as { method?: string; url?: string }) : {};
  const answer = answerOf(error);
  const message = error instanceof Error ? error.message.slice(0, 500) : 'unknown';
  return new FixError(code, {
    details: {
      status: answer?.status,
      method: request.method,
      url: request.url?.slice(0, 300),
      requestId: answer?.headers['x-github-request-id'],
      message,
      ...(answer && isRateLimit(answer) && waitOf(answer)),
    },
  });
}

/** For how long GitHub wants nothing more, as it says itself; the moment that it names is one of its own clock. */
function waitOf({ headers }: Answer): { readonly waitMs?: number } {
  const seconds = Number(headers['retry-after'] ?? NaN);
  const until = Number(headers['x-ratelimit-reset'] ?? NaN) * 1000 - Date.parse(headers['date'] ?? '');
  const waitMs = Number.isNaN(seconds) ? until : seconds * 1000;
  return Number.isFinite(waitMs) && waitMs >= 0 ? { waitMs } : {};
}

/** GitHub sends this limit without a header at times; its text is what the throttling plugin goes by, too. */
function isSecondaryLimit(error: unknown): boolean {
  return error instanceof Error && /\bsecondary rate\b/i.test(error.message);
}
