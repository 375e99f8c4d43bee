/**
 * What the operator lets settings open at most, so that a refusal advises nobody to write what would have no effect. What
 * is open is decided by the allowlist alone, which was narrowed before it came here.
 */
import { matchesHost, matchesRulePath, parseHostRule } from './host-rule.ts';
import { defaultPorts } from './policy.ts';
import type { Scheme } from './policy.ts';
import type { RequestPath } from './request-path.ts';
import type { Target } from './target.ts';

/** An operator's list of hosts, as entries of an allowlist. */
export interface CeilingOptions {
  readonly allow: readonly string[];
  /** Where the operator writes it, for people. */
  readonly key: string;
}

export interface Ceiling {
  readonly key: string;
  /** Whether settings could open the target at all; with a request, whether they could open it to that. */
  permits(target: Target, scheme: Scheme, request?: { readonly method: string; readonly requestPath: RequestPath }): boolean;
}

export function createCeiling({ allow, key }: CeilingOptions): Ceiling {
  const rules = allow.flatMap((text) => parseHostRule(text) ?? []);
  return {
    key,
    permits(target, scheme, request) {
      const open = rules.filter((rule) => matchesHost(rule, target) && (rule.port ?? defaultPorts[scheme]) === target.port);
      if (request === undefined) return open.length > 0;
      // As the entry would say it that is advised.
      const method = request.method === 'HEAD' ? 'GET' : request.method;
      return open.some((rule) => rule.methods === null || (rule.methods.includes(method) && matchesRulePath(rule, request.requestPath)));
    },
  };
}
