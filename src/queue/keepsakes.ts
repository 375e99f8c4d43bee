/**
 * What has to be known of an issue later, and is not in any run: the plan that waits for approval, the branch with
 * unfinished work, what was asked last. Signed, because a run is made of it: whoever can write to Redis must not.
 */
import type { Redis } from 'ioredis';
import { within } from './deadline.ts';
import type { Seal } from './seal.ts';

const keptSeconds = 30 * 24 * 60 * 60;
const maxBytes = 512 * 1024;
const answerMs = 10_000;

/** One of each for an issue; the names are the caller's, and part of what is signed. */
export type KeepsakeName = 'job' | 'held' | 'plan' | 'unheard' | 'spend' | 'repairs' | 'stopped';

interface Subject {
  readonly repositoryId: number;
  readonly issue: number;
}

export interface Keepsakes {
  /** Over the one before. What is too large is not kept, and neither is the one before: it would be another's. */
  keep(subject: Subject, name: KeepsakeName, value: unknown): Promise<void>;
  /** Null when there is none, or when we did not sign it for this issue under this name. Parsed by the caller. */
  recall(subject: Subject, name: KeepsakeName): Promise<unknown>;
}

export function createKeepsakes({ redis, prefix, seal }: { redis: Redis; prefix: string; seal: Seal }): Keepsakes {
  const idOf = ({ repositoryId, issue }: Subject, name: KeepsakeName): string => `${name}:${repositoryId}:${issue}`;
  const keyOf = (id: string): string => `${prefix}:kept:${id}`;
  return {
    async keep(subject, name, value) {
      const id = idOf(subject, name);
      const text = JSON.stringify(seal.close(id, value));
      if (Buffer.byteLength(text) > maxBytes) await within(answerMs, redis.del(keyOf(id)));
      else await within(answerMs, redis.set(keyOf(id), text, 'EX', keptSeconds));
    },
    async recall(subject, name) {
      const id = idOf(subject, name);
      const text = await within(answerMs, redis.get(keyOf(id)));
      return text === null ? null : openOrNull(seal, id, text);
    },
  };
}

function openOrNull(seal: Seal, id: string, text: string): unknown {
  try {
    return seal.open(id, JSON.parse(text));
  } catch {
    return null;
  }
}
