/** What of a host a request wants: one canonical reading of its path, which rules are matched against. */
import type { Problem } from './target.ts';

export interface RequestPath {
  /** As it was written, without the query. It is what goes on, since servers differ in what they take for the same. */
  readonly written: string;
  /** Decoded once. */
  readonly path: string;
  /** Without its question mark; null when there is none. */
  readonly query: string | null;
}

const problem: Problem = { problem: 'path in a notation of its own' };

/**
 * Refuses what one server reads so and another otherwise: dot segments in any coding, empty segments, backslashes,
 * control characters, twice encoded characters, bytes above ASCII (which only HTTP/2 can write).
 */
export function parseRequestPath(url: string): RequestPath | Problem {
  if (/[^!-~]/.test(url)) return problem;
  const [, written, query] = /^(\/[^?#\\]*)(?:\?([^#]*))?$/.exec(url) ?? [];
  if (written === undefined) return problem;
  // A dot that stands for nothing is harmless, and apt writes it.
  const path = decodeOnce(written.replaceAll('/./', '/'));
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (path === null || /[\u0000-\u001f\u007f\\]|%[\da-f]{2}/i.test(path)) return problem;
  const segments = path.slice(1).split('/');
  const isOdd = (segment: string, index: number): boolean => (segment === '' && index < segments.length - 1) || /^\.{1,2}(?:;|$)/.test(segment);
  return segments.some(isOdd) ? problem : { written, path, query: query ?? null };
}

function decodeOnce(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** `/a/b` is that alone, `/a/*` is `/a` and all below it. */
export function matchesPath(pattern: string, path: string): boolean {
  if (!pattern.endsWith('/*')) return path === pattern;
  const folder = pattern.slice(0, -1);
  return path.startsWith(folder) || path === folder.slice(0, -1);
}
