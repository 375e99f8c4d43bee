/** Writes the newest state not too often, never two at once, and again after a while even when nothing happened. */

export interface Throttle {
  /** Something changed: it is written as soon as may be. */
  soon(): void;
  /** At once, whatever came before. */
  now(): Promise<void>;
  /** No more. Resolves when the write that is on its way has ended, or `patienceMs` are over. */
  close(patienceMs?: number): Promise<void>;
}

/** `write` never rejects. `gapMs` is asked each time; `idleMs` is the longest time without a write after the first one. */
export function createThrottle(write: () => Promise<void>, { gapMs, idleMs }: { gapMs: () => number; idleMs: number }): Throttle {
  let closed = false;
  let timer: { readonly handle: NodeJS.Timeout; readonly at: number } | null = null;
  let writing: Promise<void> | null = null;
  let lastWrite = 0;
  /** What changes while a write is on its way is not in it, and has to follow. */
  let changedMeanwhile = false;

  function schedule(delayMs: number): void {
    const at = Math.max(Date.now(), lastWrite + delayMs);
    if (closed || (timer !== null && timer.at <= at)) return;
    clearTimeout(timer?.handle);
    timer = { handle: setTimeout(() => void now(), at - Date.now()).unref(), at };
  }

  async function now(): Promise<void> {
    clearTimeout(timer?.handle);
    timer = null;
    changedMeanwhile = false;
    lastWrite = Date.now();
    writing = write();
    await writing;
    writing = null;
    schedule(changedMeanwhile ? gapMs() : idleMs);
  }

  return {
    soon() {
      if (writing !== null) changedMeanwhile = true;
      else schedule(gapMs());
    },
    now,
    async close(patienceMs = 0) {
      closed = true;
      clearTimeout(timer?.handle);
      const { promise, resolve } = Promise.withResolvers<void>();
      const handle = setTimeout(resolve, patienceMs).unref();
      await Promise.race([writing, promise]);
      clearTimeout(handle);
    },
  };
}
