/** One entry of an allowlist, as people write it: `GET registry.example.org/express/*`. */
import { isIPv6 } from 'node:net';
import { matchesPath, parseRequestPath } from './request-path.ts';
import type { RequestPath } from './request-path.ts';
import { parseAuthority } from './target.ts';
import type { Target } from './target.ts';

/** `host`, `*.host` (any number of labels below it), either with `:port`; before it methods, behind it a path. */
export interface HostRule {
  readonly text: string;
  readonly host: string;
  readonly wildcard: boolean;
  /** Null: the default port of the scheme. */
  readonly port: number | null;
  /** Null: whatever goes through a tunnel. Where there is a path they are GET and HEAD. */
  readonly methods: readonly string[] | null;
  /** Null: every path. `/a/b` is that alone, `/a/*` is `/a` and all below it. */
  readonly path: string | null;
}

/** What a rule means that does not say so. */
export const readingMethods = ['GET', 'HEAD'] as const;

/** Null when the text is no rule. A wildcard needs two labels below it: `*.org` is a mistake. */
export function parseHostRule(text: string): HostRule | null {
  const [, verbs, hostText = '', path = null] = /^(?:([A-Z]+(?:,[A-Z]+)*) )?([^/\s]+)(\/\S*)?$/.exec(text) ?? [];
  const host = parseHost(hostText);
  if (host === null || (path !== null && !isPathPattern(path))) return null;
  const named = verbs?.split(',') ?? null;
  const methods = named?.includes('GET') ? [...new Set([...named, 'HEAD'])] : (named ?? (path === null ? null : readingMethods));
  return { text, ...host, methods, path };
}

function parseHost(text: string): Pick<HostRule, 'host' | 'wildcard' | 'port'> | null {
  const wildcard = text.startsWith('*.');
  const rest = wildcard ? text.slice(2) : text;
  const bracketed = isIPv6(rest) ? `[${rest}]` : rest;
  const hasPort = /:\d+$/.test(bracketed.replace(/^\[.*\]/, ''));
  // Without a port any will do for the parser; the rule then has none.
  const parsed = parseAuthority(bracketed, 1);
  if ('problem' in parsed) return null;
  if (wildcard && (parsed.isAddress || !parsed.host.includes('.'))) return null;
  return { host: parsed.host, wildcard, port: hasPort ? parsed.port : null };
}

/** Plain characters only: what needs a coding would have to be compared with every other coding. */
function isPathPattern(path: string): boolean {
  const fixed = path.endsWith('/*') ? path.slice(0, -1) : path;
  return path.length <= 200 && isPlainPath(fixed);
}

/** Whether a path can stand in a rule as it is. */
export function isPlainPath(path: string): boolean {
  return /^\/[\w.~@!$&'()+,=:/-]*$/.test(path) && 'path' in parseRequestPath(path);
}

export function matchesHost(rule: Pick<HostRule, 'host' | 'wildcard'>, target: Target): boolean {
  return rule.wildcard ? target.host.endsWith(`.${rule.host}`) && !target.isAddress : target.host === rule.host;
}

export function matchesRulePath({ path }: HostRule, requestPath: RequestPath): boolean {
  return path === null || matchesPath(path, requestPath.path);
}
