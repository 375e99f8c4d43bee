/** Default deny: which target a phase lets through, and by which rule. */
import { isIPv6 } from 'node:net';
import { parseAuthority } from './target.ts';
import type { Target } from './target.ts';

/** One entry of an allowlist: `host`, `*.host` (any number of labels below it), either with `:port`. */
export interface HostRule {
  readonly text: string;
  readonly host: string;
  readonly wildcard: boolean;
  /** Null: the default port of the scheme. */
  readonly port: number | null;
}

/** `tunnel` is CONNECT, `plain` is a request for an http:// address. */
export type Scheme = 'tunnel' | 'plain';

export const defaultPorts = { tunnel: 443, plain: 80 } as const satisfies Record<Scheme, number>;

export type Verdict =
  | { readonly allowed: true; readonly rule: string; readonly internal: boolean }
  | { readonly allowed: false; readonly rule: string; readonly reason: 'address' | 'host' | 'port' };

export interface Policy {
  readonly phase: string;
  decide(target: Target, scheme: Scheme): Verdict;
  /** Entries that could not be read; they let nothing through. */
  readonly unreadable: readonly string[];
}

/** Null when the text is no rule. A wildcard needs two labels below it: `*.org` is a mistake. */
export function parseHostRule(text: string): HostRule | null {
  const wildcard = text.startsWith('*.');
  const rest = wildcard ? text.slice(2) : text;
  const bracketed = isIPv6(rest) ? `[${rest}]` : rest;
  const hasPort = /:\d+$/.test(bracketed.replace(/^\[.*\]/, ''));
  // Without a port any will do for the parser; the rule then has none.
  const parsed = parseAuthority(bracketed, 1);
  if ('problem' in parsed) return null;
  if (wildcard && (parsed.isAddress || !parsed.host.includes('.'))) return null;
  return { text, host: parsed.host, wildcard, port: hasPort ? parsed.port : null };
}

export function createPolicy(phase: string, allow: readonly string[], internal: readonly string[]): Policy {
  const allowed = readRules(allow);
  const vouched = readRules(internal);
  return {
    phase,
    unreadable: [...allowed.unreadable, ...vouched.unreadable],
    decide(target, scheme) {
      // An entry of `internal` without a port vouches for the host: which ports are open is the allowlist's business.
      const isInternal = vouched.rules.some((rule) => matchesHost(rule, target) && (rule.port ?? target.port) === target.port);
      if (target.isAddress && !isInternal) return { allowed: false, rule: 'address literal', reason: 'address' };
      const named = allowed.rules.filter((rule) => matchesHost(rule, target));
      if (named.length === 0) return { allowed: false, rule: 'not on the list', reason: 'host' };
      const match = named.find((rule) => (rule.port ?? defaultPorts[scheme]) === target.port);
      if (!match) return { allowed: false, rule: `port ${target.port}`, reason: 'port' };
      return { allowed: true, rule: `allow ${match.text}`, internal: isInternal };
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

function matchesHost(rule: HostRule, target: Target): boolean {
  return rule.wildcard ? target.host.endsWith(`.${rule.host}`) && !target.isAddress : target.host === rule.host;
}
