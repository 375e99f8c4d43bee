/** What the guest is told when the gateway does not do what it asked: an agent reads this and must be able to act on it. */
import type { Ceiling } from './ceiling.ts';
import { isPlainPath, parseHostRule } from './host-rule.ts';
import { defaultPorts } from './policy.ts';
import type { Scheme, Verdict } from './policy.ts';
import type { RequestPath } from './request-path.ts';
import { authorityText, hostText } from './target.ts';
import type { Target } from './target.ts';

export interface Refusal {
  readonly status: 400 | 403 | 408 | 431 | 502 | 503;
  /** Rule for the ledger. */
  readonly rule: string;
  readonly text: string;
  /** The entry of an allowlist that would have let it through; none when no entry would. */
  readonly wouldAllow?: string;
  /** The entry that the operator's ceiling keeps settings from. */
  readonly beyondCeiling?: string;
}

/** Where people would allow it. */
export interface RuleLocation {
  readonly phase: string;
  readonly settingsKey: string;
  /** What they could not go beyond; null where they can open everything. */
  readonly ceiling: Ceiling | null;
  /** Whether they take an entry. */
  readonly isSettable: (entry: string) => boolean;
}

/** What the refused request was, as far as a rule could name it. */
interface Refused {
  readonly target: Target;
  readonly scheme: Scheme;
  readonly method: string;
  readonly requestPath: RequestPath;
}

export function refuseMalformed(problem: string): Refusal {
  return { status: 400, rule: problem, text: `mayfly: this is not a request that the gateway understands (${problem}).` };
}

/** In the words of Node's parser, which counts only what comes over HTTP/1.1. */
export function refuseHeaderSize(): Refusal {
  return refuseUnreadable(Object.assign(new Error('headers'), { code: 'HPE_HEADER_OVERFLOW' }));
}

/** Of what Node's parser did not take. */
export function refuseUnreadable(error: NodeJS.ErrnoException): Refusal {
  return { ...refuseMalformed(plainCode(error)), status: error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400 };
}

export function refuseHost(
  asked: { target: Target; scheme: Scheme },
  verdict: Extract<Verdict, { allowed: false }>,
  { phase, settingsKey, ceiling, isSettable }: RuleLocation,
): Refusal {
  const { target, scheme } = asked;
  const entry = hostEntry(asked);
  if (verdict.reason !== 'address' && ceiling?.permits(target, scheme) === false) {
    return refuseBeyond(ceiling, entry, verdict.reason === 'host' ? target.host : `port ${target.port} of ${target.host}`);
  }
  const advise = (what: string): string =>
    isSettable(entry) ? `To ${what} it, add ${entry === hostText(target) ? 'it' : entry} to ${settingsKey}.` : noSettings;
  const text = {
    host: `mayfly: ${target.host} is not on the list of this phase (${phase}). ${advise('allow')}`,
    port: `mayfly: port ${target.port} of ${target.host} is not open in this phase (${phase}). ${advise('open')}`,
    address: `mayfly: ${target.host} is an address, and only names are let through. The operator can vouch for an internal address.`,
  }[verdict.reason];
  return { status: 403, rule: verdict.rule, text, ...(verdict.reason !== 'address' && { wouldAllow: entry }) };
}

const noSettings = 'No settings can allow it.';

/** What the operator lets no settings open. */
function refuseBeyond({ key }: Ceiling, entry: string, what: string): Refusal {
  const text = `mayfly: the operator of this installation does not allow ${what}. No settings can open it, only the operator can (${key}).`;
  return { status: 403, rule: `beyond the operator's ${key}`, text, beyondCeiling: entry };
}

/** An entry as short as it can be. */
function hostEntry({ target, scheme }: { target: Target; scheme: Scheme }): string {
  return target.port === defaultPorts[scheme] ? hostText(target) : authorityText(target);
}

/** The entry for this very request, or null when its path cannot stand in one. */
function requestEntry(asked: Refused): string | null {
  const { method, requestPath } = asked;
  const entry = `${method === 'HEAD' ? 'GET' : method} ${hostEntry(asked)}${requestPath.path}`;
  return isPlainPath(requestPath.path) && parseHostRule(entry) !== null ? entry : null;
}

export function refusePath(asked: Refused, where: RuleLocation): Refusal {
  return refuseRequest(asked, where, {
    rule: 'path not on the list',
    what: `this path of ${asked.target.host} is not on the list of this phase (${where.phase})`,
    short: `this path of ${asked.target.host}`,
  });
}

export function refuseMethod(asked: Refused, where: RuleLocation): Refusal {
  const method = printable(asked.method, 20);
  return refuseRequest(asked, where, {
    rule: `method ${method}`,
    what: `${method} to ${asked.target.host} is not allowed in this phase (${where.phase})`,
    short: `${method} to this path of ${asked.target.host}`,
  });
}

function refuseRequest(
  asked: Refused,
  { settingsKey, ceiling, isSettable }: RuleLocation,
  { rule, what, short }: { rule: string; what: string; short: string },
): Refusal {
  const entry = requestEntry(asked);
  if (entry !== null && ceiling?.permits(asked.target, asked.scheme, asked) === false) return refuseBeyond(ceiling, entry, short);
  if (entry === null) return { status: 403, rule, text: `mayfly: ${what}.` };
  const advice = isSettable(entry) ? `To allow it, add "${entry}" to ${settingsKey}.` : noSettings;
  return { status: 403, rule, text: `mayfly: ${what}. ${advice}`, wouldAllow: entry };
}

export function refuseBody({ target, method }: { target: Target; method: string }): Refusal {
  return { status: 403, rule: 'request body', text: `mayfly: a ${method} request to ${target.host} may not have a body.` };
}

export function refusePackageNames(count: number): Refusal {
  const advice = 'Use packages that the repository names, or hand your work in without more.';
  return {
    status: 403,
    rule: `more than ${count} package names`,
    text: `mayfly: this run has asked registries for ${count} other packages, which is the limit. ${advice}`,
  };
}

export function refuseRegistryAddresses(count: number): Refusal {
  return {
    status: 403,
    rule: `more than ${count} addresses of registries`,
    text: `mayfly: this run has asked registries at ${count} addresses, which is the limit. Use what is installed, or hand your work in without more.`,
  };
}

export function refuseRequestCount(): Refusal {
  return { status: 403, rule: 'request limit', text: 'mayfly: this run has used up its number of requests.' };
}

export function refuseAddress(target: Target, rule: string): Refusal {
  return { status: 403, rule, text: `mayfly: ${target.host} leads to an address that is not public (${rule}). The operator can vouch for an internal host.` };
}

export function refuseBytes(totalBytes: number): Refusal {
  return { status: 403, rule: 'byte limit', text: `mayfly: this run has used up its ${Math.round(totalBytes / 2 ** 20)} MiB of traffic.` };
}

export function refuseUnreachable(target: Target, code: string): Refusal {
  return { status: 502, rule: code, text: `mayfly: ${target.host} is allowed but could not be reached (${code}).` };
}

export function refuseConnection(connections: number): Refusal {
  return { status: 503, rule: 'too many connections', text: `mayfly: ${connections} connections at once is the limit. Try again when one has ended.` };
}

/**
 * The answer as it goes over the wire where no ServerResponse exists. The text stands in the status line too: Go, Python
 * and others show nothing else of a refused CONNECT.
 */
export function formatRefusal({ status, text }: Refusal): string {
  const body = `${text}\n`;
  const headers = ['content-type: text/plain; charset=utf-8', `content-length: ${Buffer.byteLength(body)}`, 'connection: close'];
  return [`HTTP/1.1 ${status} ${text}`, ...headers, '', body].join('\r\n');
}

/** A stranger's words in a form that may stand in a ledger or a status line. */
export function printable(text: string, most = 253): string {
  return text.slice(0, most).replaceAll(/[^!-~]/g, '?');
}

/** An error's code as it may stand in a status line. */
export function plainCode(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[\w .-]{1,60}$/.test(code) ? code : 'error';
}
