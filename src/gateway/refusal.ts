/** What the guest is told when the gateway does not do what it asked: an agent reads this and must be able to act on it. */
import type { Verdict } from './policy.ts';
import type { Target } from './target.ts';

export interface Answer {
  readonly status: 400 | 403 | 408 | 431 | 502 | 503;
  /** Rule for the ledger. */
  readonly rule: string;
  readonly text: string;
}

export function answerMalformed(problem: string): Answer {
  return { status: 400, rule: problem, text: `mayfly: this is not a request that the gateway understands (${problem}).` };
}

export function answerDenied(target: Target, verdict: Extract<Verdict, { allowed: false }>, place: { phase: string; settingsKey: string }): Answer {
  const { phase, settingsKey } = place;
  const text = {
    host: `mayfly: ${target.host} is not on the list of this phase (${phase}). To allow it, add it to ${settingsKey}.`,
    port: `mayfly: port ${target.port} of ${target.host} is not open in this phase (${phase}). To open it, add ${target.host}:${target.port} to ${settingsKey}.`,
    address: `mayfly: ${target.host} is an address, and only names are let through. The operator can vouch for an internal address.`,
  }[verdict.reason];
  return { status: 403, rule: verdict.rule, text };
}

export function answerClosedAddress(target: Target, rule: string): Answer {
  return { status: 403, rule, text: `mayfly: ${target.host} leads to an address that is not public (${rule}). The operator can vouch for an internal host.` };
}

export function answerSpent(totalBytes: number): Answer {
  return { status: 403, rule: 'byte limit', text: `mayfly: this run has used up its ${Math.round(totalBytes / 2 ** 20)} MiB of traffic.` };
}

export function answerUnreachable(target: Target, code: string): Answer {
  return { status: 502, rule: code, text: `mayfly: ${target.host} is allowed but could not be reached (${code}).` };
}

export function answerCrowded(connections: number): Answer {
  return { status: 503, rule: 'too many connections', text: `mayfly: ${connections} connections at once is the limit. Try again when one has ended.` };
}

/**
 * The answer as it goes over the wire where no ServerResponse exists. The text stands in the status line too: Go, Python
 * and others show nothing else of a refused CONNECT.
 */
export function wireAnswer({ status, text }: Answer): string {
  const body = `${text}\n`;
  const headers = ['content-type: text/plain; charset=utf-8', `content-length: ${Buffer.byteLength(body)}`, 'connection: close'];
  return [`HTTP/1.1 ${status} ${text}`, ...headers, '', body].join('\r\n');
}
