/** Where a guest wants to go: one canonical spelling, made once, matched by the policy and connected to. */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

export interface Host {
  /** Lower case ASCII without a trailing dot; an IPv6 literal stands without its brackets. */
  readonly host: string;
  /** True for an address literal. */
  readonly isAddress: boolean;
}

export interface Target extends Host {
  readonly port: number;
}

export interface Problem {
  readonly problem: string;
}

const notAName: Problem = { problem: 'not a host name' };
const oddAddress: Problem = { problem: 'address in a notation of its own' };

/** A name of DNS. Underscores are legal there and harmless; anything that a URL parser might read otherwise is not. */
const nameShape = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;
// Control characters are the point here: a NUL once ended a name for the resolver and not for the policy.
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u0020\u007f%@/\\?#<>^|`{}"*,;:[\]]/;

/**
 * The canonical form of a host. Only the usual notation of an address is taken (`127.1`, `0x7f.1` and `2130706433` are
 * all 127.0.0.1 to a resolver), so that the text which an operator vouches for is the only text that gets through.
 */
export function canonicalHost(text: string): Host | Problem {
  if (text.startsWith('[')) return canonicalIpv6(text);
  if (text.length === 0 || text.length > 255 || unsafe.test(text)) return notAName;
  const ascii = domainToASCII(text.endsWith('.') ? text.slice(0, -1) : text);
  if (isIPv4(ascii)) return ascii === text ? { host: ascii, isAddress: true } : oddAddress;
  return nameShape.test(ascii) ? { host: ascii, isAddress: false } : notAName;
}

function canonicalIpv6(text: string): Host | Problem {
  const address = text.slice(1, -1).toLowerCase();
  if (!text.endsWith(']') || address.includes('%') || !isIPv6(address)) return notAName;
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  return canonical === address ? { host: address, isAddress: true } : oddAddress;
}

/** `host:port` or, with a default port, `host`. User information is never part of it. */
export function parseAuthority(text: string, defaultPort: number | null): Target | Problem {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text);
  if (!match) return notAName;
  const port = match[2] === undefined ? defaultPort : Number(match[2]);
  if (port === null || port < 1 || port > 65_535) return { problem: 'no port' };
  const host = canonicalHost(match[1] ?? '');
  return 'problem' in host ? host : { ...host, port };
}

/** `http://host/path` of a plain proxy request, as authority and path. */
export function parseAbsoluteForm(url: string): { readonly target: Target; readonly path: string } | Problem {
  const match = /^http:\/\/([^/?#]*)([^#]*)$/i.exec(url);
  if (!match) return { problem: 'not an http:// address' };
  const target = parseAuthority(match[1] ?? '', 80);
  if ('problem' in target) return target;
  const path = match[2] ?? '';
  return { target, path: path.startsWith('/') ? path : `/${path}` };
}

/** The host as it stands in a URL or a Host header. */
export function hostText(host: Host): string {
  return isIPv6(host.host) ? `[${host.host}]` : host.host;
}

export function authorityText(target: Target): string {
  return `${hostText(target)}:${target.port}`;
}
