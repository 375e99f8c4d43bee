/** What outlives runs, for a test whose queue is its own business; the real one is in the queue. */
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
