/** A fair limit on how many things happen at once. */

export interface Slots {
  /** A function that gives the slot back; null when the signal aborts first. */
  take(signal?: AbortSignal): Promise<(() => void) | null>;
}

export function createSlots(limit: number): Slots {
  const waiting = new Set<() => void>();
  let taken = 0;
  const release = (): void => {
    taken -= 1;
    const [next] = waiting;
    next?.();
  };
  return {
    take(signal) {
      const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
      const finish = (granted: boolean): void => {
        waiting.delete(grant);
        signal?.removeEventListener('abort', giveUp);
        if (granted) taken += 1;
        resolve(granted ? release : null);
      };
      const grant = (): void => finish(true);
      const giveUp = (): void => finish(false);
      if (signal?.aborted) giveUp();
      else if (taken < limit) grant();
      else {
        waiting.add(grant);
        signal?.addEventListener('abort', giveUp, { once: true });
      }
      return promise;
    },
  };
}
