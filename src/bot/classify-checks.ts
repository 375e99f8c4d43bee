/** Why a check failed, as far as the host can tell without running anything. Names and logs are hostile, so a wrong guess costs a run or a sentence and no more. */
import type { CheckRun } from '../github/github.ts';

/** `ours`: the change may be the reason. `infrastructure`: no change can mend it. `base`: fails there, too. `unreadable`: there is no log to go by. */
export type Cause = 'ours' | 'infrastructure' | 'base' | 'unreadable';

const failures = new Set(['failure', 'timed_out', 'cancelled', 'startup_failure', 'stale']);
const endedFromOutside = new Set(['timed_out', 'cancelled', 'startup_failure', 'stale']);

export const hasFailed = ({ conclusion }: CheckRun): boolean => conclusion !== null && failures.has(conclusion);

/** What runners, registries and networks say when they give up. Looked for near the end, where the reason of a failure stands. */
const giveUpWords = [
  'The runner has received a shutdown signal',
  'lost communication with the server',
  'The hosted runner encountered an error',
  'The job was not acquired by Runner',
  'No space left on device',
  'Could not resolve host',
  'Temporary failure in name resolution',
  'EAI_AGAIN',
  'ECONNRESET',
  'ETIMEDOUT',
  'TLS handshake timeout',
  'Connection timed out',
  'Connection reset by peer',
  '502 Bad Gateway',
  '503 Service Unavailable',
  '504 Gateway Time',
  'toomanyrequests',
  'API rate limit exceeded',
];
const searchedCharacters = 6000;

export function classifyCheck(run: CheckRun, log: string | null, base: readonly CheckRun[]): Cause {
  if (endedFromOutside.has(run.conclusion ?? '')) return 'infrastructure';
  if (base.some((other) => other.name === run.name && hasFailed(other))) return 'base';
  if (log === null || log.trim() === '') return 'unreadable';
  const end = log.slice(-searchedCharacters);
  return giveUpWords.some((words) => end.includes(words)) ? 'infrastructure' : 'ours';
}

const stamp = /^\uFEFF?\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{1,9}Z ?/gm;

/** A log of GitHub Actions without the time at the beginning of each line; its end, where the failure stands. */
export function clipLog(log: string, maxCharacters: number): string {
  const text = log.replaceAll(stamp, '').trimEnd();
  return text.length <= maxCharacters ? text : `[... the beginning is left out ...]\n${text.slice(-maxCharacters).replace(/^[\uDC00-\uDFFF]/, '')}`;
}
