/** Entries of `allow` as text: what they may look like, and what is left of one within the operator's ceiling. */
import { isHost } from './formats.ts';
import { hostPresets } from './presets.ts';

interface AllowEntry {
  /** With its port, and `*.` where it is a wildcard; lower case. */
  readonly host: string;
  /** Null: all of them. */
  readonly methods: readonly string[] | null;
  readonly path: string | null;
}

/** Those that an entry may name. */
export const ruleMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** `example.org`, `example.org/a/b`, `GET example.org/a/*`, `GET,POST *.example.org:8443`. What the gateway takes is more. */
export function isHostRule(text: string): boolean {
  return parseEntry(text) !== null;
}

/** Names of registries stand for their hosts. */
export function expandPresets(entries: readonly string[]): readonly string[] {
  const known: Readonly<Record<string, readonly string[]>> = hostPresets;
  return [...new Set(entries.flatMap((entry) => (Object.hasOwn(known, entry) ? (known[entry] ?? []) : [entry])))];
}

/** The other way round: the name of a registry where all of its hosts are there, the rest as they are. */
export function foldPresets(hosts: readonly string[]): readonly string[] {
  const whole = Object.entries(hostPresets).filter(([, own]) => own.every((host) => hosts.includes(host)));
  const folded: readonly string[] = whole.flatMap(([, own]) => own);
  return [...whole.map(([name]) => name), ...hosts.filter((host) => !folded.includes(host))];
}

/** What of the wanted entries the ceiling leaves: each as it is, as far as the ceiling goes, or not at all. */
export function withinCeiling(wanted: readonly string[], ceiling: readonly string[]): readonly string[] {
  const kept = wanted.flatMap((entry) => {
    const met = ceiling.flatMap((rule) => meet(rule, entry) ?? []);
    return met.includes(entry) ? [entry] : met;
  });
  return [...new Set(kept)];
}

/** The part of an entry that a rule allows. A port is open only where it is named, `*.` is every depth below. */
function meet(ruleText: string, entryText: string): string | null {
  const [rule, entry] = [parseEntry(ruleText), parseEntry(entryText)];
  if (rule === null || entry === null || !coversHost(rule.host, entry.host)) return null;
  const verbs = rule.methods === null || entry.methods === null ? (rule.methods ?? entry.methods) : entry.methods.filter((one) => rule.methods?.includes(one));
  const path = meetPaths(rule.path, entry.path);
  if (verbs?.length === 0 || path === undefined) return null;
  const isSame = String(verbs) === String(entry.methods) && path === entry.path;
  return isSame ? entryText : `${verbs === null ? '' : `${verbs.join(',')} `}${entry.host}${path ?? ''}`;
}

/** The narrower of two, or undefined when they have nothing in common. */
function meetPaths(rule: string | null, entry: string | null): string | null | undefined {
  if (rule === null || entry === null) return rule ?? entry;
  if (isWithin(entry, rule)) return entry;
  return isWithin(rule, entry) ? rule : undefined;
}

function isWithin(path: string, pattern: string): boolean {
  if (path === pattern) return true;
  if (!pattern.endsWith('/*')) return false;
  const folder = pattern.slice(0, -1);
  return path.startsWith(folder) || path === folder.slice(0, -1);
}

function coversHost(rule: string, host: string): boolean {
  const [allowed, asked] = [splitHost(rule), splitHost(host)];
  if (allowed.port !== asked.port) return false;
  if (!allowed.wildcard) return !asked.wildcard && allowed.name === asked.name;
  return asked.name.endsWith(`.${allowed.name}`) || (asked.wildcard && asked.name === allowed.name);
}

function splitHost(text: string): { readonly name: string; readonly wildcard: boolean; readonly port: string } {
  const wildcard = text.startsWith('*.');
  const [name = '', port = ''] = text.slice(wildcard ? 2 : 0).split(':');
  return { name, wildcard, port };
}

/** GET is also HEAD; a path without methods is read only. */
function parseEntry(text: string): AllowEntry | null {
  const [, verbs, host = '', path = null] = /^(?:([A-Z]+(?:,[A-Z]+)*) )?([^/\s]+)(\/\S*)?$/.exec(text) ?? [];
  if (!isHost(host) || (path !== null && !isPath(path))) return null;
  const named = verbs?.split(',') ?? (path === null ? null : ['GET']);
  if (named?.some((name) => !ruleMethods.includes(name))) return null;
  return { host: host.toLowerCase(), methods: named?.includes('GET') ? named.filter((name) => name !== 'HEAD') : named, path };
}

/** Plain characters, and `/*` at the end for all below. */
function isPath(path: string): boolean {
  const fixed = path.endsWith('/*') ? path.slice(0, -1) : path;
  const segments = fixed.slice(1).split('/');
  const isOdd = (segment: string, index: number): boolean => (segment === '' && index < segments.length - 1) || segment === '.' || segment === '..';
  return path.length <= 200 && /^\/[\w.~@!$&'()+,=:/-]*$/.test(fixed) && !segments.some(isOdd);
}
