/** What outlives runs, for a test whose queue is its own business; the real one is in the queue. */
import type { Vault } from '../../src/bot/finished-work.ts';
import type { Memory, PastRun } from '../../src/bot/memory.ts';

export function createMemory(): Memory {
  const kept = new Map<string, string>();
  const runs: PastRun[] = [];
  return {
    keep: (subject, name, value) => Promise.resolve(void kept.set(JSON.stringify([subject, name]), JSON.stringify(value))),
    recall: (subject, name) => Promise.resolve(JSON.parse(kept.get(JSON.stringify([subject, name])) ?? 'null') as unknown),
    remember: (_repositoryId, run) => Promise.resolve(void runs.unshift(run)),
    past: () => Promise.resolve([...runs]),
  };
}

/** The same for what is finished. */
export function createMemoryVault(): Vault {
  const kept = new Map<string, string>();
  return {
    keep: (id, value) => Promise.resolve(kept.set(id, JSON.stringify(value)).has(id)),
    recall: (id) => Promise.resolve(JSON.parse(kept.get(id) ?? 'null') as unknown),
    drop: (id) => Promise.resolve(void kept.delete(id)),
  };
}
