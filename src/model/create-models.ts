/** The operator's models: the one of choice, those that a repository may name instead, and the one that goes on when it is away. */
import type { Log } from '../log.ts';
import { withFallback } from './fallback.ts';
import type { Model, Models } from './model.ts';

export interface ModelsOptions {
  /** `vendor/name`, the operator's choice first. */
  readonly names: readonly [string, ...string[]];
  readonly fallback: string | null;
  /** Throws for a name or key that is not good: at once, not when a run needs it. */
  readonly create: (name: string) => Model;
  readonly log: Log;
}

export function createModels({ names: [first, ...others], fallback, create, log }: ModelsOptions): Models {
  const allowed = new Map([first, ...others].map((name) => [name, create(name)]));
  const second = fallback === null ? null : (allowed.get(fallback) ?? create(fallback));
  return {
    names: [...allowed.keys()],
    anyPriced: [...allowed.values(), second].some((model) => model !== null && model.priceSource !== null),
    open(name) {
      const model = allowed.get(name ?? first) ?? null;
      return model === null || second === null || model === second ? model : withFallback(model, second, log);
    },
  };
}
