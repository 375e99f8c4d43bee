/** NO_PROXY as curl, Go and undici read it: names with all below them, `.example.org` and `*.example.org` for those below only, `:port`, `*`. */
import type { Target } from './target.ts';

export function isDirect(noProxy: string | null, target: Target): boolean {
  const entries = (noProxy ?? '').toLowerCase().split(/[,\s]+/);
  return entries.some((entry) => entry === '*' || matches(entry, target));
}

function matches(entry: string, { host, port }: Target): boolean {
  // A port stands behind one colon, or behind brackets; what has more colons is an address.
  const [, bracketed, plain = '', wanted] = /^(?:\[([^\]]+)\]|([^:]+|[^[\]]*:[^[\]]*:[^[\]]*?))(?::(\d+))?$/.exec(entry) ?? [];
  const name = (bracketed ?? plain).replace(/\.$/, '');
  if (name === '' || (wanted !== undefined && Number(wanted) !== port)) return false;
  const below = name.replace(/^\*?\./, '');
  return host.endsWith(`.${below}`) || host === name;
}
