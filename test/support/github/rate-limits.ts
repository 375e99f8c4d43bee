/** The primary rate limit: so many requests per token and hour, told in the headers of every answer. */
import { Refusal } from './world.ts';

export interface RateLimits {
  /** Counts one request; throws GitHub's 403 when none is left. */
  spend(caller: string | null): void;
  headers(caller: string | null): Record<string, string>;
}

const hourMs = 3_600_000;

export function createRateLimits(options: { limit: number; now: () => number }): RateLimits {
  const windows = new Map<string, { used: number; resetAtMs: number }>();
  const windowOf = (caller: string | null): { used: number; resetAtMs: number } => {
    const key = caller ?? 'anonymous';
    const known = windows.get(key);
    if (known && known.resetAtMs > options.now()) return known;
    const fresh = { used: 0, resetAtMs: options.now() + hourMs };
    windows.set(key, fresh);
    return fresh;
  };
  return {
    spend(caller) {
      const window = windowOf(caller);
      if (window.used >= options.limit) throw new Refusal(403, 'API rate limit exceeded for installation.');
      window.used += 1;
    },
    headers(caller) {
      const { used, resetAtMs } = windowOf(caller);
      return {
        'x-ratelimit-limit': String(options.limit),
        'x-ratelimit-remaining': String(Math.max(0, options.limit - used)),
        'x-ratelimit-used': String(used),
        'x-ratelimit-reset': String(Math.ceil(resetAtMs / 1000)),
        'x-ratelimit-resource': 'core',
      };
    },
  };
}
