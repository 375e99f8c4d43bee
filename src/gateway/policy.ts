/** Default deny: which target a phase lets through, by which rule, and what may be asked of it. */
import { matchesHost, matchesRulePath, parseHostRule, readingMethods } from './host-rule.ts';
import type { HostRule } from './host-rule.ts';
import type { RequestPath } from './request-path.ts';
import type { Target } from './target.ts';

/** `connect` is CONNECT, `http` is a request for an http:// address. */
export type Scheme = 'connect' | 'http';

export const defaultPorts = { connect: 443, http: 80 } as const satisfies Record<Scheme, number>;

export type Verdict =
  /** `inspects`: each request is looked at, so a tunnel ends at the gateway. */
  | { readonly allowed: true; readonly rule: string; readonly internal: boolean; readonly inspects: boolean }
  | { readonly allowed: false; readonly rule: string; readonly reason: 'address' | 'host' | 'port' };

export type RequestVerdict = { readonly allowed: true; readonly rule: string } | { readonly allowed: false; readonly reason: 'method' | 'path' };

export interface Policy {
  readonly phase: string;
  decide(target: Target, scheme: Scheme): Verdict;
  /** For a target that is let through, and inspected. */
  judge(target: Target, scheme: Scheme, asked: { readonly method: string; readonly requestPath: RequestPath }): RequestVerdict;
  /** Entries that could not be read; they let nothing through. */
  readonly unreadable: readonly string[];
}

export interface PolicyOptions {
  readonly phase: string;
  readonly allow: readonly string[];
  readonly internal: readonly string[];
  /** Whether requests to this target are looked at whatever the rule says: a registry after setup, a host with a credential. */
  readonly mustInspect: (target: Target, scheme: Scheme) => boolean;
}

export function createPolicy({ phase, allow, internal, mustInspect }: PolicyOptions): Policy {
  const allowed = readRules(allow);
  const vouched = readRules(internal);
  const findRules = (target: Target, scheme: Scheme): { named: HostRule[]; open: HostRule[] } => {
    const named = allowed.rules.filter((rule) => matchesHost(rule, target));
    return { named, open: named.filter((rule) => (rule.port ?? defaultPorts[scheme]) === target.port) };
  };
  return {
    phase,
    unreadable: [...allowed.unreadable, ...vouched.unreadable],
    decide(target, scheme) {
      // An entry of `internal` without a port vouches for the host: which ports are open is the allowlist's business.
      const isInternal = vouched.rules.some((rule) => matchesHost(rule, target) && (rule.port ?? target.port) === target.port);
      if (target.isAddress && !isInternal) return { allowed: false, rule: 'address literal', reason: 'address' };
      const { named, open } = findRules(target, scheme);
      if (named.length === 0) return { allowed: false, rule: 'not on the list', reason: 'host' };
      const match = open.find(({ methods }) => methods === null) ?? open[0];
      if (!match) return { allowed: false, rule: `port ${target.port}`, reason: 'port' };
      return { allowed: true, rule: `allow ${match.text}`, internal: isInternal, inspects: match.methods !== null || mustInspect(target, scheme) };
    },
    judge(target, scheme, { method, requestPath }) {
      const { open } = findRules(target, scheme);
      const forPath = open.filter((rule) => matchesRulePath(rule, requestPath));
      if (forPath.length === 0) return { allowed: false, reason: 'path' };
      const match = forPath.find(({ methods }) => (methods ?? readingMethods).includes(method));
      return match ? { allowed: true, rule: `allow ${match.text}` } : { allowed: false, reason: 'method' };
    },
  };
}

function readRules(entries: readonly string[]): { rules: HostRule[]; unreadable: string[] } {
  const parsed = entries.map((text) => ({ text, rule: parseHostRule(text) }));
  return {
    rules: parsed.flatMap(({ rule }) => (rule ? [rule] : [])),
    unreadable: parsed.filter(({ rule }) => !rule).map(({ text }) => text),
  };
}
