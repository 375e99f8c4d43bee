import { expect, test } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import { answerOf, asGitHubError, isLost, isRateLimit } from '../../../src/github/failure.ts';

/** An error as Octokit throws it. */
function answered(status: number, headers: Record<string, string> = {}, message = 'no'): Error {
  const request = { method: 'POST', url: 'https://api.github.com/repos/o/r/git/trees', body: 'the patch', headers: { authorization: 'token [REDACTED]' } };
  return Object.assign(new Error(message), { status, request, response: { headers } });
}

test.each([
  [400, {}, 'github_refused'],
  [401, {}, 'github_unavailable'],
  [403, {}, 'github_refused'],
  [403, { 'retry-after': '60' }, 'github_unavailable'],
  [403, { 'x-ratelimit-remaining': '0' }, 'github_unavailable'],
  [403, { 'x-ratelimit-remaining': '12' }, 'github_refused'],
  [404, {}, 'github_refused'],
  [409, {}, 'github_unavailable'],
  [422, {}, 'github_refused'],
  [429, {}, 'github_unavailable'],
  [500, {}, 'github_unavailable'],
  [503, {}, 'github_unavailable'],
])('an answer with status %i and headers %j is %s', (status, headers, code) => {
  expect(asGitHubError(answered(status, headers)).code).toBe(code);
});

test('a secondary limit that only its text names is not a refusal', () => {
  expect(asGitHubError(answered(403, {}, 'You have exceeded a secondary rate limit.')).code).toBe('github_unavailable');
});

test('the error says which request failed, and holds neither its body nor its headers', () => {
  const error = asGitHubError(answered(422, { 'x-github-request-id': 'A:1' }, 'x'.repeat(2000)));

  expect(error.details).toEqual({ status: 422, method: 'POST', url: 'https://api.github.com/repos/o/r/git/trees', requestId: 'A:1', message: 'x'.repeat(500) });
  expect(error.cause).toBeUndefined();
});

test('what is a FixError stays what it is, and what is no answer is no refusal', () => {
  const lost = new FixError('lock_lost');

  expect(asGitHubError(lost)).toBe(lost);
  expect(asGitHubError(new TypeError('x')).code).toBe('github_unavailable');
  expect([answerOf('text'), answerOf(null), answerOf({ status: 404 })]).toEqual([null, null, null]);
});

test('only an answer that says nothing about the request counts as lost', () => {
  expect([500, 502, 504, 422, 404, 200].map((status) => isLost(answered(status)))).toEqual([true, true, true, false, false, false]);
  expect(isRateLimit({ status: 404, headers: { 'retry-after': '1' } })).toBe(false);
});
