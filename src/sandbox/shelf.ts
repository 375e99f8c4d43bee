/** The VMs of one template that wait: each is given away once, or thrown away when it is old or lost. */
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Sandbox, SandboxSpec } from './sandbox.ts';
import { standBy } from './stand-by.ts';
import type { HandOver } from './stand-by.ts';

/** What they are made of. */
export type ShelfOf = Pick<SandboxSpec, 'layer' | 'image'>;

export interface ShelfOptions {
  /** How long one waits before another takes its place. */
  readonly maxAgeMs: number;
  /** What could not be thrown away goes here. */
  readonly left: string[];
  /** One of those that wait is there no more; nobody asked for it. */
  readonly onGone: (why: 'old' | 'lost') => void;
  readonly log: Log;
}

export interface Shelf {
  readonly of: ShelfOf;
  readonly size: number;
  /** Resolves when it stands ready; throws what `standBy` throws, and then the VM is gone. */
  add(sandbox: Sandbox, signal: AbortSignal): Promise<void>;
  /** The one that waited longest, awake with the time of now. Null when there is none that is any good. */
  take(runId: string): Promise<Sandbox | null>;
  /** Throws all of them away, and resolves when none is still being thrown away. */
  clear(): Promise<void>;
}

interface Waiting {
  readonly sandbox: Sandbox;
  readonly handOver: HandOver;
  /** Its age; cleared when it goes. */
  readonly timer: NodeJS.Timeout;
}

export function createShelf(of: ShelfOf, { maxAgeMs, left, onGone, log }: ShelfOptions): Shelf {
  const waiting = new Set<Waiting>();
  const disposals = createDisposals(left);
  const remove = (ready: Waiting): void => {
    clearTimeout(ready.timer);
    waiting.delete(ready);
  };
  const discard = (ready: Waiting): Promise<void> => {
    remove(ready);
    return disposals.dispose(ready.sandbox);
  };
  const replace = (ready: Waiting, why: 'old' | 'lost'): void => {
    if (!waiting.has(ready)) return;
    const sandboxId = ready.sandbox.id;
    log.debug({ sandboxId, why }, 'a VM of the pool is replaced');
    void discard(ready)
      .catch((thrown: unknown) => log.error({ sandboxId, err: asFixError(thrown) }, 'a VM of the pool could not be thrown away'))
      .then(() => onGone(why));
  };
  return {
    of,
    get size() {
      return waiting.size;
    },
    async add(sandbox, signal) {
      try {
        const handOver = await standBy(sandbox, signal);
        sandbox.lost.throwIfAborted();
        const ready: Waiting = { sandbox, handOver, timer: setTimeout(() => replace(ready, 'old'), maxAgeMs).unref() };
        waiting.add(ready);
        log.debug({ sandboxId: sandbox.id }, 'a VM of the pool stands ready');
        sandbox.lost.addEventListener('abort', () => replace(ready, 'lost'), { once: true });
      } catch (error) {
        await disposals.dispose(sandbox);
        throw error;
      }
    },
    async take(runId) {
      for (const ready of waiting) {
        remove(ready);
        if (await wakes(ready, runId, log)) return ready.sandbox;
        await discard(ready);
      }
      return null;
    },
    async clear() {
      await disposals.over([...waiting].map(discard));
    },
  };
}

async function wakes({ sandbox, handOver }: Waiting, runId: string, log: Log): Promise<boolean> {
  const sandboxId = sandbox.id;
  try {
    await handOver();
    log.info({ sandboxId, for: runId }, 'a VM of the pool is handed over');
    return true;
  } catch (thrown) {
    log.warn({ sandboxId, err: asFixError(thrown) }, 'a VM of the pool was no good');
    return false;
  }
}

interface Disposals {
  /** What is left of it is added to all that is left. */
  dispose(sandbox: Sandbox): Promise<void>;
  /** Resolves when all that began before are over. Throws what one of `own` throws; the others are heard where they began. */
  over(own: readonly Promise<void>[]): Promise<void>;
}

function createDisposals(left: string[]): Disposals {
  const underWay = new Set<Promise<void>>();
  return {
    async dispose(sandbox) {
      const disposal = sandbox.dispose().then((some) => void left.push(...some));
      underWay.add(disposal);
      await disposal.finally(() => underWay.delete(disposal));
    },
    async over(own) {
      const ours = Promise.all(own);
      await Promise.allSettled([ours, ...underWay]);
      await ours;
    },
  };
}
